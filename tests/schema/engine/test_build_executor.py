"""An operation of a read document is chosen and its variables are coerced, or it is said why not."""

from typing import Any

import pytest
from graphql import OperationType

from schema.engine.build_executor import build_executor
from schema.engine.public_errors import OperationRefusedError
from tests.schema.builders import SCHEMA

TWO = "query A ($n: Int = 3) { assistants(first: $n) { nodes { id } } } mutation B { nothing: __typename }"


def built(text: str, name: str | None = None, variables: dict[str, Any] | None = None) -> Any:
    document = SCHEMA.documents.read(text)
    return build_executor(SCHEMA, document, operation_name=name, variables=variables, context=None)


def test_the_executor_has_the_plans_of_its_document_the_operation_and_its_variables() -> None:
    first, second = built(TWO, "A"), built(TWO, "B")
    assert first.plans is second.plans is SCHEMA.documents.read(TWO).plans
    assert [one.operation.operation for one in (first, second)] == [OperationType.QUERY, OperationType.MUTATION]
    assert first.variable_values.coerced == {"n": 3}


@pytest.mark.parametrize(
    ("text", "name", "variables", "message"),
    [
        ("{", None, None, "Syntax Error"),
        ("{ nonsense }", None, None, "Cannot query field 'nonsense'"),
        (TWO, None, None, "Must provide operation name"),
        (TWO, "C", None, "Unknown operation named 'C'"),
        (TWO, "A", {"n": "many"}, "Int cannot represent"),
    ],
)
def test_what_cannot_begin_says_why(
    text: str, name: str | None, variables: dict[str, Any] | None, message: str
) -> None:
    with pytest.raises(OperationRefusedError, match=message):
        built(text, name, variables)

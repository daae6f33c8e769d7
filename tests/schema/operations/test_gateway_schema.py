"""Queries and mutations are executed in one way, under the limits of their schema."""

import pytest
import strawberry
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from schema.engine.context import Context
from schema.operations.gateway_schema import GatewaySchema, OperationLimits
from schema.operations.operation_budget import OperationBudget
from schema.root import build_schema
from tests.schema.builders import SCHEMA, conversation, execute, query_data


async def test_a_repeated_document_is_answered_by_its_own_variables() -> None:
    document = "query ($id: ID!) { assistant(id: $id) { upstreamId model } }"
    api = conversation()
    assert (await query_data(api, document, {"id": "asst_1"}))["assistant"]["upstreamId"] == "asst_1"
    assert (await query_data(api, document, {"id": "asst_2"}))["assistant"] is None


async def test_another_schema_validates_the_same_document_anew() -> None:
    document = '{ thread(id: "thread_1") { messages { nodes { upstreamId } } } }'
    refused = await build_schema(max_depth=3).execute(document)
    assert "expected at most 3" in str(refused)
    assert (await execute(conversation(), document)).errors is None


async def test_a_document_full_of_aliases_is_one_call_of_the_port() -> None:
    api = conversation()
    aliases = " ".join(f't{number}: thread(id: "thread_{number}") {{ metadata }}' for number in range(150))
    data = await query_data(api, f"{{ {aliases} }}")
    assert [alias for alias, found in data.items() if found is not None] == ["t1"]
    assert [(name, len(keys)) for name, keys in api.calls] == [("get_threads", 150)]


TWO = "query A { upstream { version } } mutation B { nonsense }"


@pytest.mark.parametrize(
    ("document", "name", "kind"),
    [
        (TWO, "B", OperationType.MUTATION),
        ("mutation { nonsense }", None, OperationType.MUTATION),
        ("subscription { nonsense }", None, OperationType.SUBSCRIPTION),
    ],
)
async def test_an_operation_of_another_type_than_allowed_is_refused_valid_or_not(
    document: str, name: str | None, kind: OperationType
) -> None:
    with pytest.raises(InvalidOperationTypeError) as refused:
        await SCHEMA.execute(document, operation_name=name, allowed_operation_types={OperationType.QUERY})
    assert refused.value.operation_type is kind


@pytest.mark.parametrize(("document", "name"), [("fragment F on Run { id }", None), (TWO, "C"), (TWO, "")])
async def test_a_missing_operation_raises_another_error_than_a_refused_one(document: str, name: str | None) -> None:
    with pytest.raises(CannotGetOperationTypeError):
        await SCHEMA.execute(document, operation_name=name)


async def test_one_of_several_operations_is_never_chosen_for_the_caller() -> None:
    result = await SCHEMA.execute("query A { upstream { version } } query B { upstream { version } }")
    assert result.data is None
    assert [error.message for error in result.errors or []] == [
        "Must provide operation name if query contains multiple operations."
    ]


async def test_an_unexpected_exception_is_masked_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("private detail")

    monkeypatch.setattr(SCHEMA.execution_context_class, "execute_operation", broken)
    result = await SCHEMA.execute("{ __typename }")
    (error,) = result.errors or []
    assert result.data is None
    assert "private" not in str(error.formatted)
    assert (error.extensions or {})["code"] == "INTERNAL"
    assert "private detail" in caplog.text


async def test_a_schema_of_other_types_is_executed_alike() -> None:
    @strawberry.type
    class Bare:
        @strawberry.field
        def given(self, number: int) -> int:
            return number

    schema = GatewaySchema(Bare, limits=OperationLimits(max_tokens=12, budget=OperationBudget(max_calls=0)))
    context = Context(conversation(), reports_cost=True)
    result = await schema.execute("{ given(number: 7) }", context_value=context)
    await context.aclose()
    assert result.data == {"given": 7}
    assert (result.extensions or {})["cost"]["predictedCalls"] == 0
    assert "more than 12 tokens" in str(await schema.execute("{ a: given(number: 7) b: given(number: 7) }"))

"""Introspection is bounded: an operation asks for the schema once, and for each part of it once."""

from typing import Any

import pytest
import strawberry
from graphql import get_introspection_query

from schema.operations.introspection import asks_nothing_upstream, is_introspection
from tests.schema.builders import SCHEMA

DEEP_TYPE_REFERENCE = "name " + "ofType { name " * 9 + "}" * 9


def errors(document: str) -> list[str]:
    return [error.message for error in SCHEMA.documents.parse(document).errors]


@pytest.mark.parametrize(
    "document",
    [
        get_introspection_query(),
        get_introspection_query(  # graphql-js, GraphiQL and Rover with all that they may ask
            specified_by_url=True,
            directive_is_repeatable=True,
            schema_description=True,
            input_value_deprecation=True,
            one_of=True,
        ),
        get_introspection_query(
            descriptions=False, specified_by_url=True, directive_is_repeatable=True, input_value_deprecation=True
        ),
        "{ " + " ".join(f't{number}: __type(name: "Run") {{ name }}' for number in range(20)) + " }",
        "{ __schema { queryType { name } } ...Q ...Q } fragment Q on Query { __schema { types { name } } }",
        f"{{ __schema {{ types {{ fields {{ args {{ type {{ {DEEP_TYPE_REFERENCE} }} }} }} }} }} }}",
        '{ a: assistants { nodes { id } } b: assistants { nodes { id } } __type(name: "Run") { a: __typename } }',
    ],
)
def test_the_usual_questions_are_valid(document: str) -> None:
    assert errors(document) == []


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            "{ " + " ".join(f"s{number}: __schema {{ types {{ name }} }}" for number in range(200)) + " }",
            "'__schema' is selected under 200 names in one operation; expected at most 1.",
        ),
        (
            "{ __schema { types { name } } ...Q } fragment Q on Query { ... { other: __schema { types { name } } } }",
            "'__schema' is selected under 2 names in one operation; expected at most 1.",
        ),
        (
            "{ " + " ".join(f't{number}: __type(name: "Run") {{ name }}' for number in range(21)) + " }",
            "'__type' is selected under 21 names in one operation; expected at most 20.",
        ),
        (
            "{ __schema { types { ...F } } } fragment F on __Type { fields { name } again: fields { name } }",
            "'fields' is selected under 2 names in objects of type '__Type'; expected at most 1.",
        ),
        (
            "{ __schema { " + " ".join(f"types {{ f{number}: fields {{ name }} }}" for number in range(3)) + " } }",
            "'fields' is selected under 3 names in objects of type '__Type'; expected at most 1.",
        ),
        (
            "{ __schema { types { name } } __schema { ... { types { again: name } } } }",
            "'name' is selected under 2 names in objects of type '__Type'; expected at most 1.",
        ),
        (
            "{ __schema { types { fields { type { ...T } } } } } fragment T on __Type { enumValues { name } }",
            "'__schema' has 2 nested lists of a type; expected at most 1.",
        ),
    ],
)
def test_a_question_that_repeats_itself_is_refused(document: str, message: str) -> None:
    assert message in errors(document)


def test_a_fragment_that_spreads_itself_is_refused_by_graphql() -> None:
    (error, *_) = errors("{ __schema { types { ...F } } } fragment F on __Type { ofType { ...F } }")
    assert "Cannot spread fragment 'F' within itself" in error


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (get_introspection_query(), True),
        ('{ __schema { types { name } } __type(name: "Run") { name } }', True),
        ("{ __schema { types { name } } upstream { version } }", False),
        ("{ __schema { types { name } } ...Q } fragment Q on Query { upstream { version } }", False),
        ("{ __typename }", False),
        ("mutation { __typename }", False),
    ],
)
def test_an_operation_that_asks_for_the_schema_alone_is_recognised(document: str, expected: bool) -> None:
    operation: Any = SCHEMA.documents.parse(document).find_operation(None)
    assert is_introspection(operation) is expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (get_introspection_query(), True),
        ("{ __typename }", True),
        ("mutation { __typename }", True),
        ("{ ...F ... on Query { a: __typename } } fragment F on Query { __schema { types { name } } }", True),
        ("{ ...F } fragment F on Query { __typename ...F }", True),
        ("{ ...F } fragment F on Query { __typename upstream { version } }", False),
        ("{ ... { upstream { version } } __typename }", False),
        ("{ ...Missing __typename }", False),
        ("{ __typename upstream { version } }", False),
    ],
)
def test_an_operation_whose_root_fields_are_all_introspection_asks_nothing_upstream(
    document: str, expected: bool
) -> None:
    parsed = SCHEMA.documents.parse(document)
    operation: Any = parsed.find_operation(None)
    assert asks_nothing_upstream(parsed.node, operation) is expected


async def test_whether_a_type_is_one_of_is_asked_of_every_kind_of_type_also_beside_another_schema() -> None:
    strawberry.Schema(strawberry.type(type("Query", (), {"a": 1, "__annotations__": {"a": int}})))
    document = """{ __schema { types { name isOneOf fields { type { isOneOf ofType { isOneOf } } } } } }"""
    result = await SCHEMA.execute(document)
    assert result.errors is None
    types = {type_["name"]: type_["isOneOf"] for type_ in (result.data or {})["__schema"]["types"]}
    assert (types["MessageContentInput"], types["NewMessageInput"], types["Thread"]) == (True, False, None)

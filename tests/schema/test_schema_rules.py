"""Rules of the public schema that clients rely on, held for every type of `schema.graphql`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLField,
    GraphQLID,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_specified_scalar_type,
)

SDL = (Path(__file__).parents[2] / "schema" / "schema.graphql").read_text()
SCHEMA = build_schema(SDL)
TEXTS = {"callId", "clientMutationId", "upstreamId", "vectorStoreIds"}
"""Fields that are named for an id and hold an upstream's id, or a text of the client."""


def output_fields() -> Iterator[tuple[str, str, GraphQLField]]:
    for type_ in SCHEMA.type_map.values():
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) and not type_.name.startswith("__"):
            for name, field in type_.fields.items():
                yield type_.name, name, field


def object_types(*suffixes: str) -> list[GraphQLObjectType]:
    types = (type_ for type_ in SCHEMA.type_map.values() if isinstance(type_, GraphQLObjectType))
    return [type_ for type_ in types if type_.name.endswith(suffixes)]


def members_of(*unions: str) -> list[GraphQLObjectType]:
    found: list[GraphQLObjectType] = []
    for name in unions:
        union = SCHEMA.type_map[name]
        assert isinstance(union, GraphQLUnionType)
        found += union.types
    return found


def test_a_field_named_for_an_id_is_a_global_id() -> None:
    named = [
        (owner, name, get_named_type(field.type))
        for owner, name, field in output_fields()
        if name.endswith(("Id", "Ids")) and name not in TEXTS and is_leaf_type(get_named_type(field.type))
    ]
    assert len(named) >= 12
    assert [(owner, name) for owner, name, type_ in named if type_ != GraphQLID] == []


def test_every_connection_says_that_there_are_no_totals() -> None:
    connections = object_types("Connection")
    assert len(connections) >= 5
    assert [one.name for one in connections if "no totals" not in (one.description or "")] == []


def test_no_argument_has_null_as_its_default() -> None:
    assert "= null" not in SDL


@pytest.mark.parametrize(
    ("interface", "implementers"),
    [
        ("MutationPayload", object_types("Payload")),
        ("RunLogEvent", members_of("RunEvent", "ThreadEvent")),
        ("ToolCallBase", [*members_of("ToolCall"), *object_types("ToolCall")]),
    ],
)
def test_every_member_has_its_interface(interface: str, implementers: list[GraphQLObjectType]) -> None:
    assert len(implementers) >= 5
    assert [one.name for one in implementers if interface not in {each.name for each in one.interfaces}] == []


def test_every_scalar_of_its_own_says_where_it_is_specified() -> None:
    own = [
        one
        for one in SCHEMA.type_map.values()
        if isinstance(one, GraphQLScalarType) and not is_specified_scalar_type(one)
    ]
    assert {one.name for one in own} >= {"DateTime", "JSON", "Metadata"}
    assert [one.name for one in own if not one.specified_by_url] == []


assert SCHEMA.mutation_type is not None
PAYLOADS = {name: field.type.of_type for name, field in SCHEMA.mutation_type.fields.items()}


@pytest.mark.parametrize("mutation", PAYLOADS)
def test_every_payload_has_user_errors_and_the_client_mutation_id(mutation: str) -> None:
    payload = PAYLOADS[mutation]
    assert isinstance(payload, GraphQLObjectType)
    assert payload.name == mutation[0].upper() + mutation[1:] + "Payload"
    errors = payload.fields["userErrors"].type
    assert isinstance(errors, GraphQLNonNull)
    assert isinstance(errors.of_type, GraphQLList)
    assert str(payload.fields["clientMutationId"].type) == "String"


@pytest.mark.parametrize("mutation", PAYLOADS)
def test_the_results_of_a_payload_are_nullable(mutation: str) -> None:
    fields = {name: field for name, field in PAYLOADS[mutation].fields.items() if name != "userErrors"}
    assert [name for name, field in fields.items() if isinstance(field.type, GraphQLNonNull)] == []


@pytest.mark.parametrize("mutation", PAYLOADS)
def test_every_mutation_takes_one_input_with_a_client_mutation_id(mutation: str) -> None:
    assert SCHEMA.mutation_type is not None
    (argument,) = SCHEMA.mutation_type.fields[mutation].args.values()
    input_type = argument.type.of_type
    assert input_type.name == mutation[0].upper() + mutation[1:] + "Input"
    assert "clientMutationId" in input_type.fields


def test_deletions_return_the_id_of_the_deleted_object() -> None:
    deletions = [payload for mutation, payload in PAYLOADS.items() if mutation.startswith("delete")]
    assert len(deletions) == 4
    assert all(str(payload.fields["deletedId"].type) == "ID" for payload in deletions)

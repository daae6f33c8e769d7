"""Every payload has `userErrors`, the `clientMutationId`, and a nullable result."""

import pytest
from graphql import GraphQLList, GraphQLNonNull, GraphQLObjectType

from schema.root import build_schema

SCHEMA = build_schema()._schema
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
    assert len(deletions) == 3
    assert all(str(payload.fields["deletedId"].type) == "ID" for payload in deletions)

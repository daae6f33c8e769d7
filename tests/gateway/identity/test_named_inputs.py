"""Walks the schema: every input field that names an object is covered by a check.

The mutations go through the port of a signed-in user, which may let nothing of another's through to the upstream.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    build_schema,
    get_named_type,
)

from schema.contract.errors import GatewayError
from schema.contract.keys import AssistantKey, FileKey, MessageKey, NodeKey, RunKey, ThreadKey, to_global_id
from tests.gateway.cache.processes import processes
from tests.gateway.ledger.owned_ports import Ports
from tests.schema.builders import execute
from tests.support.fake_ownership import FakeOwnership
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.signed_in import owner

InputPath: TypeAlias = tuple[str, ...]
"""The names of the fields from the input of a mutation to a field, each list followed by the index 0."""

SDL = build_schema((Path(__file__).parents[3] / "schema" / "schema.graphql").read_text())
PLANTED = "planted"
KEYS: dict[str, NodeKey] = {
    "threadId": ThreadKey(PLANTED),
    "messageId": MessageKey(PLANTED, "msg_1"),
    "runId": RunKey(PLANTED, "run_1"),
    "assistantId": AssistantKey(PLANTED),
    "fileId": FileKey(PLANTED),
}
OTHER_IDS = {name: to_global_id(key._replace(**{key._fields[0]: "other"})) for name, key in KEYS.items()}
NAMES_NOTHING_TO_CHECK = {
    "clientMutationId": "a text of the client's own",
    "callId": "a call of the run in the key",
    "assistantId": "assistants are readable by all; those of writes are in the key",
}
NAMES_A_THREAD_TOO = {"messageId", "runId"}
"""Their thread is what is not found, and no field of the input names it alone."""

SCALARS = {"String": "text", "ID": "id-1", "Int": 800, "Float": 0.5, "Boolean": True, "JSON": {}, "Metadata": {}}


def named_input_fields() -> Iterator[tuple[str, InputPath]]:
    """Find every input field that names an object, by the mutation that takes it."""
    assert SDL.mutation_type is not None
    for name, mutation in SDL.mutation_type.fields.items():
        (argument,) = mutation.args.values()
        for path in _walk(get_named_type(argument.type), ()):
            yield name, path


def _walk(type_: object, path: InputPath, *, within: frozenset[str] = frozenset()) -> Iterator[InputPath]:
    assert isinstance(type_, GraphQLInputObjectType)
    assert type_.name not in within, "a type that holds itself needs another walk"
    for name, field in type_.fields.items():
        inner = get_named_type(field.type)
        steps = (*path, name, "0") if _is_list(field.type) else (*path, name)
        if isinstance(inner, GraphQLInputObjectType):
            yield from _walk(inner, steps, within=within | {type_.name})
        elif inner.name == "ID" or name.endswith(("Id", "Ids")):
            yield steps


def _is_list(type_: GraphQLInputType) -> bool:
    return isinstance(type_.of_type if isinstance(type_, GraphQLNonNull) else type_, GraphQLList)


def smallest_value(type_: GraphQLInputType, path: InputPath) -> Any:
    """Build the smallest valid value that holds the planted id at a path."""
    if isinstance(type_, GraphQLNonNull):
        return smallest_value(type_.of_type, path)
    if isinstance(type_, GraphQLList):
        return [smallest_value(type_.of_type, path[1:])]
    if isinstance(type_, GraphQLEnumType):
        return next(iter(type_.values))
    if isinstance(type_, GraphQLScalarType):
        return SCALARS[type_.name]
    assert isinstance(type_, GraphQLInputObjectType)
    chosen = {name: field for name, field in type_.fields.items() if _is_needed(field) or path[:1] == (name,)}
    if type_.is_one_of and not chosen:
        chosen = dict([next(iter(type_.fields.items()))])
    return {
        name: _field_value(name, field, path[1:] if path[:1] == (name,) else None) for name, field in chosen.items()
    }


def _is_needed(field: GraphQLInputField) -> bool:
    return isinstance(field.type, GraphQLNonNull)


def _field_value(name: str, field: GraphQLInputField, path: InputPath | None) -> Any:
    is_planted_here = (
        path is not None and set(path) <= {"0"} and not isinstance(get_named_type(field.type), GraphQLInputObjectType)
    )
    if is_planted_here:
        planted = to_global_id(KEYS[name]) if name in KEYS else PLANTED
        return [planted] if _is_list(field.type) else planted
    return OTHER_IDS[name] if name in OTHER_IDS else smallest_value(field.type, path or ())


NAMED = sorted(named_input_fields())


@pytest.mark.parametrize(
    ("mutation", "path"), NAMED, ids=lambda part: part if isinstance(part, str) else ".".join(part)
)
async def test_an_input_field_that_names_an_object_is_covered_by_a_check(mutation: str, path: InputPath) -> None:
    assert SDL.mutation_type is not None
    argument = SDL.mutation_type.fields[mutation].args["input"]
    type_name = get_named_type(argument.type).name
    query = f"mutation ($input: {type_name}!) {{ {mutation}(input: $input) {{ userErrors {{ code field }} }} }}"
    upstream, ownership = FakeThreadsApi(), FakeOwnership({"other": owner("ann"), PLANTED: owner("bob")})
    async with processes(1, None) as (cache,):
        api = Ports(upstream, ownership, cache, {"may_override_runs": True}).bind("ann")
        result = await execute(api, query, {"input": smallest_value(argument.type, path)})
    name = next(step for step in reversed(path) if step != "0")
    if result.errors:
        (error,) = result.errors
        assert isinstance(error.original_error, GatewayError)
        assert error.original_error.message == "Only an admin may create, change or delete assistants."
        assert "Assistant" in mutation
    elif name not in NAMES_NOTHING_TO_CHECK:
        assert result.data is not None
        refusals = [(one["code"], one["field"]) for one in result.data[mutation]["userErrors"]]
        field = None if name in NAMES_A_THREAD_TOO else list(path)
        assert refusals == [("FORBIDDEN" if name == "vectorStoreIds" else "NOT_FOUND", field)]
        assert upstream.calls == []
        assert not ownership.intents


def test_the_walk_reaches_every_place_that_names_a_file() -> None:
    places = {path for mutation, path in NAMED if mutation == "createThreadAndRun"}
    message = ("thread", "messages", "0")
    resources = ("toolResources", "fileSearch", "vectorStores", "0", "fileIds", "0")
    assert places >= {
        ("assistantId",),
        ("toolResources", "codeInterpreter", "fileIds", "0"),
        ("toolResources", "fileSearch", "vectorStoreIds", "0"),
        resources,
        ("thread", *resources),
        (*message, "content", "0", "imageFile", "fileId"),
        (*message, "attachments", "0", "fileId"),
        (*message, "fileIds", "0"),
    }
    assert len(NAMED) >= 60

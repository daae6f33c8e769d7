"""Direct calls: the fields that are called as plain functions, and those left to strawberry."""

from collections.abc import AsyncIterator
from enum import Enum
from typing import Any

import pytest
import strawberry
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLObjectType,
    OperationDefinitionNode,
    parse,
)

from schema.engine.direct_calls import enable_direct_calls, find_direct_call, may_start_loads, python_class
from schema.root import build_schema


@strawberry.enum
class Colour(Enum):
    RED = "red"


@strawberry.input
class Paint:
    colour: Colour


@strawberry.type
class Query:
    attribute: str = "a"

    @strawberry.field
    def plain(self) -> str:
        return "p"

    @strawberry.field
    async def awaited(self) -> str:
        return "w"

    @strawberry.field
    def counted(self, how_many: int = 1) -> str:
        return "c" * how_many

    @strawberry.field
    def informed(self, info: strawberry.Info, id: strawberry.ID) -> str:
        return f"{info.field_name}{id}"

    @strawberry.field
    def painted(self, paint: Paint) -> str:
        return paint.colour.value

    @strawberry.field
    def coloured(self, colour: Colour = Colour.RED) -> str:
        return colour.value

    @strawberry.field
    @staticmethod
    def alone() -> str:
        return "alone"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def numbers(self, upto: int) -> AsyncIterator[int]:
        for number in range(upto):
            yield number


@pytest.fixture
def schema() -> strawberry.Schema:
    built = strawberry.Schema(query=Query, subscription=Subscription)
    enable_direct_calls(built._schema)
    return built


def schema_field(schema: strawberry.Schema, name: str, type_name: str = "Query") -> GraphQLField:
    type_ = schema._schema.type_map[type_name]
    assert isinstance(type_, GraphQLObjectType)
    field: GraphQLField = type_.fields[name]
    return field


def test_attributes_and_functions_of_the_parent_are_plain(schema: strawberry.Schema) -> None:
    for name, value in (("attribute", "a"), ("plain", "p")):
        call = find_direct_call(schema_field(schema, name))
        assert call is not None
        assert call.is_plain
        assert call.function(Query()) == value


def test_arguments_are_passed_by_their_python_names_and_info_by_its_own(schema: strawberry.Schema) -> None:
    counted, informed = (find_direct_call(schema_field(schema, name)) for name in ("counted", "informed"))
    assert counted is not None
    assert informed is not None
    assert (counted.python_names, counted.wants_info) == ({"howMany": "how_many"}, False)
    assert (informed.python_names, informed.wants_info) == ({"id": "id"}, True)
    assert not counted.is_plain


@pytest.mark.parametrize("name", ["painted", "coloured", "alone"])
def test_inputs_enums_and_other_signatures_are_left_to_strawberry(schema: strawberry.Schema, name: str) -> None:
    assert find_direct_call(schema_field(schema, name)) is None


def test_an_awaitable_field_is_not_plain(schema: strawberry.Schema) -> None:
    call = find_direct_call(schema_field(schema, "awaited"))
    assert call is not None
    assert (call.is_plain, call.wants_info, call.python_names) == (False, False, {})


async def test_the_event_of_a_subscription_is_its_field(schema: strawberry.Schema) -> None:
    call = find_direct_call(schema_field(schema, "numbers", "Subscription"))
    assert call is not None
    assert call.function(7) == 7
    stream: Any = await schema.subscribe("subscription { numbers(upto: 2) }")
    assert [event.data async for event in stream] == [{"numbers": 0}, {"numbers": 1}]


async def test_graphql_core_can_still_execute_every_field(schema: strawberry.Schema) -> None:
    document = (
        '{ attribute plain awaited counted(howMany: 2) informed(id: "1") painted(paint: {colour: RED}) coloured alone }'
    )
    result = await schema.execute(document, root_value=Query())
    assert result.errors is None
    assert list((result.data or {}).values()) == ["a", "p", "w", "cc", "informed1", "red", "red", "alone"]


def test_nearly_every_field_of_the_gateway_is_called_directly() -> None:
    types = build_schema()._schema.type_map
    objects = [one for one in types.values() if isinstance(one, GraphQLObjectType) and not one.name.startswith("__")]
    left = {one.name for one in objects for field in one.fields.values() if find_direct_call(field) is None}
    assert left == {"Mutation"}
    assert [one.name for one in objects if python_class(one) is None] == []


@pytest.mark.parametrize(
    ("selected", "starts_loads"),
    [
        ("messages { nodes { id text content { __typename } } }", False),
        ("messages { edges { cursor node { role } } pageInfo { endCursor } }", False),
        ("messages { nodes { run { id } } }", True),
        ("messages { edges { node { ... on Message { ...Written } } } }", True),
        ("runs { nodes { ... { lastError { code } } } }", False),
        ("runs { nodes { steps { nodes { id } } } }", True),
    ],
)
def test_only_selections_of_loading_fields_may_start_loads(selected: str, starts_loads: bool) -> None:
    document = parse(f"{{ {selected} }} fragment Written on Message {{ text ...Written assistant {{ id }} }}")
    operation, fragment = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    assert isinstance(fragment, FragmentDefinitionNode)
    (field,) = operation.selection_set.selections
    assert isinstance(field, FieldNode)
    assert may_start_loads(build_schema()._schema, [field], {"Written": fragment}) is starts_loads

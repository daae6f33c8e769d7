from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_client_schema,
    get_introspection_query,
    lexicographic_sort_schema,
    print_schema,
    validate_schema,
)
from graphql import build_schema as build_from_sdl

from schema.engine.context import Context
from schema.root import build_schema
from tests.schema.builders import SCHEMA, conversation, query_data

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"


def test_the_sdl_in_the_repository_is_the_schemas_own() -> None:
    assert SDL.read_text(encoding="utf-8").strip() == SCHEMA.as_str().strip(), (
        "regenerate it: threads-gateway schema > schema/schema.graphql"
    )


def test_everything_in_the_schema_is_described() -> None:
    undescribed = []
    for name, named in build_from_sdl(SCHEMA.as_str()).type_map.items():
        if name.startswith("__"):
            continue
        described = [(name, named.description)]
        if isinstance(named, (GraphQLObjectType, GraphQLInterfaceType, GraphQLInputObjectType)):
            for field_name, field in named.fields.items():
                described.append((f"{name}.{field_name}", field.description))
                arguments = getattr(field, "args", {})
                described += [(f"{name}.{field_name}({key}:)", value.description) for key, value in arguments.items()]
        if isinstance(named, GraphQLEnumType):
            described += [(f"{name}.{key}", value.description) for key, value in named.values.items()]
        undescribed += [
            what for what, text in described if not text and what not in {"Boolean", "Float", "ID", "Int", "String"}
        ]
    assert undescribed == []


async def test_an_introspection_client_can_build_the_schema() -> None:
    query = get_introspection_query(
        descriptions=True,
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    seen = build_client_schema(await query_data(conversation(), query))
    assert validate_schema(seen) == []
    # This version of the introspection query does not ask which inputs are @oneOf.
    own = print_schema(lexicographic_sort_schema(build_from_sdl(SCHEMA.as_str()))).replace(" @oneOf {", " {")
    assert print_schema(lexicographic_sort_schema(seen)) == own


@pytest.mark.parametrize(("rounds", "refused"), [(7, False), (8, True)])
async def test_an_operation_may_be_exactly_as_deep_as_the_limit(rounds: int, refused: bool) -> None:
    document = (
        '{ thread(id: "thread_1") ' + "{ messages { nodes { thread " * rounds + "{ id }" + " } } }" * rounds + " }"
    )
    result = await build_schema(max_depth=2 + 3 * 7).execute(document, context_value=Context(conversation(1)))
    assert ("fields deep" in str(result)) is refused


async def test_document_limits_are_those_that_the_schema_was_built_with() -> None:
    shallow = build_schema(max_depth=2)
    short = build_schema(max_tokens=5)
    deep = '{ thread(id: "x") { messages { nodes { id } } } }'
    for schema, message in ((shallow, "4 fields deep; expected at most 2"), (short, "more than 5 tokens")):
        result = await schema.execute(deep)
        assert message in str(result)

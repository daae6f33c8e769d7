from pathlib import Path

import pytest
import strawberry
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
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from schema.engine.context import Context
from schema.root import GatewaySchema, OperationLimits, build_schema
from tests.schema.builders import SCHEMA, conversation, data_of, execute

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
    seen = build_client_schema(await data_of(conversation(), query))
    assert validate_schema(seen) == []
    # This version of the introspection query does not ask which inputs are @oneOf.
    own = print_schema(lexicographic_sort_schema(build_from_sdl(SCHEMA.as_str()))).replace(" @oneOf {", " {")
    assert print_schema(lexicographic_sort_schema(seen)) == own


@pytest.mark.parametrize(("levels", "refused"), [(7, False), (8, True)])
async def test_an_operation_may_be_exactly_as_deep_as_the_limit(levels: int, refused: bool) -> None:
    document = (
        '{ thread(id: "thread_1") ' + "{ messages { nodes { thread " * levels + "{ id }" + " } } }" * levels + " }"
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


async def test_a_repeated_document_uses_its_own_variables() -> None:
    document = "query ($id: ID!) { assistant(id: $id) { upstreamId model } }"
    api = conversation()
    assert (await data_of(api, document, {"id": "asst_1"}))["assistant"]["upstreamId"] == "asst_1"
    assert (await data_of(api, document, {"id": "asst_2"}))["assistant"] is None


async def test_another_schema_validates_the_same_document_again() -> None:
    document = '{ thread(id: "thread_1") { messages { nodes { upstreamId } } } }'
    refused = await build_schema(max_depth=3).execute(document)
    assert "expected at most 3" in str(refused)
    assert (await execute(conversation(), document)).errors is None


async def test_a_document_full_of_aliases_is_one_call_of_the_port() -> None:
    api = conversation()
    aliases = " ".join(f't{number}: thread(id: "thread_{number}") {{ metadata }}' for number in range(200))
    data = await data_of(api, f"{{ {aliases} }}")
    assert [alias for alias, found in data.items() if found is not None] == ["t1"]
    assert [(name, len(keys)) for name, keys in api.calls] == [("get_threads", 200)]


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
async def test_a_missing_operation_is_distinguished_from_a_refused_one(document: str, name: str | None) -> None:
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


async def test_a_schema_of_other_types_is_executed_the_same_way() -> None:
    @strawberry.type
    class Bare:
        @strawberry.field
        def given(self, number: int) -> int:
            return number

    schema = GatewaySchema(Bare, limits=OperationLimits(max_tokens=12, max_upstream_calls=0))
    context = Context(conversation(), reports_cost=True)
    result = await schema.execute("{ given(number: 7) }", context_value=context)
    await context.aclose()
    assert result.data == {"given": 7}
    assert (result.extensions or {})["cost"]["predictedCalls"] == 0
    assert "more than 12 tokens" in str(await schema.execute("{ a: given(number: 7) b: given(number: 7) }"))

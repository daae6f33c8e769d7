"""Plain fields are executed as graphql-core would: the same data, the same errors, in the same order."""

from typing import Any

import orjson
import pytest
import strawberry
from graphql import GraphQLObjectType, get_named_type, is_leaf_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strawberry.schema.config import StrawberryConfig

from schema.context import Context
from schema.execution import PlainFieldsExecutor, make_plain
from schema.extensions import PublicErrors
from schema.keys import MessageKey, RunKey, RunStepKey, ThreadKey, to_global_id
from schema.nodes import Assistant, Message, MessageFile, Run, RunStep, Thread
from schema.queries import Query
from schema.scalars import SCALARS
from tests.schema.builders import conversation
from tests.schema.random_operations import operations, random_world
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import message, run, run_step, thread


def _schema(*, plain: bool) -> strawberry.Schema:
    built = strawberry.Schema(
        query=Query,
        types=[Thread, Message, MessageFile, Run, RunStep, Assistant],
        config=StrawberryConfig(scalar_map=SCALARS),
        extensions=[PublicErrors],
        execution_context_class=PlainFieldsExecutor if plain else None,
    )
    if plain:
        make_plain(built._schema)
    return built


PLAIN, GENERAL = _schema(plain=True), _schema(plain=False)
MESSAGE, RUN, STEP = (
    MessageKey("thread_1", "msg_1"),
    RunKey("thread_1", "run_1"),
    RunStepKey("thread_1", "run_1", "step_1"),
)


async def _answer(schema: strawberry.Schema, document: str, api: FakeThreadsApi, **variables: Any) -> Any:
    context = Context(api)
    try:
        result = await schema.execute(document, variable_values=variables, context_value=context)
    finally:
        await context.aclose()
    errors = [(error.message, error.path, error.extensions) for error in result.errors or []]
    # As text, so that the order of the fields counts too.
    return orjson.dumps(result.data), errors


def _all_leaves(type_name: str) -> str:
    type_ = GENERAL._schema.type_map[type_name]
    assert isinstance(type_, GraphQLObjectType)
    return " ".join(name for name, field in type_.fields.items() if is_leaf_type(get_named_type(field.type)))


@pytest.mark.filterwarnings("ignore:.*is deprecated")  # the schema's own deprecated fields are asked for too
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=operations(), seed=st.integers(0, 20))
async def test_random_operations_are_answered_the_same(document: str, seed: int) -> None:
    same = await _answer(PLAIN, document, random_world(seed), yes=True)
    assert same == await _answer(GENERAL, document, random_world(seed), yes=True)


@pytest.mark.parametrize("key", [ThreadKey("thread_1"), MESSAGE, RUN, STEP], ids=lambda key: type(key).__name__)
async def test_every_leaf_is_answered_the_same(key: Any) -> None:
    name = type(key).__name__.removesuffix("Key")
    document = f'{{ node(id: "{to_global_id(key)}") {{ ... on {name} {{ __typename {_all_leaves(name)} }} }} }}'
    api = conversation()
    api.run_steps[STEP] = run_step("step_1", type="message_creation", usage={"prompt_tokens": 1})
    plain = await _answer(PLAIN, document, api)
    assert b'"createdAt":"' in plain[0]
    assert plain == await _answer(GENERAL, document, api)


async def test_a_value_that_its_type_refuses_is_reported_the_same() -> None:
    api = FakeThreadsApi()
    api.threads[ThreadKey("thread_1")] = thread("thread_1", created_at=1e300)
    api.runs[RUN] = run("run_1", usage={"prompt_tokens": 2**40}, max_prompt_tokens=2**40)
    api.messages[MESSAGE] = message("msg_1", created_at=-1e300, role="someone new")
    document = f"""{{
        thread(id: "thread_1") {{ id createdAt metadata }}
        run(id: "{to_global_id(RUN)}") {{ maxPromptTokens usage {{ promptTokens completionTokens }} status }}
        message(id: "{to_global_id(MESSAGE)}") {{ role createdAt id }}
    }}"""
    plain = await _answer(PLAIN, document, api)
    assert plain[1]
    # An unexpected error has a log id of its own.
    general = await _answer(GENERAL, document, api)
    assert plain[0] == general[0]
    assert [path for _, path, _ in plain[1]] == [path for _, path, _ in general[1]]

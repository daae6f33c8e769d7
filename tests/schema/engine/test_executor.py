"""Compiled operations are answered as graphql-core would: the same data in the same order, and the same errors."""

import asyncio
from typing import Any

import msgspec
import orjson
import pytest
import strawberry
from graphql import GraphQLObjectType, get_named_type, is_abstract_type, is_leaf_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strawberry.schema.config import StrawberryConfig

from schema.contract.keys import MessageKey, RunKey, RunStepKey, ThreadKey, to_global_id
from schema.contract.paging import Window
from schema.contract.ports import AssistantPageKey
from schema.engine import executor
from schema.engine.attempt import PlanExecution
from schema.engine.context import Context
from schema.engine.direct_calls import enable_direct_calls
from schema.engine.executor import CompiledExecutor
from schema.engine.public_errors import to_public_errors
from schema.graph.assistant_node import Assistant
from schema.graph.message_node import Message, MessageFile
from schema.graph.mutations import Mutation
from schema.graph.queries import Query
from schema.graph.run_node import Run
from schema.graph.run_step_node import RunStep
from schema.graph.scalars import SCALARS
from schema.graph.thread_node import Thread
from tests.schema.builders import GatedThreadsApi, conversation, ticks
from tests.schema.random_operations import operations, random_world
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import message, run, run_step, thread


class Unaided(CompiledExecutor):
    """Fails where graphql-core would execute a field."""

    def execute_field(self, *_: Any) -> Any:
        raise AssertionError("expected everything to be executed by plans")


def _schema(executor_class: type[CompiledExecutor] | None) -> strawberry.Schema:
    built = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        types=[Thread, Message, MessageFile, Run, RunStep, Assistant],
        config=StrawberryConfig(scalar_map=SCALARS),
        execution_context_class=executor_class,
    )
    if executor_class is not None:
        enable_direct_calls(built._schema)
    return built


COMPILED, UNAIDED, GENERAL = _schema(CompiledExecutor), _schema(Unaided), _schema(None)
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
    errors = [(error.message, error.path, error.extensions) for error in to_public_errors(result.errors or [])]
    errors.sort(key=lambda error: repr(error[1]))  # they come as they are met, which is a matter of time
    # As text, so that the order of the fields counts too.
    return orjson.dumps(result.data), errors


def _asked(api: FakeThreadsApi) -> list[Any]:
    """What was asked of the port, however it was put together."""
    return sorted((name, repr(key)) for name, keys in api.calls for key in keys)


def _all_below(type_name: str, depth: int) -> str:
    """Select every field without arguments, and all below it; each under a name that is its type's own."""
    type_ = GENERAL._schema.type_map[type_name]
    if is_abstract_type(type_):
        possible = [one.name for one in GENERAL._schema.get_possible_types(type_)]
        return " ".join(["__typename", *(f"... on {name} {{ {_all_below(name, depth)} }}" for name in possible)])
    assert isinstance(type_, GraphQLObjectType)
    selected = ["__typename"]
    for name, field in type_.fields.items():
        named = get_named_type(field.type)
        if field.args or (not is_leaf_type(named) and not depth):
            continue
        below = "" if is_leaf_type(named) else f" {{ {_all_below(named.name, depth - 1)} }}"
        selected.append(f"{type_name}_{name}: {name}{below}")
    return " ".join(selected)


def _rich() -> FakeThreadsApi:
    """A conversation with parts of every kind, known and unknown, whole and broken."""
    api = conversation()
    citation = {
        "type": "file_citation",
        "text": "[1]",
        "start_index": 0,
        "end_index": 3,
        "file_citation": {"file_id": "f"},
    }
    path = {"type": "file_path", "text": "[2]", "start_index": 4.0, "end_index": 7, "file_path": {"file_id": "g"}}
    content = [
        {"type": "text", "text": {"value": "[1] [2]", "annotations": [citation, path, {"type": "new"}, 7]}},
        {"type": "image_file", "image_file": {"file_id": "file_1", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "refusal", "refusal": "No."},
        {"type": "hologram"},
        {"type": "text", "text": 5},
        None,
    ]
    api.messages[MESSAGE] = message(
        "msg_1", content=content, run_id="run_1", assistant_id="asst_1", metadata={"a": "b"}
    )
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{broken"}}, {"type": "odd"}]
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "file_search"}, {"type": "odd"}]
    api.runs[RUN] = run(
        "run_1",
        status="requires_action",
        required_action={"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}},
        tools=tools,
        tool_choice={"type": "function", "function": {"name": "f"}},
        response_format={"type": "json_schema", "json_schema": {"name": "s"}},
        usage={"prompt_tokens": 1, "prompt_token_details": {"cached_tokens": 1}},
        last_error={"code": "new_code", "message": "Something."},
    )
    code = {
        "type": "code_interpreter",
        "code_interpreter": {"input": "1", "outputs": [{"type": "logs", "logs": "1"}, {}]},
    }
    api.run_steps[STEP] = run_step(
        "step_1", type="tool_calls", step_details={"type": "tool_calls", "tool_calls": [code, *calls]}
    )
    return api


@pytest.mark.filterwarnings("ignore:.*is deprecated")  # the schema's own deprecated fields are asked for too
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=operations(), seed=st.integers(0, 20))
async def test_random_operations_are_answered_the_same(document: str, seed: int) -> None:
    compiled, general = random_world(seed), random_world(seed)
    answer = await _answer(COMPILED, document, compiled, yes=True)
    assert answer == await _answer(GENERAL, document, general, yes=True)
    assert _asked(compiled) == _asked(general)


@pytest.mark.filterwarnings("ignore:.*is deprecated")  # the schema's own deprecated fields are asked for too
@pytest.mark.parametrize("key", [ThreadKey("thread_1"), MESSAGE, RUN, STEP], ids=lambda key: type(key).__name__)
async def test_everything_is_answered_the_same(key: Any) -> None:
    name = type(key).__name__.removesuffix("Key")
    document = f'{{ node(id: "{to_global_id(key)}") {{ ... on {name} {{ {_all_below(name, 3)} }} }} }}'
    compiled = await _answer(COMPILED, document, _rich())
    assert compiled[0].count(b'"') > 40
    assert compiled == await _answer(GENERAL, document, _rich())


@pytest.mark.parametrize("number", [1.5, 2**31, 1e300, -1])
async def test_a_number_is_answered_or_refused_the_same(number: float) -> None:
    document = f'{{ run(id: "{to_global_id(RUN)}") {{ id maxPromptTokens usage {{ promptTokens totalTokens }} }} }}'
    answers = []
    for schema in (COMPILED, GENERAL):
        api = FakeThreadsApi()
        wire = run("run_1")
        api.runs[RUN] = msgspec.structs.replace(wire, max_prompt_tokens=number, usage={"prompt_tokens": number})
        answers.append(await _answer(schema, document, api))
    assert answers[0] == answers[1]


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
    compiled = await _answer(COMPILED, document, api)
    assert compiled[1]
    # An unexpected error has a log id of its own.
    general = await _answer(GENERAL, document, api)
    assert compiled[0] == general[0]
    assert [path for _, path, _ in compiled[1]] == [path for _, path, _ in general[1]]


async def test_a_null_for_a_condition_is_reported_at_its_field_and_takes_no_sibling_along() -> None:
    api = FakeThreadsApi()
    api.runs[RUN] = run("run_1", usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
    document = f"""query ($more: Boolean = true) {{
        run(id: "{to_global_id(RUN)}") {{ status usage {{ totalTokens promptTokens @include(if: $more) }} }}
    }}"""
    answers = [await _answer(schema, document, api, more=None) for schema in (COMPILED, GENERAL)]
    assert answers[0] == answers[1]
    assert orjson.loads(answers[0][0]) == {"run": {"status": "COMPLETED", "usage": None}}


async def test_nothing_usual_is_left_to_graphql_core() -> None:
    document = """query ($id: ID!, $last: Int) {
        thread(id: $id) {
            __typename metadata
            messages(last: $last) {
                edges { cursor node { text content { __typename } run { status thread { id } } } }
            }
            runs(first: 101) {
                nodes { usage { totalTokens } steps { nodes { details { __typename } run { model } } } }
            }
            activeRun { status }
        }
        many: threadsByIds(ids: [$id, "thread_gone"]) { id createdAt }
        nodes(ids: ["VGhyZWFkOnRocmVhZF8xOjRhODM"]) { id ... on Thread { createdAt } }
        upstream { version }
    }"""
    unaided = await _answer(UNAIDED, document, conversation(), id="thread_1", last=2)
    assert unaided == await _answer(GENERAL, document, conversation(), id="thread_1", last=2)
    assert unaided[1] == []


async def test_what_failed_is_done_again_by_the_objects_it_lies_in_and_asked_for_by_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = []

    class Counted(PlanExecution):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            attempts.append(self)

    monkeypatch.setattr(executor, "PlanExecution", Counted)
    api = FakeThreadsApi(threads={ThreadKey(f"thread_{number}"): thread(f"thread_{number}") for number in range(20)})
    fields = (f't{number}: threadsByIds(ids: ["thread_{number}", "{to_global_id(MESSAGE)}"])' for number in range(20))
    aliases = " ".join(f"{field} {{ createdAt }}" for field in fields)
    compiled = await _answer(COMPILED, f"{{ {aliases} }}", api)
    assert len(compiled[1]) == 20
    assert len(attempts) == 1 + 20  # the operation, then each thread
    assert sorted(key[0] for _, keys in api.calls for key in keys) == sorted(f"thread_{n}" for n in range(20))


async def test_a_walk_that_is_begun_again_shares_its_first_page() -> None:
    api = conversation()
    document = """{
        a: assistants(first: 150) { nodes { id } }
        b: assistants(first: 20) { nodes { id } }
        node(id: "bad") { id }
    }"""
    compiled = await _answer(COMPILED, document, api)
    assert len(compiled[1]) == 1
    assert api.calls == [("list_assistants", (AssistantPageKey(Window(100, "asc")),))]


async def test_an_operation_whose_caller_leaves_leaves_nothing_behind() -> None:
    api = GatedThreadsApi(conversation(150))
    before = asyncio.all_tasks()
    context = Context(api)
    document = '{ thread(id: "thread_1") { createdAt messages(first: 150) { nodes { id } } activeRun { id } } }'
    running = asyncio.create_task(COMPILED.execute(document, context_value=context))
    await ticks()
    assert api.calls
    running.cancel()
    await asyncio.wait([running])
    await context.aclose()
    await ticks()
    assert asyncio.all_tasks() == before

"""Compiled execution gives the same data in the same order, and the same errors, as graphql-core."""

import asyncio
from functools import partial
from typing import Any

import msgspec
import orjson
import pytest
import strawberry
from graphql import GraphQLObjectType, OperationType, get_named_type, is_abstract_type, is_leaf_type
from hypothesis import given
from hypothesis import strategies as st
from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import convert_argument

from schema.contract.keys import MessageKey, RunKey, RunStepKey, ThreadKey, to_global_id
from schema.contract.kinds import AssistantPageKey
from schema.contract.paging import Window
from schema.engine import executor
from schema.engine.context import Context
from schema.engine.direct_calls import enable_direct_calls
from schema.engine.executor import CompiledExecutor, build_executor
from schema.engine.plan_execution import PlanExecution
from schema.engine.public_errors import OperationRefusedError, to_public_errors
from schema.graph.mutations import Mutation
from schema.graph.nodes import NODE_TYPES
from schema.graph.queries import Query
from schema.graph.scalars import SCALARS
from tests.schema.builders import SCHEMA, GatedThreadsApi, conversation, run_ready_tasks
from tests.schema.random_operations import operations, random_content_urls, random_threads_api, random_viewer_api
from tests.support.fake_content_urls import FakeContentUrls
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.fake_viewer_api import FakeViewerApi
from tests.support.full_runs import examples
from tests.support.wire_samples import message, run, run_step, thread


class PlansOnly(CompiledExecutor):
    """An executor that fails if graphql-core has to execute a field."""

    def execute_field(self, *_: Any) -> Any:
        raise AssertionError("expected all fields to be executed by plans")


def _schema(executor_class: type[CompiledExecutor] | None) -> strawberry.Schema:
    schema = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        types=[*NODE_TYPES.values()],
        config=StrawberryConfig(scalar_map=SCALARS),
        execution_context_class=executor_class,
    )
    if executor_class is not None:
        scalars = schema.schema_converter.scalar_registry
        convert = partial(convert_argument, scalar_registry=scalars, config=schema.config)
        enable_direct_calls(schema._schema, convert)
    return schema


COMPILED, PLANS_ONLY, CORE = _schema(CompiledExecutor), _schema(PlansOnly), _schema(None)
# Both start the same loads ahead of their fields, so that their calls can be compared.
CORE._schema.extensions["loading-fields"] = COMPILED._schema.extensions["loading-fields"]
MESSAGE, RUN, STEP = (
    MessageKey("thread_1", "msg_1"),
    RunKey("thread_1", "run_1"),
    RunStepKey("thread_1", "run_1", "step_1"),
)


async def _execute(
    schema: strawberry.Schema,
    document: str,
    api: FakeThreadsApi,
    viewer: FakeViewerApi | None = None,
    content_urls: FakeContentUrls | None = None,
    **variables: Any,
) -> Any:
    context = Context(api, viewer=viewer)
    context.content_urls = content_urls
    try:
        result = await schema.execute(document, variable_values=variables, context_value=context)
        # Loads below an object that turns out to be missing start ahead of it. The end of an operation cancels those
        # that have not left yet, so the calls are the same only once all have left.
        await run_ready_tasks()
    finally:
        await context.aclose()
    errors = [(error.message, error.path, error.extensions) for error in to_public_errors(result.errors or [])]
    errors.sort(key=lambda error: repr(error[1]))  # errors come in the order of time
    # Compare text, so that the order of the fields counts too.
    return orjson.dumps(result.data), errors


def _called_keys(api: FakeThreadsApi) -> list[Any]:
    """Return the port's calls as single keys, without their batches."""
    return sorted((name, repr(key)) for name, keys in api.calls for key in keys)


def _all_below(type_name: str, depth: int) -> str:
    """Write a selection of every field without arguments, at any depth, with aliases that are unique per type."""
    type_ = CORE._schema.type_map[type_name]
    if is_abstract_type(type_):
        possible = [one.name for one in CORE._schema.get_possible_types(type_)]
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


def _rich_conversation() -> FakeThreadsApi:
    """Make a conversation with parts of every kind: known, unknown, valid and broken."""
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


@pytest.mark.filterwarnings("ignore:.*is deprecated")  # the test also selects the schema's deprecated fields
@examples(60)
@given(document=operations(), seed=st.integers(0, 20))
async def test_random_operations_have_the_same_result(document: str, seed: int) -> None:
    compiled, core = random_threads_api(seed), random_threads_api(seed)
    viewer, core_viewer = random_viewer_api(seed), random_viewer_api(seed)
    urls, core_urls = random_content_urls(seed), random_content_urls(seed)
    result = await _execute(COMPILED, document, compiled, viewer, urls, yes=True)
    assert result == await _execute(CORE, document, core, core_viewer, core_urls, yes=True)
    assert _called_keys(compiled) == _called_keys(core)
    assert sorted(viewer.calls, key=repr) == sorted(core_viewer.calls, key=repr)
    assert sorted(id_ for call in urls.calls for id_ in call) == sorted(id_ for call in core_urls.calls for id_ in call)


@pytest.mark.filterwarnings("ignore:.*is deprecated")  # the test also selects the schema's deprecated fields
@pytest.mark.parametrize("key", [ThreadKey("thread_1"), MESSAGE, RUN, STEP], ids=lambda key: type(key).__name__)
async def test_every_field_has_the_same_result(key: Any) -> None:
    name = type(key).__name__.removesuffix("Key")
    document = f'{{ node(id: "{to_global_id(key)}") {{ ... on {name} {{ {_all_below(name, 3)} }} }} }}'
    compiled = await _execute(COMPILED, document, _rich_conversation())
    assert compiled[0].count(b'"') > 40
    assert compiled == await _execute(CORE, document, _rich_conversation())


@pytest.mark.parametrize("number", [1.5, 2**31, 1e300, -1])
async def test_a_number_has_the_same_result_or_refusal(number: float) -> None:
    document = f'{{ run(id: "{to_global_id(RUN)}") {{ id maxPromptTokens usage {{ promptTokens totalTokens }} }} }}'
    results = []
    for schema in (COMPILED, CORE):
        api = FakeThreadsApi()
        wire = run("run_1")
        api.runs[RUN] = msgspec.structs.replace(wire, max_prompt_tokens=number, usage={"prompt_tokens": number})
        results.append(await _execute(schema, document, api))
    assert results[0] == results[1]


async def test_a_fault_below_a_lookup_leaves_the_others_of_its_list(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    document = '{ threadsByIds(ids: ["thread_1", "thread_2"]) { createdAt } upstream { version } }'
    monkeypatch.setattr(FakeThreadsApi, "_answer", fail)
    for schema in (COMPILED, CORE):
        data, errors = await _execute(schema, document, conversation())
        assert orjson.loads(data)["threadsByIds"] == [None, None]
        assert [path for _, path, _ in errors] == [["threadsByIds", 0], ["threadsByIds", 1]]


async def test_a_value_that_its_type_refuses_has_the_same_error() -> None:
    api = FakeThreadsApi()
    api.threads[ThreadKey("thread_1")] = msgspec.structs.replace(thread("thread_1"), created_at=1e300)
    api.runs[RUN] = run("run_1", usage={"prompt_tokens": 2**40}, max_prompt_tokens=2**40)
    api.messages[MESSAGE] = msgspec.structs.replace(message("msg_1", role="someone new"), created_at=-1e300)
    document = f"""{{
        thread(id: "thread_1") {{ id createdAt metadata }}
        run(id: "{to_global_id(RUN)}") {{ maxPromptTokens usage {{ promptTokens completionTokens }} status }}
        message(id: "{to_global_id(MESSAGE)}") {{ role createdAt id }}
    }}"""
    compiled = await _execute(COMPILED, document, api)
    assert compiled[1]
    # Messages differ, because an unexpected error has its own log id.
    core = await _execute(CORE, document, api)
    assert compiled[0] == core[0]
    assert [path for _, path, _ in compiled[1]] == [path for _, path, _ in core[1]]


async def test_a_null_condition_is_reported_at_its_field_and_does_not_affect_siblings() -> None:
    api = FakeThreadsApi()
    api.runs[RUN] = run("run_1", usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
    document = f"""query ($more: Boolean = true) {{
        run(id: "{to_global_id(RUN)}") {{ status usage {{ totalTokens promptTokens @include(if: $more) }} }}
    }}"""
    results = [await _execute(schema, document, api, more=None) for schema in (COMPILED, CORE)]
    assert results[0] == results[1]
    assert orjson.loads(results[0][0]) == {"run": {"status": "COMPLETED", "usage": None}}


async def test_ordinary_fields_are_executed_by_plans_alone() -> None:
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
    plans_only = await _execute(PLANS_ONLY, document, conversation(), id="thread_1", last=2)
    assert plans_only == await _execute(CORE, document, conversation(), id="thread_1", last=2)
    assert plans_only[1] == []


async def test_after_a_failure_only_the_enclosing_objects_are_executed_again_without_new_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    executions = []

    class Counted(PlanExecution):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            executions.append(self)

    monkeypatch.setattr(executor, "PlanExecution", Counted)
    api = FakeThreadsApi(threads={ThreadKey(f"thread_{number}"): thread(f"thread_{number}") for number in range(20)})
    fields = (f't{number}: threadsByIds(ids: ["thread_{number}", "{to_global_id(MESSAGE)}"])' for number in range(20))
    aliases = " ".join(f"{field} {{ createdAt }}" for field in fields)
    compiled = await _execute(COMPILED, f"{{ {aliases} }}", api)
    assert len(compiled[1]) == 20
    assert len(executions) == 1 + 20  # the operation, then each thread
    assert sorted(key[0] for _, keys in api.calls for key in keys) == sorted(f"thread_{n}" for n in range(20))


async def test_a_page_walk_that_is_executed_again_shares_its_first_page() -> None:
    api = conversation()
    document = """{
        a: assistants(first: 150) { nodes { id } }
        b: assistants(first: 20) { nodes { id } }
        node(id: "bad") { id }
    }"""
    compiled = await _execute(COMPILED, document, api)
    assert len(compiled[1]) == 1
    assert api.calls == [("list_assistants", (AssistantPageKey(Window(100, "asc")),))]


async def test_a_cancelled_operation_leaves_no_task_behind() -> None:
    api = GatedThreadsApi(conversation(150))
    before = asyncio.all_tasks()
    context = Context(api)
    document = '{ thread(id: "thread_1") { createdAt messages(first: 150) { nodes { id } } activeRun { id } } }'
    running = asyncio.create_task(COMPILED.execute(document, context_value=context))
    await run_ready_tasks()
    assert api.calls
    running.cancel()
    await asyncio.wait([running])
    await context.aclose()
    await run_ready_tasks()
    assert asyncio.all_tasks() == before


TWO = "query A ($n: Int = 3) { assistants(first: $n) { nodes { id } } } mutation B { nothing: __typename }"


def build(text: str, name: str | None = None, variables: dict[str, Any] | None = None) -> Any:
    document = SCHEMA.documents.parse(text)
    return build_executor(SCHEMA, document, operation_name=name, variables=variables, context=None)


def test_a_built_executor_has_the_documents_plans_the_operation_and_its_variables() -> None:
    first, second = build(TWO, "A"), build(TWO, "B")
    assert first.plans is second.plans is SCHEMA.documents.parse(TWO).plans
    assert [one.operation.operation for one in (first, second)] == [OperationType.QUERY, OperationType.MUTATION]
    assert first.variable_values.coerced == {"n": 3}


@pytest.mark.parametrize(
    ("text", "name", "variables", "message"),
    [
        ("{", None, None, "Syntax Error"),
        ("{ nonsense }", None, None, "Cannot query field 'nonsense'"),
        (TWO, None, None, "Must provide operation name"),
        (TWO, "C", None, "Unknown operation named 'C'"),
        (TWO, "A", {"n": "many"}, "Int cannot represent"),
    ],
)
def test_an_operation_that_cannot_start_is_refused_with_the_reason(
    text: str, name: str | None, variables: dict[str, Any] | None, message: str
) -> None:
    with pytest.raises(OperationRefusedError, match=message):
        build(text, name, variables)


async def test_a_selection_on_an_interface_has_the_same_result_without_graphql_core() -> None:
    document = """query ($id: ID!) { node(id: $id) { ... on RunStep { details { ... on ToolCallsDetails { toolCalls {
        __typename ... on ToolCallBase { called: callId ...Call ... on FunctionToolCall { name } } } } } } } }
        fragment Call on ToolCallBase { callId }"""
    results = [
        await _execute(schema, document, _rich_conversation(), id=to_global_id(STEP))
        for schema in (PLANS_ONLY, COMPILED, CORE)
    ]
    assert results[0] == results[1] == results[2]
    calls = orjson.loads(results[0][0])["node"]["details"]["toolCalls"]
    assert calls[1] == {"__typename": "FunctionToolCall", "called": "c", "callId": "c", "name": "f"}
    assert calls[2] == {"__typename": "UnknownToolCall", "called": None, "callId": None}


async def test_a_payload_is_read_by_its_interface() -> None:
    document = """mutation { createThread(input: { clientMutationId: "mine" }) {
        ... on MutationPayload {
            userErrors { code } clientMutationId ... on CreateThreadPayload { thread { id } } } } }"""
    compiled = await _execute(COMPILED, document, conversation())
    assert compiled == await _execute(CORE, document, conversation())
    assert orjson.loads(compiled[0])["createThread"]["clientMutationId"] == "mine"

"""Each node's fields on objects as servers send them, through the real schema."""

from typing import Any

import pytest

from schema.contract.keys import AssistantKey, MessageKey, RunKey, RunStepKey, ThreadKey, to_global_id
from schema.contract.wire import MessageObject, RunObject, RunStepObject
from schema.graph.nodes import NODE_TYPES
from tests.schema.builders import SCHEMA, THREAD, conversation, data_of, errors_of, execute
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import assistant, message, run, run_step, thread

RUN = RunKey("thread_1", "run_1")
MESSAGE = MessageKey("thread_1", "msg_1")
STEP = RunStepKey("thread_1", "run_1", "step_1")


async def message_with(selection: str, sent: MessageObject) -> Any:
    api = FakeThreadsApi(threads={THREAD: thread()}, messages={MESSAGE: sent})
    document = f"query ($id: ID!) {{ message(id: $id) {{ {selection} }} }}"
    return (await data_of(api, document, {"id": to_global_id(MESSAGE)}))["message"]


async def run_with(selection: str, sent: RunObject) -> Any:
    api = FakeThreadsApi(threads={THREAD: thread()}, runs={RUN: sent})
    document = f"query ($id: ID!) {{ run(id: $id) {{ {selection} }} }}"
    return (await data_of(api, document, {"id": to_global_id(RUN)}))["run"]


async def step_with(selection: str, sent: RunStepObject) -> Any:
    api = FakeThreadsApi(threads={THREAD: thread()}, runs={RUN: run()}, run_steps={STEP: sent})
    document = f"query ($id: ID!) {{ node(id: $id) {{ ... on RunStep {{ {selection} }} }} }}"
    return (await data_of(api, document, {"id": to_global_id(STEP)}))["node"]


async def test_a_thread() -> None:
    document = """
        {
            thread(id: "thread_1") {
                id upstreamId createdAt metadata
                toolResources { codeInterpreterFileIds vectorStoreIds }
            }
        }
    """
    resources = {"code_interpreter": {"file_ids": ["file-1"]}}
    api = FakeThreadsApi(threads={THREAD: thread(metadata={"a": "b"}, tool_resources=resources)})
    assert await data_of(api, document) == {
        "thread": {
            "id": to_global_id(THREAD),
            "upstreamId": "thread_1",
            "createdAt": "2023-11-03T11:08:29Z",
            "metadata": {"a": "b"},
            "toolResources": {"codeInterpreterFileIds": ["file-1"], "vectorStoreIds": []},
        }
    }
    api.threads[THREAD] = thread(metadata=None)
    bare = (await data_of(api, document))["thread"]
    assert (bare["metadata"], bare["toolResources"]) == ({}, None)


@pytest.mark.parametrize(
    ("status", "active"), [("queued", True), ("requires_action", True), ("brand_new", True), ("completed", False)]
)
async def test_the_active_run_is_the_newest_one_unless_it_is_terminal(status: str, active: bool) -> None:
    api = conversation()
    api.runs[RunKey("thread_1", "run_2")] = run("run_2", created_at=1_700_000_000, status=status)
    data = await data_of(api, '{ thread(id: "thread_1") { activeRun { upstreamId status } } }')
    found = data["thread"]["activeRun"]
    assert (found is not None and found["upstreamId"] == "run_2") is active


async def test_a_thread_without_runs_has_no_active_one() -> None:
    api = FakeThreadsApi(threads={THREAD: thread()})
    assert await data_of(api, '{ thread(id: "thread_1") { activeRun { id } } }') == {"thread": {"activeRun": None}}


@pytest.mark.parametrize("run_id", ["run_1", to_global_id(RUN)])
async def test_the_messages_of_a_thread_can_be_narrowed_down_to_those_of_a_run(run_id: str) -> None:
    document = """
        query ($run: ID!, $after: String) {
            thread(id: "thread_1") {
                messages(first: 1, runId: $run, after: $after) { nodes { upstreamId } pageInfo { endCursor } }
            }
        }
    """
    api = conversation(messages=4)
    page = (await data_of(api, document, {"run": run_id}))["thread"]["messages"]
    assert page["nodes"] == [{"upstreamId": "msg_2"}]
    rest = await data_of(api, document, {"run": run_id, "after": page["pageInfo"]["endCursor"]})
    assert rest["thread"]["messages"]["nodes"] == [{"upstreamId": "msg_4"}]


@pytest.mark.parametrize("run_id", [to_global_id(RunKey("thread_2", "run_1")), to_global_id(THREAD), "a/b", ""])
async def test_a_run_of_another_thread_is_refused_as_a_filter(run_id: str) -> None:
    document = 'query ($run: ID!) { thread(id: "thread_1") { messages(runId: $run) { nodes { id } } } }'
    result = await execute(conversation(), document, {"run": run_id})
    assert result.data == {"thread": {"messages": None}}
    assert errors_of(result) == [(["thread", "messages"], "BAD_USER_INPUT")]


async def test_a_message_as_rest_gives_it_lacks_what_only_streams_have() -> None:
    selection = """
        role status incompleteReason completedAt incompleteAt text content { __typename } attachments { fileId }
        assistantId runId metadata fileIds
    """
    assert await message_with(selection, message()) == {
        "role": "USER",
        "status": None,
        "incompleteReason": None,
        "completedAt": None,
        "incompleteAt": None,
        "text": "",
        "content": [],
        "attachments": [],
        "assistantId": None,
        "runId": None,
        "metadata": {},
        "fileIds": [],
    }


async def test_a_message_of_another_server() -> None:
    sent = message(
        created_at=1795329859.5,
        role="tool",
        status="incomplete",
        incomplete_details={"reason": "max_tokens"},
        incomplete_at=1795329859.0,
        content="a bare string",
        attachments=[{"file_id": "file-1", "tools": [{"type": "brand_new"}]}],
        metadata={"count": 1},
        file_ids=["file-1"],
        surprise=True,
    )
    selection = """
        createdAt role status incompleteReason incompleteAt text content { ... on TextContent { text } }
        attachments { fileId tools } metadata fileIds
    """
    assert await message_with(selection, sent) == {
        "createdAt": "2026-11-22T06:44:19.500Z",
        "role": "UNRECOGNIZED",
        "status": "INCOMPLETE",
        "incompleteReason": "max_tokens",
        "incompleteAt": "2026-11-22T06:44:19Z",
        "text": "a bare string",
        "content": [{"text": "a bare string"}],
        "attachments": [{"fileId": "file-1", "tools": ["UNRECOGNIZED"]}],
        "metadata": {"count": "1"},
        "fileIds": ["file-1"],
    }


async def test_content_of_every_kind_and_of_none() -> None:
    selection = """
        content {
            __typename
            ... on TextContent { text annotations { __typename ... on UnknownAnnotation { type raw } } }
            ... on ImageFileContent { fileId detail }
            ... on UnknownContent { type raw }
        }
    """
    link = {"type": "url_citation", "url_citation": {"url": "https://x.test"}}
    sent = message(
        content=[
            {"type": "text", "text": {"value": "é🙂", "annotations": [link]}},
            {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "huge"}},
            {"type": "hologram", "hologram": [1]},
            None,
        ]
    )
    unknown_link = {"__typename": "UnknownAnnotation", "type": "url_citation", "raw": link}
    assert (await message_with(selection, sent))["content"] == [
        {"__typename": "TextContent", "text": "é🙂", "annotations": [unknown_link]},
        {"__typename": "ImageFileContent", "fileId": "file-1", "detail": "UNRECOGNIZED"},
        {"__typename": "UnknownContent", "type": "hologram", "raw": {"type": "hologram", "hologram": [1]}},
        {"__typename": "UnknownContent", "type": "", "raw": {}},
    ]


BARE_RUN = """
    status isTerminal requiredAction { __typename } lastError { code } incompleteReason expiresAt startedAt cancelledAt
    failedAt completedAt model instructions tools { __typename } temperature topP maxPromptTokens maxCompletionTokens
    truncationStrategy { type } toolChoice parallelToolCalls responseFormat usage { totalTokens } metadata fileIds
    assistantId
"""


async def test_a_run_of_the_first_days_has_few_keys() -> None:
    found = await run_with(BARE_RUN, run(status="queued", assistant_id=None, tools=None, required_action=None))
    empty = {"status": "QUEUED", "isTerminal": False, "tools": [], "metadata": {}, "fileIds": []}
    assert found == dict.fromkeys(found) | empty


async def test_a_run_with_everything() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "not json"}}
    sent = run(
        status="requires_action",
        required_action={"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [call]}},
        last_error={"code": "tool_user_error", "message": "x"},
        incomplete_details={"reason": "max_prompt_tokens"},
        expires_at=1,
        started_at=2,
        cancelled_at=3,
        failed_at=4,
        completed_at=5,
        model="m",
        instructions="i",
        tools=[{"type": "function", "function": {"name": "f"}}, {"type": "bing_grounding"}],
        temperature=1,
        top_p=0.5,
        max_prompt_tokens=256,
        max_completion_tokens=512,
        truncation_strategy={"type": "last_messages", "last_messages": 3},
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
        response_format="auto",
        usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        file_ids=["file-1"],
    )
    selection = BARE_RUN.replace(
        "requiredAction { __typename }",
        "requiredAction { ... on SubmitToolOutputsAction { toolCalls { id name arguments parsedArguments output } } }",
    ).replace(
        "usage { totalTokens }", "usage { promptTokens completionTokens totalTokens cachedTokens reasoningTokens }"
    )
    assert await run_with(selection, sent) == {
        "status": "REQUIRES_ACTION",
        "isTerminal": False,
        "requiredAction": {
            "toolCalls": [
                {"id": "call_1", "name": "f", "arguments": "not json", "parsedArguments": None, "output": None}
            ]
        },
        "lastError": {"code": "tool_user_error"},
        "incompleteReason": "max_prompt_tokens",
        "expiresAt": "1970-01-01T00:00:01Z",
        "startedAt": "1970-01-01T00:00:02Z",
        "cancelledAt": "1970-01-01T00:00:03Z",
        "failedAt": "1970-01-01T00:00:04Z",
        "completedAt": "1970-01-01T00:00:05Z",
        "model": "m",
        "instructions": "i",
        "tools": [{"__typename": "FunctionTool"}, {"__typename": "UnknownTool"}],
        "temperature": 1.0,
        "topP": 0.5,
        "maxPromptTokens": 256,
        "maxCompletionTokens": 512,
        "truncationStrategy": {"type": "last_messages"},
        "toolChoice": {"type": "function", "function": {"name": "f"}},
        "parallelToolCalls": False,
        "responseFormat": "auto",
        "usage": {
            "promptTokens": 1, "completionTokens": 2, "totalTokens": 3, "cachedTokens": None, "reasoningTokens": None,
        },
        "metadata": {},
        "fileIds": ["file-1"],
        "assistantId": "asst_1",
    }  # fmt: skip


STEP_FIELDS = """
    upstreamId type status createdAt expiredAt cancelledAt failedAt completedAt lastError { code message }
    usage { totalTokens } metadata assistantId
    details {
        __typename
        ... on ToolCallsDetails {
            toolCalls {
                __typename
                ... on UnknownToolCall { id type raw }
                ... on CodeInterpreterToolCall { outputs { __typename } }
            }
        }
        ... on UnknownStepDetails { type raw }
    }
"""


@pytest.mark.parametrize("details", [{}, {"step_details": None}, {"step_details": {}}])
async def test_a_step_without_details_is_still_a_step(details: dict[str, Any]) -> None:
    found = await step_with(STEP_FIELDS, run_step(type="brand_new", status="brand_new", **details))
    known = {
        "upstreamId": "step_1",
        "createdAt": "2023-11-03T11:08:29Z",
        "type": "UNRECOGNIZED",
        "status": "UNRECOGNIZED",
        "metadata": {},
        "details": {"__typename": "UnknownStepDetails", "type": "", "raw": {}},
    }
    assert found == dict.fromkeys(found) | known


async def test_a_step_with_tool_calls_of_every_kind_and_of_none() -> None:
    unknown = {"id": "call_2", "type": "browser", "browser": {}}
    code = {
        "id": "call_1",
        "type": "code_interpreter",
        "code_interpreter": {"input": "1", "outputs": [{"type": "logs", "logs": "1"}]},
    }
    sent = run_step(type="tool_calls", step_details={"type": "tool_calls", "tool_calls": [code, unknown]})
    assert (await step_with(STEP_FIELDS, sent))["details"] == {
        "__typename": "ToolCallsDetails",
        "toolCalls": [
            {"__typename": "CodeInterpreterToolCall", "outputs": [{"__typename": "CodeInterpreterLogs"}]},
            {"__typename": "UnknownToolCall", "id": "call_2", "type": "browser", "raw": unknown},
        ],
    }
    empty = run_step(type="tool_calls", step_details={"type": "tool_calls", "tool_calls": None})
    assert (await step_with(STEP_FIELDS, empty))["details"] == {"__typename": "ToolCallsDetails", "toolCalls": []}


@pytest.mark.parametrize("details", [{"type": "activities", "activities": []}, {"type": "message_creation"}])
async def test_a_step_of_an_unknown_kind_or_shape_keeps_its_json(details: dict[str, object]) -> None:
    found = await step_with(STEP_FIELDS, run_step(type="activities", step_details=details))
    assert found["details"] == {"__typename": "UnknownStepDetails", "type": details["type"], "raw": details}


async def test_an_assistant_of_either_version() -> None:
    document = """
        {
            assistant(id: "asst_1") {
                id upstreamId createdAt name description model instructions
                tools { ... on FileSearchTool { type maxNumResults } }
                toolResources { vectorStoreIds } temperature topP responseFormat metadata fileIds
            }
        }
    """
    sent = assistant(
        name="n",
        tools=[{"type": "file_search"}],
        tool_resources={"file_search": {"vector_store_ids": ["vs_1"]}},
        response_format={"type": "json_object"},
        file_ids=None,
    )
    found = (await data_of(FakeThreadsApi(assistants={AssistantKey("asst_1"): sent}), document))["assistant"]
    assert found == dict.fromkeys(found) | {
        "id": to_global_id(AssistantKey("asst_1")),
        "upstreamId": "asst_1",
        "createdAt": "2023-11-03T11:08:29Z",
        "name": "n",
        "model": "gpt-4o-mini",
        "tools": [{"type": "file_search", "maxNumResults": None}],
        "toolResources": {"vectorStoreIds": ["vs_1"]},
        "responseFormat": {"type": "json_object"},
        "metadata": {},
        "fileIds": [],
    }


@pytest.mark.parametrize(
    ("sent", "selection", "path"),
    [
        (run(completed_at=1_795_329_859_000), "completedAt", "completedAt"),
        (run(usage={"total_tokens": 2**31}), "usage { totalTokens }", "usage"),
    ],
)
async def test_what_the_graph_cannot_hold_is_the_upstreams_fault_and_costs_its_own_field(
    sent: RunObject, selection: str, path: str
) -> None:
    api = FakeThreadsApi(threads={THREAD: thread()}, runs={RUN: sent})
    document = f"query ($id: ID!) {{ run(id: $id) {{ upstreamId {selection} }} }}"
    result = await execute(api, document, {"id": to_global_id(RUN)})
    assert result.data == {"run": {"upstreamId": "run_1", path: None}}
    ((_, code),) = errors_of(result)
    assert code == "UPSTREAM_INVALID_RESPONSE"


async def test_a_count_that_came_as_a_float_is_an_integer_and_a_usage_that_cannot_be_read_is_none() -> None:
    sent = run(max_prompt_tokens=300.0, max_completion_tokens=400.5, usage={"prompt_tokens": "many"})
    made = await run_with("maxPromptTokens maxCompletionTokens usage { promptTokens }", sent)
    assert repr(made) == repr({"maxPromptTokens": 300, "maxCompletionTokens": None, "usage": None})
    step = await step_with("usage { promptTokens }", run_step(usage={"prompt_tokens": 4.0}))
    assert repr(step) == repr({"usage": {"promptTokens": 4}})


def test_every_node_type_names_its_own_fields() -> None:
    for key_type, node_type in NODE_TYPES.items():
        definition: Any = SCHEMA.get_type_by_name(node_type.TYPE_NAME)
        names = {SCHEMA.config.name_converter.get_graphql_name(field) for field in definition.fields}
        name = key_type.__name__.removesuffix("Key")
        assert name == node_type.TYPE_NAME
        assert node_type.FIELDS_OF_KEY - {"__typename"} <= names
        assert set(node_type.LISTS) <= node_type.FIELDS_OF_KEY


def test_a_key_of_each_type_finds_its_node_type() -> None:
    assert NODE_TYPES[ThreadKey].TYPE_NAME == "Thread"
    assert len(NODE_TYPES) == 6

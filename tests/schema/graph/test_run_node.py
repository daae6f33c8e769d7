"""The fields of a run as servers send it, through the real schema."""

from typing import Any

import pytest

from schema.contract.keys import RunKey, to_file_id, to_global_id
from schema.contract.statuses import TERMINAL_STATUSES
from schema.contract.wire import RunObject
from tests.schema.builders import THREAD, execute, paths_and_codes, query_data
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import run, thread

RUN = RunKey("thread_1", "run_1")


async def run_with(selection: str, sent: RunObject) -> Any:
    api = FakeThreadsApi(threads={THREAD: thread()}, runs={RUN: sent})
    document = f"query ($id: ID!) {{ run(id: $id) {{ {selection} }} }}"
    return (await query_data(api, document, {"id": to_global_id(RUN)}))["run"]


BARE_RUN = """
    status isTerminal requiredAction { __typename } lastError { code } incompleteReason expiresAt startedAt cancelledAt
    failedAt completedAt model instructions tools { __typename } temperature topP maxPromptTokens maxCompletionTokens
    truncationStrategy { type } toolChoice parallelToolCalls responseFormat usage { totalTokens } metadata fileIds
    assistant { upstreamId }
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
        """requiredAction {
            ... on SubmitToolOutputsAction { toolCalls { callId name arguments parsedArguments output } }
        }""",
    ).replace(
        "usage { totalTokens }", "usage { promptTokens completionTokens totalTokens cachedTokens reasoningTokens }"
    )
    assert await run_with(selection, sent) == {
        "status": "REQUIRES_ACTION",
        "isTerminal": False,
        "requiredAction": {
            "toolCalls": [
                {"callId": "call_1", "name": "f", "arguments": "not json", "parsedArguments": None, "output": None}
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
        "truncationStrategy": {"type": "LAST_MESSAGES"},
        "toolChoice": {"type": "function", "function": {"name": "f"}},
        "parallelToolCalls": False,
        "responseFormat": "auto",
        "usage": {
            "promptTokens": 1, "completionTokens": 2, "totalTokens": 3, "cachedTokens": None, "reasoningTokens": None,
        },
        "metadata": {},
        "fileIds": [to_file_id("file-1")],
        "assistant": {"upstreamId": "asst_1"},
    }  # fmt: skip


async def test_a_value_that_graphql_cannot_represent_is_an_error_of_its_own_field() -> None:
    api = FakeThreadsApi(threads={THREAD: thread()}, runs={RUN: run(usage={"total_tokens": 2**31})})
    document = "query ($id: ID!) { run(id: $id) { upstreamId usage { totalTokens } } }"
    result = await execute(api, document, {"id": to_global_id(RUN)})
    assert result.data == {"run": {"upstreamId": "run_1", "usage": None}}
    ((_, code),) = paths_and_codes(result)
    assert code == "UPSTREAM_INVALID_RESPONSE"


async def test_a_whole_float_is_an_integer_and_unreadable_usage_is_null() -> None:
    sent = run(max_prompt_tokens=300.0, max_completion_tokens=400.5, usage={"prompt_tokens": "many"})
    made = await run_with("maxPromptTokens maxCompletionTokens usage { promptTokens }", sent)
    assert repr(made) == repr({"maxPromptTokens": 300, "maxCompletionTokens": None, "usage": None})


ACTION = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": []}}


@pytest.mark.parametrize(
    ("status", "waits", "expires"),
    [
        *((status, False, False) for status in sorted(TERMINAL_STATUSES)),
        *((status, False, True) for status in ("queued", "in_progress", "cancelling")),
        ("requires_action", True, True),
        ("paused_for_approval", True, True),
        ("", True, True),
    ],
)
async def test_a_left_over_action_or_expiry_is_not_shown(status: str, waits: bool, expires: bool) -> None:
    sent = run(status=status, required_action=ACTION, expires_at=5)
    made = await run_with("requiredAction { __typename } expiresAt", sent)
    assert (made["requiredAction"] is not None, made["expiresAt"] is not None) == (waits, expires)

"""The fields of a run step as servers send it, through the real schema."""

from typing import Any

import pytest

from schema.contract.keys import RunKey, RunStepKey, to_global_id
from schema.contract.wire import RunStepObject
from tests.schema.builders import THREAD, query_data
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import run, run_step, thread

RUN = RunKey("thread_1", "run_1")
STEP = RunStepKey("thread_1", "run_1", "step_1")


async def step_with(selection: str, sent: RunStepObject) -> Any:
    api = FakeThreadsApi(threads={THREAD: thread()}, runs={RUN: run()}, run_steps={STEP: sent})
    document = f"query ($id: ID!) {{ node(id: $id) {{ ... on RunStep {{ {selection} }} }} }}"
    return (await query_data(api, document, {"id": to_global_id(STEP)}))["node"]


STEP_FIELDS = """
    upstreamId type status createdAt expiredAt cancelledAt failedAt completedAt lastError { code message }
    usage { totalTokens } metadata assistant { upstreamId }
    details {
        __typename
        ... on ToolCallsDetails {
            toolCalls {
                __typename
                ... on UnknownToolCall { callId type raw }
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
            {"__typename": "UnknownToolCall", "callId": "call_2", "type": "browser", "raw": unknown},
        ],
    }
    empty = run_step(type="tool_calls", step_details={"type": "tool_calls", "tool_calls": None})
    assert (await step_with(STEP_FIELDS, empty))["details"] == {"__typename": "ToolCallsDetails", "toolCalls": []}


@pytest.mark.parametrize("details", [{"type": "activities", "activities": []}, {"type": "message_creation"}])
async def test_a_step_of_an_unknown_kind_or_shape_keeps_its_json(details: dict[str, object]) -> None:
    found = await step_with(STEP_FIELDS, run_step(type="activities", step_details=details))
    assert found["details"] == {"__typename": "UnknownStepDetails", "type": details["type"], "raw": details}


async def test_a_token_count_sent_as_a_float_is_an_integer() -> None:
    step = await step_with("usage { promptTokens }", run_step(usage={"prompt_tokens": 4.0}))
    assert repr(step) == repr({"usage": {"promptTokens": 4}})

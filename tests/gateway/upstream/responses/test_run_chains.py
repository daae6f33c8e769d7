"""Chains of responses as runs, and items as messages and steps."""

from typing import Any

import pytest
from msgspec import Raw, json

from gateway.upstream.responses.response_wire import ITEM_DECODER, RESPONSE_DECODER, ResponseObject
from gateway.upstream.responses.run_chains import (
    message_from_item,
    run_from_chain,
    step_from_item,
    steps_from_response,
)
from schema.contract.wire import RunObject

CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "f",
    "arguments": "{}",
    "status": "completed",
}
ASKED = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "s", "arguments": "{}", "server_label": "docs"}
TEXT = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": []}


def response(**fields: Any) -> ResponseObject:
    defaults = {"id": "resp_1", "created_at": 10, "status": "completed", "output": [], "model": "m"}
    return RESPONSE_DECODER.decode(json.encode({**defaults, **fields}))


def action_of(run: RunObject) -> Any:
    return json.decode(run.required_action)


@pytest.mark.parametrize("status", ["queued", "in_progress", "completed", "failed", "cancelled", "incomplete"])
def test_a_chain_has_the_status_of_its_last_response(status: str) -> None:
    run = run_from_chain([response(), response(id="resp_2", status=status, completed_at=12)])
    assert (run.id, run.status, run.created_at) == ("resp_1", status, 10)
    assert run.completed_at == (12 if status in {"completed", "incomplete"} else None)


def test_calls_that_nobody_answered_are_waited_for() -> None:
    other = {**CALL, "id": "fc_2", "call_id": "call_2"}
    run = run_from_chain([response(output=[CALL, other], completed_at=12)], {"call_2": "out"})
    assert (run.status, run.completed_at) == ("requires_action", None)
    assert action_of(run) == {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}", "output": None}}
            ]
        },
    }
    assert run_from_chain([response(output=[CALL])], {"call_1": ""}).status == "completed"
    assert run_from_chain([response(output=[CALL], status="cancelled")]).status == "cancelled"


def test_approvals_are_waited_for() -> None:
    run = run_from_chain([response(output=[ASKED])])
    assert (run.status, action_of(run)["type"]) == ("requires_action", "submit_tool_approval")
    assert run_from_chain([response(output=[ASKED])], {"mcpr_1": "yes"}).status == "completed"


def test_the_usage_is_the_sum_and_its_words_are_those_of_a_run() -> None:
    usage = {"input_tokens": 3, "output_tokens": 4.0, "total_tokens": 7, "input_tokens_details": {"cached_tokens": 2}}
    run = run_from_chain([response(usage=usage), response(id="resp_2", usage=usage), response(usage=None)])
    assert run.usage == {
        "prompt_tokens": 6,
        "completion_tokens": 8,
        "total_tokens": 14,
        "prompt_token_details": {"cached_tokens": 4},
        "completion_tokens_details": None,
    }
    assert run_from_chain([response()]).usage is None


def test_the_options_are_those_of_the_last_response_in_the_words_of_a_run() -> None:
    tools = [
        {"type": "function", "name": "f", "parameters": {}, "strict": True, "description": None},
        {"type": "file_search", "vector_store_ids": ["vs_1"], "max_num_results": 3},
        {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}},
        {"type": "web_search"},
    ]
    run = run_from_chain(
        [
            response(
                instructions="Be brief.",
                tools=tools,
                tool_choice={"type": "function", "name": "f"},
                text={"format": {"type": "json_schema", "name": "n", "schema": {}}},
                reasoning={"effort": "low"},
                max_output_tokens=50,
                truncation="auto",
                conversation={"id": "conv_1"},
                incomplete_details={"reason": "max_output_tokens"},
                status="incomplete",
                metadata={"a": "b"},
                temperature=0.5,
            )
        ]
    )
    assert [json.decode(tool) for tool in run.tools or ()] == [
        {"type": "function", "function": {"name": "f", "description": None, "parameters": {}, "strict": True}},
        {"type": "file_search", "file_search": {"max_num_results": 3}},
        {"type": "code_interpreter"},
        {"type": "web_search"},
    ]
    assert json.decode(run.tool_resources) == {
        "file_search": {"vector_store_ids": ["vs_1"]},
        "code_interpreter": {"file_ids": ["file-1"]},
    }
    assert run.tool_choice == {"type": "function", "function": {"name": "f"}}
    assert run.response_format == {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    assert (run.thread_id, run.instructions, run.reasoning_effort) == ("conv_1", "Be brief.", "low")
    assert (run.max_completion_tokens, run.temperature, run.metadata) == (50, 0.5, {"a": "b"})
    assert run.incomplete_details is not None
    assert run.incomplete_details.reason == "max_completion_tokens"
    assert run.truncation_strategy is not None


@pytest.mark.parametrize(
    "odd",
    [
        {"created_at": 10.25},
        {"status": None},
        {"conversation": "conv_1"},
        {"conversation": 5, "usage": "much", "tools": "none", "output": {}},
        {"instructions": [{"role": "developer"}], "text": None, "error": {}},
    ],
)
def test_the_habits_of_other_servers_cost_nothing_else(odd: Any) -> None:
    run = run_from_chain([response(**odd)])
    assert (run.id, run.model) == ("resp_1", "m")
    assert run.created_at == odd.get("created_at", 10)


@pytest.mark.parametrize(
    ("item", "status"),
    [
        (TEXT, "completed"),
        ({**TEXT, "status": None}, "completed"),
        ({**TEXT, "status": "incomplete"}, "completed"),
        ({**TEXT, "status": "in_progress"}, "in_progress"),
        (CALL, "in_progress"),
        ({**CALL, "call_id": "answered"}, "completed"),
        ({**CALL, "status": "incomplete"}, "cancelled"),
        (ASKED, "in_progress"),
        ({"type": "file_search_call", "id": "fs_1", "status": "searching"}, "in_progress"),
        ({"type": "code_interpreter_call", "id": "ci_1", "status": "failed"}, "failed"),
        ({"type": "code_interpreter_call", "id": "ci_1", "status": "interpreting"}, "in_progress"),
    ],
)
def test_a_step_has_a_status_of_steps(item: Any, status: str) -> None:
    raw = Raw(json.encode(item))
    step = step_from_item(ITEM_DECODER.decode(raw), raw, 10, {"answered": "out"})
    assert (step.id, step.status, step.created_at) == (item["id"], status, 10)


def test_the_steps_of_a_response_are_its_items_that_can_be_read() -> None:
    steps = steps_from_response(response(output=[TEXT, 5, {"type": "reasoning"}, CALL]))
    assert [(step.id, step.type) for step in steps] == [("msg_1", "message_creation"), ("fc_1", "tool_calls")]
    assert json.decode(steps[0].step_details)["message_creation"] == {"message_id": "msg_1"}


def test_a_message_has_the_time_that_is_known_of_it() -> None:
    item = ITEM_DECODER.decode(json.encode({**TEXT, "role": "user", "status": None}))
    message = message_from_item(item, 10.5, "resp_1")
    assert (message.id, message.role, message.status, message.created_at) == ("msg_1", "user", None, 10.5)
    assert message.run_id == "resp_1"

"""Items as clients send them, and their stored form."""

import json
from typing import Any

import pytest

from gateway.emulator.bodies.api_errors import ApiError
from gateway.emulator.bodies.item_bodies import stored_items
from gateway.emulator.bodies.parse import parse_body
from gateway.emulator.bodies.response_bodies import CreateItems, CreateResponse
from gateway.emulator.objects import JsonObject
from tests.gateway.emulator.api_client import CountingIds

TEXT = {"type": "input_text", "text": "Hi"}


def stored(*items: Any) -> list[JsonObject]:
    body = parse_body(CreateItems, json.dumps({"items": items}).encode())
    return stored_items(body.items, CountingIds(), {"msg_known": {"id": "msg_known", "type": "message"}}.__getitem__)


def refusal(*items: Any) -> ApiError:
    with pytest.raises(ApiError) as refused:
        stored(*items)
    return refused.value


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            {"role": "user", "content": "Hi"},
            {"type": "message", "status": "completed", "role": "user", "content": [TEXT]},
        ),
        (
            {"type": "message", "role": "developer", "content": [{**TEXT, "prompt_cache_breakpoint": {}}]},
            {"type": "message", "status": "completed", "role": "developer", "content": [TEXT]},
        ),
        (
            {"role": "assistant", "content": "Hi", "status": "completed", "phase": "final_answer"},
            {
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "Hi"}],
            },
        ),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            {
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "refusal", "refusal": "No."}],
            },
        ),
        (
            {"role": "user", "content": [{"type": "input_file", "file_url": "https://example.com/a", "file_id": None}]},
            {
                "type": "message",
                "status": "completed",
                "role": "user",
                "content": [{"type": "input_file", "file_url": "https://example.com/a"}],
            },
        ),
        (
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{", "id": "fc_1", "caller": None},
            {"type": "function_call", "status": "completed", "arguments": "{", "call_id": "c", "name": "f"},
        ),
        (
            {"type": "function_call_output", "call_id": "c", "output": [TEXT]},
            {"type": "function_call_output", "status": "completed", "call_id": "c", "output": [TEXT]},
        ),
        (
            {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False},
            {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False, "reason": None},
        ),
        ({"type": "compaction", "encrypted_content": "x"}, {"type": "compaction", "encrypted_content": "x"}),
        ({"type": "item_reference", "id": "msg_known"}, {"type": "message"}),
        ({"id": "msg_known"}, {"type": "message"}),
    ],
)
def test_an_item_is_stored_in_one_form(item: Any, expected: JsonObject) -> None:
    (got,) = stored(item)
    assert got.pop("id").endswith("_1")
    assert got == expected


def test_ids_have_the_prefix_of_their_type() -> None:
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
        {"type": "reasoning", "summary": []},
        {"type": "telepathy"},
    ]
    assert [item["id"] for item in stored(*items)] == ["msg_1", "fc_2", "fco_3", "rs_4", "item_5"]


@pytest.mark.parametrize(
    ("item", "param", "words"),
    [
        (5, "items[0]", "Invalid type for 'items[0]': expected an object"),
        ({"content": "Hi"}, "items[0].role", "Missing required parameter: 'items[0].role'."),
        ({"role": "tool", "content": "Hi"}, "items[0].role", "Invalid value: 'tool'."),
        ({"role": "user"}, "items[0].content", "Missing required parameter: 'items[0].content'."),
        ({"role": "user", "content": 5}, "items[0].content", "one of a string or array of objects"),
        ({"role": "user", "content": [{"text": "Hi"}]}, "items[0].content[0].type", "Missing required parameter"),
        ({"role": "user", "content": [{"type": "text", "text": "Hi"}]}, "items[0].content[0].type", "Invalid value"),
        ({"role": "user", "content": "Hi", "name": "x"}, "items[0].name", "Unknown parameter: 'items[0].name'."),
        ({"type": 5}, "items[0].type", "Invalid type for 'items[0].type'"),
        ({"type": "function_call_output", "output": "1"}, "items[0].call_id", "Missing required parameter"),
        ({"type": "function_call", "call_id": "", "name": "f", "arguments": ""}, "items[0].call_id", "too short"),
    ],
)
def test_a_bad_item_is_refused_at_its_place(item: Any, param: str, words: str) -> None:
    error = refusal(item)
    assert error.param == param
    assert words in error.message


@pytest.mark.parametrize(
    ("role", "part", "supported"),
    [
        ("assistant", TEXT, "'output_text' and 'refusal'"),
        ("system", {"type": "output_text", "text": "Hi"}, "'input_text', 'input_image', and 'input_file'"),
    ],
)
def test_a_role_has_its_own_parts(role: str, part: Any, supported: str) -> None:
    error = refusal({"role": "user", "content": "Hi"}, {"role": role, "content": [part]})
    assert (error.param, error.code) == ("items[1].content[0].type", "invalid_value")
    assert error.message == f"Invalid value: '{part['type']}'. Supported values are: {supported}."


@pytest.mark.parametrize(
    ("conversation", "conversation_id"), [("conv_1", "conv_1"), ({"id": "conv_2"}, "conv_2"), (None, None)]
)
def test_a_conversation_is_named_by_a_text_or_an_object(conversation: Any, conversation_id: str | None) -> None:
    raw = json.dumps({"model": "m", "conversation": conversation}).encode()
    assert parse_body(CreateResponse, raw).conversation_id == conversation_id

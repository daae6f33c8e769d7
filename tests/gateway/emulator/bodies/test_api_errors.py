from typing import Any

import pytest

from gateway.emulator.bodies.api_errors import (
    ApiError,
    bad_gateway,
    internal_error,
    outputs_incomplete,
    overloaded,
    quoted_list,
    rate_limited,
)
from tests.gateway.emulator.api_client import WEATHER_TOOL, Api

SAME = {"type": "invalid_request_error"}


@pytest.mark.parametrize(
    ("values", "joined"),
    [(["a"], "'a'"), (["a", "b"], "'a' and 'b'"), (["a", "b", "c"], "'a', 'b', and 'c'")],
)
def test_values_are_joined_as_the_api_joins_them(values: list[str], joined: str) -> None:
    assert quoted_list(values) == joined


def test_a_body_has_four_fields() -> None:
    assert ApiError("No.", param="x", code="y").body() == {
        "error": {"message": "No.", "type": "invalid_request_error", "param": "x", "code": "y"}
    }
    assert ApiError("No.", status=500).body()["error"]["type"] == "server_error"


def test_incomplete_outputs_are_listed_in_single_quotes() -> None:
    assert outputs_incomplete(["call_a", "call_b"], ["call_a"]).message == (
        "Expected tool outputs for call_ids ['call_a', 'call_b'], got ['call_a']"
    )


def metadata_with(pairs: int) -> dict[str, str]:
    return {f"k{number}": "v" for number in range(pairs)}


REFUSALS: list[tuple[str, str, Any, int, str, str | None, str | None]] = [
    ("GET", "/threads/thread_X", None, 404, "No thread found with id 'thread_X'.", None, None),
    ("GET", "/assistants/asst_X", None, 404, "No assistant found with id 'asst_X'.", None, None),
    ("GET", "{run}/steps/step_123", None, 404, "No run step found with id 'step_123'.", None, None),
    ("GET", "{thread}/runs/run_X", None, 404, "No run found with id 'run_X'.", None, None),
    ("GET", "{thread}/messages/msg_X", None, 404, "No message found with id 'msg_X'.", None, None),
    (
        "GET", "/threads/1234", None, 400,
        "Invalid 'thread_id': '1234'. Expected an ID that begins with 'thread'.", "thread_id", "invalid_value",
    ),
    (
        "GET", "{thread}/messages/abc", None, 400,
        "Invalid 'message_id': 'abc'. Expected an ID that begins with 'msg'.", "message_id", "invalid_value",
    ),
    (
        "POST", "{thread}/runs", {"assistant_id": "wf_1"}, 400,
        "Invalid 'assistant_id': 'wf_1'. Expected an ID that begins with 'asst'.", "assistant_id", "invalid_value",
    ),
    (
        "GET", "/threads", None, 401,
        ("Your request to GET /v1/threads must be made with a session key (that is, it can only be made from the "
        "browser). You made it with the following key type: secret."), None, "missing_scope",
    ),
    (
        "POST", "{thread}/runs", {"assistant_id": "{asst}"}, 400,
        "Thread {thread_id} already has an active run {run_id}.", None, None,
    ),
    (
        "POST", "{thread}/messages", {"role": "user", "content": "x"}, 400,
        "Can't add messages to {thread_id} while a run {run_id} is active.", None, None,
    ),
    (
        "POST", "{run}/submit_tool_outputs", {"tool_outputs": []}, 400,
        'Runs in status "queued" do not accept tool outputs.', None, None,
    ),
    (
        "POST", "{thread}", {"metadata": {"modified": True}}, 400,
        "Invalid type for 'metadata.modified': expected a string, but got a boolean instead.",
        "metadata.modified", "invalid_type",
    ),
    (
        "POST", "{thread}", {"metadata": metadata_with(17)}, 400,
        ("Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object "
        "with 17 properties instead."), "metadata", "object_above_max_properties",
    ),
    (
        "POST", "{thread}", {"metadata": {"k" * 70: "v"}}, 400,
        ("Invalid property name in 'metadata': 'kkk...kkk' is too long. Expected a string with maximum length 64, but "
        "got a string with length 70 instead."), "metadata." + "k" * 70, "property_name_above_max_length",
    ),
    (
        "POST", "{thread}", {"metadata": {"k": "v" * 600}}, 400,
        ("Invalid 'metadata.k': string too long. Expected a string with maximum length 512, but got a string with "
        "length 600 instead."), "metadata.k", "string_above_max_length",
    ),
    (
        "POST", "{thread}/messages", {"role": "user", "content": "x" * 256_001}, 400,
        ("Invalid 'content': string too long. Expected a string with maximum length 256000, but got a string with "
        "length 256001 instead."), "content", "string_above_max_length",
    ),
    (
        "POST", "/threads/runs", {"assistant_id": "{asst}"}, 400,
        "Run creation requires a Thread with a user message or an assistant with instructions.", None, "invalid_thread",
    ),
    (
        "GET", "{thread}/messages?limit=101", None, 400,
        "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead.",
        "limit", "integer_above_max_value",
    ),
    (
        "GET", "{thread}/runs?limit=-1", None, 400,
        "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got -1 instead.",
        "limit", "integer_below_min_value",
    ),
    (
        "POST", "{thread}/runs", {}, 400,
        "Missing required parameter: 'assistant_id'.", "assistant_id", "missing_required_parameter",
    ),
    ("POST", "/threads", {"colour": "red"}, 400, "Unknown parameter: 'colour'.", "colour", "unknown_parameter"),
    ("GET", "/nowhere", None, 404, "Invalid URL (GET /v1/nowhere)", None, None),
    ("PUT", "/threads", None, 405, "Invalid method for URL (PUT /v1/threads)", None, None),
    ("GET", "{thread}/messages?after=msg_X", None, 404, "No message found with id 'msg_X'.", None, None),
    (
        "GET", "{thread}/messages?before=run_X", None, 400,
        "Invalid 'before': 'run_X'. Expected an ID that begins with 'msg'.", "before", "invalid_value",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("refusal", "status", "kind", "code"),
    [
        (rate_limited(), 429, "invalid_request_error", "rate_limit_exceeded"),
        (internal_error(), 500, "server_error", None),
        (bad_gateway(), 502, "server_error", None),
        (overloaded(), 503, "server_error", None),
    ],
    ids=str,
)
def test_a_refusal_of_an_injected_fault_has_the_form_of_the_others(
    refusal: ApiError, status: int, kind: str, code: str | None
) -> None:
    assert refusal.status == status
    assert refusal.body()["error"] == {"message": refusal.message, "type": kind, "param": None, "code": code}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message", "param", "code"),
    REFUSALS,
    ids=[f"{row[0]} {row[1]} {row[3]} {row[6]}" for row in REFUSALS],
)
async def test_a_refusal_has_the_words_of_the_api(
    api: Api, method: str, path: str, body: object, status: int, message: str, param: str | None, code: str | None
) -> None:
    assistant_id = await api.new_assistant(tools=[WEATHER_TOOL])
    thread_id = await api.new_thread("Hello")
    run_id = (await api.ok("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant_id}))["id"]
    names = {
        "{thread}": f"/threads/{thread_id}",
        "{run}": f"/threads/{thread_id}/runs/{run_id}",
        "{thread_id}": thread_id,
        "{run_id}": run_id,
        "{asst}": assistant_id,
    }
    for name, value in names.items():
        path, message = path.replace(name, value), message.replace(name, value)
    if isinstance(body, dict):
        body = {key: names.get(value, value) if isinstance(value, str) else value for key, value in body.items()}
    reply = await api.call(method, path, body)
    assert (reply.status, reply.json) == (
        status,
        {"error": {**SAME, "message": message, "param": param, "code": code}},
    )

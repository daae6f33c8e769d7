"""The shapes of conversations, responses and items: the keys that the specification requires, and their states."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.emulator.bodies.new_responses import response_from_body
from gateway.emulator.bodies.output_items import (
    CODE_OUTPUTS,
    SEARCH_RESULTS,
    input_item_from_message,
    output_items,
    shown_item,
    step_items,
)
from gateway.emulator.bodies.reply_responses import (
    render_conversation,
    render_deleted_conversation,
    render_deleted_response,
    render_response,
)
from gateway.emulator.bodies.response_bodies import CreateResponse
from gateway.emulator.objects import (
    Attachment,
    CodeCall,
    CodeImage,
    CodeLogs,
    Failure,
    FileCitation,
    FilePath,
    FunctionCall,
    ImageFilePart,
    ImageUrlPart,
    McpCall,
    Message,
    RefusalPart,
    SearchCall,
    SearchResult,
    Step,
    TextPart,
    Usage,
)
from gateway.emulator.response_objects import Conversation, Response
from tests.gateway.emulator.api_client import START

# The keys that `Response` requires, in the specification of 2026-08-21.
REQUIRED = {
    *("id", "object", "created_at", "error", "incomplete_details", "instructions", "model", "tools", "output"),
    *("parallel_tool_calls", "metadata", "tool_choice", "temperature", "top_p"),
}


def a_response(**run_fields: Any) -> Response:
    response = response_from_body(
        CreateResponse(model="m", background=True, conversation="conv_1"),
        [],
        response_id="resp_1",
        created_at=START,
        origin="http://emulator",
    )
    return replace(response, run=replace(response.run, **run_fields))


def a_step(*calls: Any, status: Any = "completed", message_id: str | None = None) -> Step:
    return Step(
        id="step_1",
        run_id="resp_1",
        thread_id="conv_1",
        assistant_id="",
        created_at=START,
        expires_at=START,
        status=status,
        tool_calls=tuple(calls),
        message_id=message_id,
    )


def a_message(*parts: Any, role: Any = "assistant", **fields: Any) -> Message:
    return Message(id="msg_1", thread_id="conv_1", created_at=START, role=role, content=tuple(parts), **fields)


def test_a_response_has_all_keys_that_are_required_and_the_states_of_a_new_one() -> None:
    rendered = render_response(a_response())
    assert rendered.keys() >= REQUIRED
    assert {key: rendered[key] for key in ("object", "status", "output", "usage", "error", "completed_at")} == {
        "object": "response",
        "status": "queued",
        "output": [],
        "usage": None,
        "error": None,
        "completed_at": None,
    }
    assert (rendered["tools"], rendered["tool_choice"], rendered["truncation"]) == ([], "auto", "disabled")
    assert rendered["conversation"] == {"id": "conv_1"}


@pytest.mark.parametrize(
    ("run_fields", "status"),
    [
        ({}, "queued"),
        ({"status": "in_progress"}, "in_progress"),
        ({"status": "completed", "completed_at": START + 3}, "completed"),
        ({"status": "requires_action"}, "completed"),
        ({"status": "cancelling"}, "in_progress"),
        ({"status": "cancelled"}, "cancelled"),
        ({"status": "expired"}, "failed"),
        ({"status": "incomplete", "completed_at": START + 3, "incomplete_reason": "content_filter"}, "incomplete"),
    ],
)
def test_the_status_is_one_that_a_response_can_have(run_fields: Any, status: str) -> None:
    rendered = render_response(a_response(**run_fields))
    assert rendered["status"] == status
    assert (rendered["completed_at"] is not None) == (run_fields.get("status") == "completed")
    assert (rendered["error"] is not None) == (status == "failed")


def test_a_response_in_the_foreground_is_never_queued() -> None:
    assert render_response(replace(a_response(), is_background=False))["status"] == "in_progress"


@pytest.mark.parametrize(
    ("code", "shown"),
    [("rate_limit_exceeded", "rate_limit_exceeded"), ("tool_user_error", "server_error")],
)
def test_the_codes_of_errors_are_those_of_the_specification(code: str, shown: str) -> None:
    rendered = render_response(a_response(status="failed", last_error=Failure(code, "Sorry.")))
    assert rendered["error"] == {"code": shown, "message": "Sorry."}


@pytest.mark.parametrize("reason", ["max_completion_tokens", "max_prompt_tokens"])
def test_a_limit_is_named_as_this_api_names_it(reason: str) -> None:
    rendered = render_response(a_response(status="incomplete", incomplete_reason=reason))
    assert rendered["incomplete_details"] == {"reason": "max_output_tokens"}


def test_the_usage_has_its_details() -> None:
    assert render_response(a_response(usage=Usage(3, 4)))["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 7,
    }


def test_conversations_and_deletions_have_exactly_their_keys() -> None:
    conversation = Conversation(id="conv_1", created_at=START, metadata={"a": "b"})
    assert render_conversation(conversation) == {
        "id": "conv_1",
        "object": "conversation",
        "created_at": START,
        "metadata": {"a": "b"},
    }
    assert render_deleted_conversation("conv_1") == {"id": "conv_1", "object": "conversation.deleted", "deleted": True}
    assert render_deleted_response("resp_1") == {"id": "resp_1", "object": "response", "deleted": True}


def test_a_message_is_an_item_with_its_annotations() -> None:
    text = TextPart(
        value="See it.",
        annotations=(
            FileCitation(text="【4:0†a.md】", start_index=3, end_index=3, file_id="file-1"),
            FilePath(text="sandbox:/mnt/data/b.csv", start_index=1, end_index=4, file_id="file-2"),
        ),
    )
    message = a_message(text, RefusalPart(refusal="No."), status="incomplete")
    response = replace(a_response(), steps=(a_step(message_id="msg_1"),), messages=(message,))
    (item,) = output_items(response)
    container = item["content"][0]["annotations"][1].pop("container_id")
    assert container.startswith("cntr_")
    assert item == {
        "id": "msg_1",
        "type": "message",
        "status": "incomplete",
        "role": "assistant",
        "content": [
            {
                "type": "output_text",
                "annotations": [
                    {"type": "file_citation", "file_id": "file-1", "filename": "a.md", "index": 3},
                    {
                        "type": "container_file_citation",
                        "file_id": "file-2",
                        "filename": "b.csv",
                        "start_index": 1,
                        "end_index": 4,
                    },
                ],
                "logprobs": [],
                "text": "See it.",
            },
            {"type": "refusal", "refusal": "No."},
        ],
    }


def test_an_image_cannot_be_a_part_of_an_answer() -> None:
    message = a_message(ImageFilePart(file_id="file-1"))
    response = replace(a_response(), steps=(a_step(message_id="msg_1"),), messages=(message,))
    with pytest.raises(TypeError, match="expected a text or a refusal"):
        output_items(response)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            FunctionCall(id="call_1", name="f", arguments="{}"),
            {"type": "function_call", "status": "completed", "arguments": "{}", "call_id": "call_1", "name": "f"},
        ),
        (
            SearchCall(
                id="call_1",
                query="q",
                results=(SearchResult(file_id="file-1", file_name="a.md", score=0.5, text="t"),),
            ),
            {
                "type": "file_search_call",
                "status": "completed",
                "queries": ["q"],
                "results": [
                    {"attributes": {}, "file_id": "file-1", "filename": "a.md", "score": 0.5, "text": "t"},
                ],
            },
        ),
        (
            McpCall(id="call_1", name="search", arguments="{}", server_label="docs"),
            {"type": "mcp_approval_request", "arguments": "{}", "name": "search", "server_label": "docs"},
        ),
    ],
)
def test_each_call_is_an_item(call: Any, expected: Any) -> None:
    (item,) = output_items(replace(a_response(), steps=(a_step(call),)))
    assert item.pop("id").partition("_")[0] in {"fc", "fs", "mcpr"}
    assert item == expected


def test_code_is_an_item_whose_images_have_an_address() -> None:
    call = CodeCall(id="call_1", input="1", outputs=(CodeLogs(logs="2"), CodeImage(file_id="file-1")))
    (item,) = output_items(replace(a_response(), steps=(a_step(call),)))
    assert (item["type"], item["code"], item["container_id"][:5]) == ("code_interpreter_call", "1", "cntr_")
    assert item["outputs"] == [
        {"type": "logs", "logs": "2"},
        {"type": "image", "url": "http://emulator/v1/files/file-1/content"},
    ]
    assert shown_item(item, {SEARCH_RESULTS})["outputs"] is None
    assert shown_item(item, {CODE_OUTPUTS}) == item


@pytest.mark.parametrize(
    ("status", "statuses"),
    [
        ("in_progress", ["completed", "in_progress"]),
        ("completed", ["completed", "completed"]),
        ("cancelled", ["incomplete", "incomplete"]),
    ],
)
def test_the_calls_before_the_last_one_of_a_step_are_done(status: str, statuses: list[str]) -> None:
    step = a_step(FunctionCall(id="call_1", name="f"), FunctionCall(id="call_2", name="g"), status=status)
    assert [item["status"] for item in step_items(a_response(), step)] == statuses


def test_the_same_call_id_in_two_responses_makes_two_items() -> None:
    step = a_step(FunctionCall(id="call_1", name="f"))
    (first,) = output_items(replace(a_response(), steps=(step,)))
    (second,) = output_items(replace(a_response(), id="resp_2", steps=(step,)))
    assert first["call_id"] == second["call_id"]
    assert first["id"] != second["id"]


def test_a_message_of_a_thread_becomes_an_input_item() -> None:
    message = a_message(
        TextPart(value="Hi"),
        ImageFilePart(file_id="file-1", detail="low"),
        ImageUrlPart(url="https://example.com/a.png"),
        role="user",
        attachments=(Attachment("file-2", ("code_interpreter",)),),
    )
    assert input_item_from_message(message) == {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Hi"},
            {"type": "input_image", "detail": "low", "file_id": "file-1", "image_url": None},
            {"type": "input_image", "detail": "auto", "file_id": None, "image_url": "https://example.com/a.png"},
            {"type": "input_file", "file_id": "file-2"},
        ],
    }
    answer = input_item_from_message(a_message(TextPart(value="Hi"), RefusalPart(refusal="No.")))
    assert [part["type"] for part in answer["content"]] == ["output_text", "refusal"]

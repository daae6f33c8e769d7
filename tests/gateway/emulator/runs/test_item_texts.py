"""The content of items as a script reads it."""

import pytest

from gateway.emulator.objects import JsonObject
from gateway.emulator.runs.item_texts import (
    count_item_tokens,
    item_text,
    latest_outputs,
    part_file_ids,
    question_of_items,
    unanswered_calls,
    uncalled_outputs,
)


def message(text: str, role: str = "user") -> JsonObject:
    return {"id": "msg_1", "type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def call(call_id: str, name: str = "f") -> JsonObject:
    return {"id": f"fc_{call_id}", "type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}


def output(call_id: str, text: str = "1") -> JsonObject:
    return {"id": f"fco_{call_id}", "type": "function_call_output", "call_id": call_id, "output": text}


def approval(request_id: str, *, approve: bool) -> JsonObject:
    return {"type": "mcp_approval_response", "approval_request_id": request_id, "approve": approve}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        ([{"type": "input_text", "text": "a"}, {"type": "input_image"}, {"type": "input_text", "text": "b"}], "a\nb"),
        ([{"type": "refusal", "refusal": "no"}], ""),
        (None, ""),
    ],
)
def test_the_text_of_content_is_that_of_its_text_parts(content: object, text: str) -> None:
    assert item_text(content) == text


def test_the_question_is_the_last_message_of_a_user() -> None:
    items = [message("One"), message("Two"), message("Answer", "assistant"), call("call_1")]
    assert question_of_items(items) == message("Two")
    assert question_of_items([message("Answer", "assistant")]) is None


def test_the_files_of_a_message_are_those_of_its_parts() -> None:
    parts = [{"type": "input_image", "file_id": "file-1"}, {"type": "input_image", "file_id": None}]
    asked = {**message("Hi"), "content": [*parts, {"type": "input_file", "file_id": "file-2"}, {"type": "input_file"}]}
    assert (part_file_ids(asked, "input_image"), part_file_ids(asked, "input_file")) == (["file-1"], ["file-2"])


def test_tokens_are_counted_for_what_a_model_reads() -> None:
    assert count_item_tokens(message("x" * 40)) == 11
    assert count_item_tokens({"type": "message", "content": [{"type": "input_image"}]}) == 85
    assert count_item_tokens(call("call_1")) == 1
    assert count_item_tokens(output("call_1", "x" * 40)) == 11
    assert count_item_tokens({"type": "reasoning"}) == 0


def test_a_call_waits_until_an_output_follows_it() -> None:
    assert unanswered_calls([call("a"), call("b"), output("a")]) == ["b"]
    assert unanswered_calls([output("a"), call("a")]) == ["a"]
    assert unanswered_calls([message("Hi")]) == []
    assert uncalled_outputs([call("a"), output("a"), output("b")]) == ["b"]


def test_the_latest_outputs_are_those_at_the_end() -> None:
    items = [call("a", "f"), output("a", "old"), call("b", "g"), call("c", "h"), output("b", "1"), output("c", "2")]
    assert latest_outputs(items) == (("g", "1"), ("h", "2"))
    assert latest_outputs([*items, message("And?")]) == ()


def test_a_decision_counts_as_an_output() -> None:
    asked = {"id": "mcpr_1", "type": "mcp_approval_request", "name": "search"}
    assert latest_outputs([asked, approval("mcpr_1", approve=True)]) == (("search", "Found 3 documents."),)
    assert latest_outputs([asked, approval("mcpr_2", approve=False)]) == (("mcpr_2", "The call was not approved."),)

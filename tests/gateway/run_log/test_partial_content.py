"""Deltas build the text and the tool calls that the complete object will have."""

import msgspec

from gateway.run_log.partial_content import (
    PartialContent,
    PartialToolCalls,
    message_with_content,
    step_with_tool_calls,
    text_body_from_part,
    texts_from_message,
)
from schema.contract.run_events import TextDeltaChange, ToolCallDeltaChange
from schema.contract.wire import NULL
from tests.support.wire_samples import message, raw, raws, run_step

IMAGE = {"type": "image_file", "image_file": {"file_id": "file-1"}}


def shown(partial: PartialContent) -> list[object]:
    return [msgspec.json.decode(part) for part in partial.to_content_parts()]


def text(value: str, *annotations: object) -> dict[str, object]:
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}


def test_text_deltas_are_appended_part_by_part() -> None:
    partial = PartialContent()
    assert partial.is_empty
    for index, value in ((0, "Hel"), (1, "Wor"), (0, "lo"), (1, "ld")):
        partial.add_delta(TextDeltaChange("msg_1", index, value))
    assert shown(partial) == [text("Hello"), text("World")]
    assert not partial.is_empty


def test_annotations_are_collected() -> None:
    partial = PartialContent()
    partial.add_delta(TextDeltaChange("msg_1", 0, "x", raws({"a": 1})))
    partial.add_delta(TextDeltaChange("msg_1", 0, "", raws({"b": 2})))
    assert shown(partial) == [text("x", {"a": 1}, {"b": 2})]


def test_text_deltas_continue_existing_content() -> None:
    partial = PartialContent(raws(IMAGE, text("Hel", {"a": 1})))
    partial.add_delta(TextDeltaChange("msg_1", 1, "lo"))
    partial.add_delta(TextDeltaChange("msg_1", 0, "no text"))
    assert shown(partial) == [IMAGE, text("Hello", {"a": 1})]
    old = PartialContent("Hel")
    old.add_delta(TextDeltaChange("msg_1", 0, "lo"))
    assert shown(old) == [text("Hello")]


def test_the_parts_are_the_same_list_until_the_next_delta() -> None:
    partial = PartialContent(raws(text("a")))
    assert partial.to_content_parts() is partial.to_content_parts()
    sample = message(content=[text("a")])
    assert message_with_content(sample, None) is sample
    assert texts_from_message(message_with_content(sample, partial)) == ["a"]


def test_arguments_and_code_are_appended_call_by_call() -> None:
    partial = PartialToolCalls(NULL)
    partial.add_delta(ToolCallDeltaChange("step_1", 0, call_id="call_1", name="add", arguments=""))
    partial.add_delta(ToolCallDeltaChange("step_1", 1, call_id="call_2", code="1"))
    partial.add_delta(ToolCallDeltaChange("step_1", 0, arguments="{}"))
    partial.add_delta(ToolCallDeltaChange("step_1", 1, code="+1"))
    assert msgspec.json.decode(partial.to_step_details()) == {
        "type": "tool_calls",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}},
            {"id": "call_2", "type": "code_interpreter", "code_interpreter": {"input": "1+1", "outputs": []}},
        ],
    }
    assert partial.to_step_details() is partial.to_step_details()


def test_call_deltas_continue_existing_calls() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{", "output": None}}
    step = run_step(type="tool_calls", step_details={"type": "tool_calls", "tool_calls": [call]})
    partial = PartialToolCalls(step.step_details)
    partial.add_delta(ToolCallDeltaChange("step_1", 0, arguments="}"))
    (shown_call,) = msgspec.json.decode(step_with_tool_calls(step, partial).step_details)["tool_calls"]
    assert shown_call["function"] == {"name": "add", "arguments": "{}", "output": None}
    assert step_with_tool_calls(step, None) is step


def test_unreadable_details_do_not_stop_later_deltas() -> None:
    for odd in (NULL, raw([]), raw({"tool_calls": 3}), raw({"tool_calls": [3, {"function": 4}]})):
        partial = PartialToolCalls(odd)
        partial.add_delta(ToolCallDeltaChange("step_1", 1, arguments="{}"))
        assert b'"arguments":"{}"' in bytes(memoryview(partial.to_step_details()))


def test_only_a_text_part_has_a_text() -> None:
    body = text_body_from_part(raw({"type": "text", "text": "plain"}))
    assert body is not None
    assert body.value == "plain"
    assert text_body_from_part(raw(IMAGE)) is None
    assert text_body_from_part(raw(3)) is None
    assert texts_from_message(message(content="old")) == ["old"]
    assert texts_from_message(message(content=None)) == texts_from_message(message(content="")) == []


def test_an_index_without_deltas_keeps_its_place() -> None:
    partial = PartialContent()
    partial.add_delta(TextDeltaChange("msg_1", 1, "b"))
    assert shown(partial) == [{}, text("b")]
    continued = PartialContent(partial.to_content_parts())
    continued.add_delta(TextDeltaChange("msg_1", 0, "a"))
    assert shown(continued) == [text("a"), text("b")]
    calls = PartialToolCalls(NULL)
    calls.add_delta(ToolCallDeltaChange("step_1", 1, call_id="call_2"))
    assert msgspec.json.decode(calls.to_step_details())["tool_calls"] == [{}, {"id": "call_2"}]

"""Pieces make the text and the calls that the whole object will have."""

import msgspec

from gateway.run_log.partial_content import (
    PartialContent,
    PartialToolCalls,
    text_body,
    texts_of,
    with_calls,
    with_content,
)
from schema.contract.run_events import TextDeltaChange, ToolCallDeltaChange
from schema.contract.wire import NULL
from tests.support.wire_samples import message, raw, raws, run_step

IMAGE = {"type": "image_file", "image_file": {"file_id": "file-1"}}


def shown(growing: PartialContent) -> list[object]:
    return [msgspec.json.decode(part) for part in growing.content()]


def text(value: str, *annotations: object) -> dict[str, object]:
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}


def test_pieces_of_text_are_appended_part_by_part() -> None:
    growing = PartialContent()
    assert growing.is_empty
    for index, value in ((0, "Hel"), (1, "Wor"), (0, "lo"), (1, "ld")):
        growing.add(TextDeltaChange("msg_1", index, value))
    assert shown(growing) == [text("Hello"), text("World")]
    assert not growing.is_empty


def test_annotations_are_gathered() -> None:
    growing = PartialContent()
    growing.add(TextDeltaChange("msg_1", 0, "x", raws({"a": 1})))
    growing.add(TextDeltaChange("msg_1", 0, "", raws({"b": 2})))
    assert shown(growing) == [text("x", {"a": 1}, {"b": 2})]


def test_pieces_go_on_from_what_is_there() -> None:
    growing = PartialContent(raws(IMAGE, text("Hel", {"a": 1})))
    growing.add(TextDeltaChange("msg_1", 1, "lo"))
    growing.add(TextDeltaChange("msg_1", 0, "no text"))
    assert shown(growing) == [IMAGE, text("Hello", {"a": 1})]
    old = PartialContent("Hel")
    old.add(TextDeltaChange("msg_1", 0, "lo"))
    assert shown(old) == [text("Hello")]


def test_the_same_list_is_shown_until_something_comes() -> None:
    growing = PartialContent(raws(text("a")))
    assert growing.content() is growing.content()
    sample = message(content=[text("a")])
    assert with_content(sample, None) is sample
    assert texts_of(with_content(sample, growing)) == ["a"]


def test_arguments_and_code_are_appended_call_by_call() -> None:
    growing = PartialToolCalls(NULL)
    growing.add(ToolCallDeltaChange("step_1", 0, call_id="call_1", name="add", arguments=""))
    growing.add(ToolCallDeltaChange("step_1", 1, call_id="call_2", code="1"))
    growing.add(ToolCallDeltaChange("step_1", 0, arguments="{}"))
    growing.add(ToolCallDeltaChange("step_1", 1, code="+1"))
    assert msgspec.json.decode(growing.details()) == {
        "type": "tool_calls",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}},
            {"id": "call_2", "type": "code_interpreter", "code_interpreter": {"input": "1+1", "outputs": []}},
        ],
    }
    assert growing.details() is growing.details()


def test_calls_go_on_from_what_is_there() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{", "output": None}}
    step = run_step(type="tool_calls", step_details={"type": "tool_calls", "tool_calls": [call]})
    growing = PartialToolCalls(step.step_details)
    growing.add(ToolCallDeltaChange("step_1", 0, arguments="}"))
    (shown_call,) = msgspec.json.decode(with_calls(step, growing).step_details)["tool_calls"]
    assert shown_call["function"] == {"name": "add", "arguments": "{}", "output": None}
    assert with_calls(step, None) is step


def test_odd_details_cost_only_themselves() -> None:
    for odd in (NULL, raw([]), raw({"tool_calls": 3}), raw({"tool_calls": [3, {"function": 4}]})):
        growing = PartialToolCalls(odd)
        growing.add(ToolCallDeltaChange("step_1", 1, arguments="{}"))
        assert b'"arguments":"{}"' in bytes(memoryview(growing.details()))


def test_only_a_text_part_has_a_text() -> None:
    body = text_body(raw({"type": "text", "text": "plain"}))
    assert body is not None
    assert body.value == "plain"
    assert text_body(raw(IMAGE)) is None
    assert text_body(raw(3)) is None
    assert texts_of(message(content="old")) == ["old"]
    assert texts_of(message(content=None)) == texts_of(message(content="")) == []


def test_what_was_not_told_of_keeps_its_place() -> None:
    growing = PartialContent()
    growing.add(TextDeltaChange("msg_1", 1, "b"))
    assert shown(growing) == [text(""), text("b")]
    calls = PartialToolCalls(NULL)
    calls.add(ToolCallDeltaChange("step_1", 1, call_id="call_2"))
    assert msgspec.json.decode(calls.details())["tool_calls"] == [{}, {"id": "call_2"}]

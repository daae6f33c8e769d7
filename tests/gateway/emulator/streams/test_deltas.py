from typing import Any

import pytest

from gateway.emulator.objects import (
    ApiVersion,
    CodeCall,
    CodeImage,
    CodeLogs,
    ContentPart,
    FileCitation,
    FilePath,
    FunctionCall,
    ImageFilePart,
    Message,
    RefusalPart,
    SearchCall,
    SearchResult,
    Step,
    TextPart,
    ToolCall,
)
from gateway.emulator.runs.timeline_events import AnnotationAdded, CodeOutputAdded, PartAdded, TextGrown, ToolCallGrown
from gateway.emulator.runs.timeline_events import ToolCallStarted as Started
from gateway.emulator.streams.deltas import message_delta, step_delta
from tests.gateway.emulator.api_client import START


def a_message(*parts: ContentPart) -> Message:
    return Message(id="msg_1", thread_id="thread_1", created_at=START, role="assistant", content=parts)


def a_step(*calls: ToolCall) -> Step:
    return Step(
        id="step_1",
        run_id="run_1",
        thread_id="thread_1",
        assistant_id="asst_1",
        created_at=START,
        expires_at=START + 600,
        tool_calls=calls,
    )


def delta_content(delta: Any) -> Any:
    assert (delta["id"], delta["object"], list(delta["delta"])) == ("msg_1", "thread.message.delta", ["content"])
    (content,) = delta["delta"]["content"]
    return content


def delta_call(delta: Any) -> Any:
    assert (delta["id"], delta["object"], list(delta["delta"])) == ("step_1", "thread.run.step.delta", ["step_details"])
    details = delta["delta"]["step_details"]
    (call,) = details["tool_calls"]
    assert details["type"] == "tool_calls"
    return call


def test_only_the_first_piece_of_a_text_has_annotations() -> None:
    grown = TextGrown(message_id="msg_1", index=0, text="C")
    first = delta_content(message_delta(a_message(TextPart(value="")), grown, "v2"))
    later = delta_content(message_delta(a_message(TextPart(value="B")), grown, "v2"))
    assert first == {"index": 0, "type": "text", "text": {"value": "C", "annotations": []}}
    assert later == {"index": 0, "type": "text", "text": {"value": "C"}}


def test_an_empty_text_part_has_no_delta() -> None:
    assert message_delta(a_message(), PartAdded(message_id="msg_1", part=TextPart(value="")), "v2") is None


@pytest.mark.parametrize(
    ("part", "version", "shown"),
    [
        (ImageFilePart(file_id="f"), "v2", {"type": "image_file", "image_file": {"file_id": "f", "detail": "auto"}}),
        (ImageFilePart(file_id="f"), "v1", {"type": "image_file", "image_file": {"file_id": "f"}}),
        (RefusalPart(refusal="No."), "v2", {"type": "refusal", "refusal": "No."}),
        (RefusalPart(refusal="No."), "v1", {"type": "text", "text": {"value": "No.", "annotations": []}}),
    ],
)
def test_another_part_is_one_delta_at_its_index(part: ContentPart, version: ApiVersion, shown: Any) -> None:
    delta = message_delta(a_message(TextPart(value="a")), PartAdded(message_id="msg_1", part=part), version)
    assert delta_content(delta) == {"index": 1, **shown}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_citation_has_its_index_and_a_quote(version: ApiVersion) -> None:
    citation = FileCitation(text="[0]", start_index=1, end_index=4, file_id="file-1", quote="q")
    event = AnnotationAdded(message_id="msg_1", index=0, annotation=citation)
    before = a_message(TextPart(value="a[0]", annotations=(citation,)))
    shown = {"type": "file_citation", "text": "[0]", "start_index": 1, "end_index": 4}
    quote = {"v1": "q", "v2": ""}[version]
    assert delta_content(message_delta(before, event, version)) == {
        "index": 0,
        "type": "text",
        "text": {"annotations": [{"index": 1, **shown, "file_citation": {"file_id": "file-1", "quote": quote}}]},
    }


def test_a_file_path_has_no_quote() -> None:
    path = FilePath(text="x", start_index=0, end_index=1, file_id="file-1")
    event = AnnotationAdded(message_id="msg_1", index=0, annotation=path)
    (shown,) = delta_content(message_delta(a_message(TextPart(value="x")), event, "v2"))["text"]["annotations"]
    assert shown["file_path"] == {"file_id": "file-1"}


def test_a_function_call_begins_empty_and_its_later_deltas_have_no_id() -> None:
    call = FunctionCall(id="call_2", name="get_time")
    before = a_step(FunctionCall(id="call_1", name="f"))
    assert delta_call(step_delta(before, Started(step_id="step_1", call=call), "v2")) == {
        "index": 1,
        "id": "call_2",
        "type": "function",
        "function": {"name": "get_time", "arguments": "", "output": None},
    }
    grown = ToolCallGrown(step_id="step_1", call_id="call_2", text='{"a')
    assert delta_call(step_delta(a_step(*before.tool_calls, call), grown, "v2")) == {
        "index": 1,
        "type": "function",
        "function": {"arguments": '{"a'},
    }


def test_code_begins_empty_then_has_pieces_and_then_outputs() -> None:
    call = CodeCall(id="call_1")
    assert delta_call(step_delta(a_step(), Started(step_id="step_1", call=call), "v2")) == {
        "index": 0,
        "id": "call_1",
        "type": "code_interpreter",
        "code_interpreter": {"input": "", "outputs": []},
    }
    same = {"index": 0, "type": "code_interpreter"}
    grown = ToolCallGrown(step_id="step_1", call_id="call_1", text="print")
    assert delta_call(step_delta(a_step(call), grown, "v2")) == {**same, "code_interpreter": {"input": "print"}}
    image = CodeOutputAdded(step_id="step_1", call_id="call_1", output=CodeImage(file_id="file-1"))
    before = a_step(CodeCall(id="call_1", outputs=(CodeLogs(logs="1"),)))
    output = {"index": 1, "type": "image", "image": {"file_id": "file-1"}}
    assert delta_call(step_delta(before, image, "v2")) == {**same, "code_interpreter": {"outputs": [output]}}


def test_the_delta_of_a_search_has_no_results() -> None:
    found = SearchResult(file_id="file-1", file_name="a.md", score=0.5, text="t")
    event = Started(step_id="step_1", call=SearchCall(id="call_1", results=(found,)))
    newer = delta_call(step_delta(a_step(), event, "v2"))
    ranking = {"ranker": "default_2024_08_21", "score_threshold": 0.0}
    assert newer["file_search"] == {"ranking_options": ranking, "results": []}
    older = delta_call(step_delta(a_step(), event, "v1"))
    assert older == {"index": 0, "id": "call_1", "type": "retrieval", "retrieval": {}}

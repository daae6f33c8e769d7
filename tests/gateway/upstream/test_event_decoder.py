"""Tests that event streams of servers with different habits are read by their objects, not by their events' names."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.event_decoder import StreamDecoder, parse_event
from schema.contract.errors import ErrorCode, OwnKeyRefusedError
from schema.contract.run_streams import StreamEvent
from schema.contract.wire import MessageObject, RunObject, RunStepObject, ThreadObject

RUN = {"id": "run_1", "object": "thread.run", "created_at": 1, "thread_id": "thread_1", "status": "in_progress"}
MESSAGE = {"id": "msg_1", "object": "thread.message", "created_at": 1, "role": "assistant", "status": "in_progress"}
DELTA = {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": [{"index": 0, "type": "text"}]}}


def frame(name: str | None, data: Any) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def read(*pieces: bytes) -> list[StreamEvent]:
    decoder = StreamDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


STREAM = (
    frame("thread.created", {"id": "thread_1", "object": "thread", "created_at": 1})
    + frame("thread.run.created", RUN | {"status": "queued"})
    + frame("thread.message.created", MESSAGE)
    + frame("thread.message.delta", DELTA | {"delta": {"content": "né\u2028日本 🙂"}})
    + frame("thread.run.completed", RUN | {"status": "completed"})
    + frame("done", "[DONE]")
)
EVENTS = read(STREAM)
SHORT_EVENT = 8192


def test_a_stream_holds_objects_deltas_and_an_end() -> None:
    kinds = [type(event.wire) for event in EVENTS]
    assert kinds == [ThreadObject, RunObject, MessageObject, type(None), RunObject, type(None)]
    assert EVENTS[3].delta is not None
    assert EVENTS[3].delta["delta"]["content"] == "né\u2028日本 🙂"
    assert [event.ends_stream for event in EVENTS] == [False, False, False, False, True, True]
    assert EVENTS[5].is_done


@given(st.lists(st.integers(0, len(STREAM)), max_size=6), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_splits_and_line_endings_do_not_change_the_events(positions: list[int], end: bytes) -> None:
    stream = STREAM.replace(b"\n", end) + b"\n"
    ends = sorted({0, *(position for position in positions if position < len(stream)), len(stream)})
    pieces = [stream[start:stop] for start, stop in itertools.pairwise(ends)]
    assert read(*pieces) == EVENTS


def test_a_stream_with_a_byte_order_mark_and_comments_is_read_byte_by_byte() -> None:
    stream = b"\xef\xbb\xbf: hello\nid: 1\nretry: 5\n" + STREAM
    assert read(*(stream[position : position + 1] for position in range(len(stream)))) == EVENTS


def test_a_stream_without_event_lines_gives_the_same_events() -> None:
    bare = [StreamEvent(None, event.wire, event.delta, event.error, event.is_done) for event in EVENTS]
    without_names = b"\n".join(line for line in STREAM.split(b"\n") if not line.startswith(b"event:"))
    assert read(without_names) == bare


def test_an_object_that_is_wrapped_together_with_its_name_is_unwrapped() -> None:
    (event,) = read(frame(None, {"event": "thread.run.created", "data": RUN}))
    assert event == parse_event("thread.run.created", json.dumps(RUN).encode())


def test_a_stream_without_done_ends_where_its_run_does() -> None:
    (event,) = read(frame("thread.run.requires_action", RUN | {"status": "requires_action"}))
    assert event.ends_stream


def test_the_status_is_the_objects_own_whatever_the_event_is_called() -> None:
    (event,) = read(frame("thread.run.completed", RUN | {"status": "incomplete"}))
    assert isinstance(event.wire, RunObject)
    assert event.wire.status == "incomplete"
    (event,) = read(frame("thread.run.completed", RUN))
    assert not event.ends_stream


def test_foreign_ids_fractional_times_and_missing_keys_are_read() -> None:
    foreign = {"id": "65f0c0ffee65f0c0ffee65f0", "object": "thread.run", "created_at": 1795329859.5, "tools": None}
    (event,) = read(frame(None, foreign))
    assert isinstance(event.wire, RunObject)
    assert (event.wire.id, event.wire.created_at) == ("65f0c0ffee65f0c0ffee65f0", 1795329859.5)


def test_an_event_of_an_unknown_kind_is_skipped() -> None:
    (event,) = read(frame("thread.weather", {"object": "thread.weather", "rain": True}))
    assert event == StreamEvent("thread.weather")
    assert not event.ends_stream


def test_an_event_that_is_cut_off_is_dropped() -> None:
    assert read(STREAM[: STREAM.index(b"[DONE]")]) == EVENTS[:-1]


GARBAGE = ['{"id": "run_1", "object": "thr', "[1]", '"text"', '{"object": "thread.run"}', '{"event": "x", "data": 1}']


@pytest.mark.parametrize("garbage", [*GARBAGE, json.dumps(RUN | {"id": "a/b c"})])
def test_an_unreadable_event_does_not_affect_the_others(garbage: str) -> None:
    event, after = read(frame("thread.run.created", garbage) + frame("thread.run.queued", RUN))
    assert event.decode_error is not None
    assert event.decode_error.code is ErrorCode.UPSTREAM_INVALID_RESPONSE
    assert event.decode_error.message.startswith("Expected an event of a run's stream, got '")
    assert not event.ends_stream
    assert (event.error, event.wire) == (None, None)
    assert isinstance(after.wire, RunObject)


SAID = {"message": "The server had an error.", "type": "server_error"}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("error", {"error": SAID}),
        ("error", SAID),
        ("error", "The server had an error."),
        (None, {"error": SAID}),
        (None, {"error": "The server had an error."}),
        (None, SAID | {"object": "error"}),
        (None, {"event": "error", "data": {"error": SAID}}),
        (None, {"event": "error", "data": "The server had an error."}),
    ],
)
def test_an_error_of_the_upstream_is_passed_on_and_ends_the_stream(name: str | None, data: object) -> None:
    (event,) = read(frame(name, data))
    assert event.error is not None
    assert (event.error.code, event.error.message) == (ErrorCode.UPSTREAM_FAILED, "The server had an error.")
    assert event.ends_stream


def test_an_error_without_a_message_gets_a_default_message() -> None:
    assert read(frame("error", {}))[0].error is not None


@pytest.mark.parametrize(
    ("message", "retry_after_ms"),
    [("Rate limit reached. Please try again in 6.9s.", 6_900), ("The server had an error.", None)],
)
def test_a_reported_error_says_when_to_try_again(message: str, retry_after_ms: int | None) -> None:
    for name in ("error", None):
        (event,) = read(frame(name, {"object": "error", "error": {"message": message, "type": "rate_limit"}}))
        assert event.error is not None
        assert (event.error.message, event.error.retry_after_ms) == (message, retry_after_ms)


def test_no_error_contains_the_callers_credential() -> None:
    decoder = StreamDecoder("Bearer key-of-somebody")
    reported, garbled = decoder.feed(
        frame("error", {"error": "key-of-somebody may not"}) + frame(None, "[key-of-somebody")
    )
    assert reported.error is not None
    assert garbled.decode_error is not None
    assert reported.error.message == "[removed] may not"
    assert "somebody" not in garbled.decode_error.message


@pytest.mark.parametrize(
    "end", [b"data: [DONE]\n\n", b"event: done\ndata: {}\n\n", b'data: {"event": "done", "data": "[DONE]"}\n\n']
)
def test_every_spelling_of_the_end_is_recognised(end: bytes) -> None:
    (event,) = read(end)
    assert event.is_done


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("thread.created", {"id": "thread_1", "created_at": 1}, ThreadObject),
        ("thread.message.completed", MESSAGE | {"object": None}, MessageObject),
        ("thread.run.queued", {name: value for name, value in RUN.items() if name != "object"}, RunObject),
        ("thread.run.step.created", {"id": "step_1", "created_at": 1}, RunStepObject),
    ],
)
def test_an_object_without_a_kind_gets_the_kind_of_its_event(name: str, data: object, kind: type[object]) -> None:
    (event,) = read(frame(name, data))
    assert isinstance(event.wire, kind)
    (delta,) = read(frame("thread.run.step.delta", {"id": "step_1", "delta": {}}))
    assert delta.delta == {"id": "step_1", "object": "thread.run.step.delta", "delta": {}}


def test_a_known_event_with_an_object_of_an_unknown_word_is_read_by_its_name() -> None:
    named, nameless = read(
        frame("thread.run.completed", RUN | {"object": "run"}) + frame("thread.run.telemetry", RUN | {"object": "run"})
    )
    assert isinstance(named.wire, RunObject)
    assert nameless.wire is None


def test_nulls_and_misspelt_metadata_are_read_as_in_responses() -> None:
    odd = RUN | {"status": None, "usage": {"prompt_tokens": None}, "metadata_": {"a": "b"}}
    (event,) = read(frame(None, odd))
    assert isinstance(event.wire, RunObject)
    assert (event.wire.status, event.wire.metadata) == ("", {"a": "b"})


@pytest.mark.parametrize("missing", [b"\n", b"\n\n"])
def test_a_last_event_without_its_empty_line_is_returned_at_the_end(missing: bytes) -> None:
    decoder = StreamDecoder()
    assert decoder.feed(STREAM.removesuffix(missing)) + decoder.finish() == EVENTS
    assert decoder.finish() == []


def test_half_an_event_is_dropped_at_the_end_too() -> None:
    decoder = StreamDecoder()
    assert decoder.feed(STREAM[:-30]) == EVENTS[:-2]
    assert decoder.finish() == []


def test_a_carriage_return_ends_a_line_at_once() -> None:
    decoder = StreamDecoder()
    (event,) = decoder.feed(b"data: [DONE]\r\r")
    assert event.is_done
    assert decoder.feed(b"") == []
    assert [event.is_done for event in decoder.feed(b"\ndata: [DONE]\r\n\r")] == [True]


@pytest.mark.parametrize("piece", [1 << 30, 1 << 10])
@pytest.mark.parametrize(
    "endless",
    [b"data: " + b"x" * (SHORT_EVENT + 1), b"data: " + b"x" * SHORT_EVENT + b"\n\n", b"data\n" * (SHORT_EVENT // 4)],
)
def test_an_event_that_is_too_large_is_an_error_after_the_events_before_it(endless: bytes, piece: int) -> None:
    decoder = StreamDecoder(max_event_bytes=SHORT_EVENT)
    whole = STREAM + endless + STREAM
    pieces = [whole[start : start + piece] for start in range(0, len(whole), piece)]
    assert [event for piece in pieces for event in decoder.feed(piece)] == EVENTS
    assert decoder.error is not None
    assert f"at most {SHORT_EVENT} bytes" in decoder.error.message
    assert decoder.finish() == []


def test_by_default_an_event_may_have_eight_megabytes() -> None:
    decoder = StreamDecoder()
    decoder.feed(b"data: " + b"x" * (8 << 20))
    assert decoder.error is not None
    assert "at most 8388608 bytes" in decoder.error.message


def test_comments_are_not_counted_as_part_of_an_event() -> None:
    decoder = StreamDecoder(max_event_bytes=20)
    assert decoder.feed(b": ping\n" * 100 + b"data: [DONE]\n\n")[0].is_done
    assert decoder.error is None


@given(st.binary())
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    for event in read(data + b"\n\n"):
        assert isinstance(event, StreamEvent)


@pytest.mark.parametrize(("depth", "is_read"), [(1, True), (95, True), (96, False), (900, False)])
def test_a_delta_that_is_nested_too_deep_to_be_merged_is_unreadable(depth: int, is_read: bool) -> None:
    call = b'{"index": 0, "mcp": ' + b"[1," * depth + b"1" + b"]" * depth + b"}"
    delta = b'{"id": "step_1", "delta": {"step_details": {"tool_calls": [' + call + b"]}}}"
    event = parse_event("thread.run.step.delta", delta)
    assert (event.delta is not None, event.decode_error is None) == (is_read, is_read)


def test_a_delta_of_many_parts_is_read() -> None:
    parts = [{"index": index, "type": "text", "text": {"value": "a"}} for index in range(200)]
    event = parse_event("thread.message.delta", json.dumps({"id": "msg_1", "delta": {"content": parts}}).encode())
    assert event.delta is not None


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "Wrong key: sk-1", "type": "invalid_request_error", "code": "invalid_api_key"}},
        {"error": {"message": "Wrong key: sk-1", "code": 401}},
        {"type": "authentication_error", "message": "Wrong key: sk-1"},
        {"event": "error", "data": {"error": {"message": "Wrong key: sk-1", "code": "Forbidden"}}},
    ],
)
def test_an_event_that_refuses_the_own_key_has_none_of_the_upstreams_words(error: Any) -> None:
    data = json.dumps(error).encode()
    refused = parse_event("error" if "event" not in error else None, data, is_own_key=True).error
    assert isinstance(refused, OwnKeyRefusedError)
    assert "sk-1" not in str(refused)
    callers = parse_event("error", data).error
    assert callers is not None
    assert callers.code is ErrorCode.UPSTREAM_FAILED


@pytest.mark.parametrize("error", [{"error": {"message": "Busy", "code": "server_error"}}, {"error": "no"}, ["no"], 5])
def test_another_error_is_told_whosever_the_key_is(error: Any) -> None:
    data = json.dumps(error).encode()
    (own, callers) = (parse_event("error", data, is_own_key=is_own_key).error for is_own_key in (True, False))
    assert own is not None
    assert callers is not None
    assert (own.code, own.message) == (callers.code, callers.message)

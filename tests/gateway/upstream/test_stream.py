"""A run's stream is read whatever its server's habits; its objects are believed, not the names beside them."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.stream import MAX_EVENT_BYTES, StreamDecoder, read_event
from schema.errors import ErrorCode, GatewayError
from schema.run_streams import StreamEvent
from schema.wire import MessageObject, RunObject, ThreadObject

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


def test_a_stream_is_objects_deltas_and_an_end() -> None:
    kinds = [type(event.wire) for event in EVENTS]
    assert kinds == [ThreadObject, RunObject, MessageObject, type(None), RunObject, type(None)]
    assert EVENTS[3].delta is not None
    assert EVENTS[3].delta["delta"]["content"] == "né\u2028日本 🙂"
    assert [event.ends_stream for event in EVENTS] == [False, False, False, False, True, True]
    assert EVENTS[5].is_done


@given(st.lists(st.integers(0, len(STREAM)), max_size=6), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_it_does_not_matter_where_a_stream_is_split_nor_how_its_lines_end(places: list[int], end: bytes) -> None:
    stream = STREAM.replace(b"\n", end) + b"\n"
    ends = sorted({0, *(place for place in places if place < len(stream)), len(stream)})
    pieces = [stream[start:stop] for start, stop in itertools.pairwise(ends)]
    assert read(*pieces) == EVENTS


def test_a_stream_is_read_byte_by_byte_behind_a_byte_order_mark_and_past_comments() -> None:
    stream = b"\xef\xbb\xbf: hello\nid: 1\nretry: 5\n" + STREAM
    assert read(*(stream[place : place + 1] for place in range(len(stream)))) == EVENTS


def test_a_stream_without_event_lines_says_the_same() -> None:
    bare = [StreamEvent(None, event.wire, event.delta, event.error, event.is_done) for event in EVENTS]
    without_names = b"\n".join(line for line in STREAM.split(b"\n") if not line.startswith(b"event:"))
    assert read(without_names) == bare


def test_an_object_that_is_wrapped_together_with_its_name_is_unwrapped() -> None:
    (event,) = read(frame(None, {"event": "thread.run.created", "data": RUN}))
    assert event == read_event("thread.run.created", json.dumps(RUN).encode())


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


def test_an_event_of_an_unknown_kind_is_passed_over() -> None:
    (event,) = read(frame("thread.weather", {"object": "thread.weather", "rain": True}))
    assert event == StreamEvent("thread.weather")
    assert not event.ends_stream


def test_an_event_that_the_stream_breaks_off_in_is_none() -> None:
    assert read(STREAM[: STREAM.index(b"[DONE]")]) == EVENTS[:-1]


@pytest.mark.parametrize("garbage", ['{"id": "run_1", "object": "thr', "[1]", '"text"', '{"object": "thread.run"}'])
def test_what_cannot_be_read_is_an_honest_error(garbage: str) -> None:
    (event,) = read(frame("thread.run.created", garbage))
    assert event.error is not None
    assert event.error.code is ErrorCode.UPSTREAM_INVALID_RESPONSE
    assert event.ends_stream


@pytest.mark.parametrize("name", ["error", None])
def test_an_error_of_the_upstream_is_passed_on(name: str | None) -> None:
    (event,) = read(frame(name, {"error": {"message": "The server had an error.", "type": "server_error"}}))
    assert event.error is not None
    assert (event.error.code, event.error.message) == (ErrorCode.UPSTREAM_FAILED, "The server had an error.")


def test_an_event_that_never_ends_is_refused() -> None:
    with pytest.raises(GatewayError, match="at most"):
        read(b"data: " + b"x" * (MAX_EVENT_BYTES + 1))


@given(st.binary())
def test_any_bytes_are_read_without_a_fault(data: bytes) -> None:
    for event in read(data + b"\n\n"):
        assert isinstance(event, StreamEvent)

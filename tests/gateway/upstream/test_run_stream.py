"""Tests that a broken stream returns its events before the error, and that only an event can complete a stream."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from gateway.upstream import run_stream
from gateway.upstream.event_decoder import MAX_EVENT_BYTES
from gateway.upstream.run_stream import UpstreamRunStream
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_streams import StreamEvent
from schema.contract.wire import MessageObject, RunObject
from tests.support.scripted_upstream import ScriptedResponse, ScriptedUpstream, chunk, chunked_response

RUN = {"id": "run_1", "object": "thread.run", "created_at": 1, "thread_id": "thread_1", "status": "in_progress"}
CUT = "Expected a whole stream, got one that was cut short."


def event(data: Any, name: str | None = None) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def run(status: str, **fields: Any) -> bytes:
    return event(RUN | {"status": status} | fields)


DONE = event("[DONE]", "done")
ENDS = {
    "done": DONE,
    "error": event({"error": {"message": "No."}}, "error"),
    "completed": run("completed"),
    "incomplete": run("incomplete"),
    "waiting": run("requires_action"),
}
EACH_END = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)


@dataclass
class Opened:
    """A stream, its response, and the number of times that its connection was released."""

    stream: UpstreamRunStream
    response: aiohttp.ClientResponse
    closed: list[bool] = field(default_factory=list)

    async def rest(self) -> list[str | None]:
        """Return the statuses of the remaining runs of the stream."""
        events = []
        async with asyncio.timeout(20):
            while read := await self.stream.read_events():
                events += read
        return statuses(events)

    async def until_broken(self) -> None:
        async with asyncio.timeout(20):
            content = self.response.content
            while content.exception() is None and not content.is_eof():  # noqa: ASYNC110 - aiohttp has no event for it
                await asyncio.sleep(0)


def statuses(events: list[StreamEvent]) -> list[str | None]:
    return [event.wire.status if isinstance(event.wire, RunObject) else None for event in events]


Open = Callable[..., Awaitable[Opened]]


@pytest.fixture
async def open_stream(upstream: ScriptedUpstream) -> AsyncIterator[Open]:
    made: list[Opened] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:

        async def open_one(scripted_response: ScriptedResponse, **options: Any) -> Opened:
            upstream.queue_responses(scripted_response)
            response = await session.post(f"{upstream.url}/threads/thread_1/runs")
            closed: list[bool] = []
            defaults: dict[str, Any] = {"thread_id": "thread_1", "on_close": lambda: closed.append(True)}
            made.append(Opened(UpstreamRunStream(response, **defaults | options), response, closed))
            return made[-1]

        yield open_one
        for opened in made:
            await opened.stream.aclose()
            assert opened.closed == [True]


async def test_events_come_in_order_up_to_the_end(open_stream: Open) -> None:
    opened = await open_stream(chunked_response(run("queued"), run("in_progress"), run("completed"), DONE))
    assert opened.stream.thread_id == "thread_1"
    assert await opened.rest() == ["queued", "in_progress", "completed", None]
    assert await opened.stream.read_events() == []
    assert opened.closed == [True]


async def test_events_come_as_soon_as_they_are_sent(open_stream: Open) -> None:
    more = asyncio.Event()
    opened = await open_stream(chunked_response(run("queued"), more, run("completed")))
    assert statuses(await opened.stream.read_events()) == ["queued"]
    more.set()
    assert await opened.rest() == ["completed"]


async def test_bytes_that_were_read_before_come_first(open_stream: Open) -> None:
    opened = await open_stream(chunked_response(run("completed")))
    opened.stream.push_back(run("queued"))
    assert await opened.rest() == ["queued", "completed"]


GOOD = run("queued") + run("in_progress")
BREAKS: dict[str, Callable[[asyncio.Event], ScriptedResponse]] = {
    "cut": lambda go: chunked_response(go, run("queued"), run("in_progress"), then="close", whole=False),
    "reset": lambda go: chunked_response(go, GOOD, then="reset", whole=False),
    "ended early": lambda go: chunked_response(go, GOOD),
    "cut in an event": lambda go: chunked_response(go, GOOD + run("completed")[:-9], then="close", whole=False),
    "no length": lambda go: ScriptedResponse(b"HTTP/1.1 200 OK\r\n\r\n", then="close", pieces=(go, GOOD)),
    "garbled chunk": lambda go: ScriptedResponse(
        chunked_response().data, then="hang", pieces=(go, chunk(GOOD) + b"zz\r\n{")
    ),
    "cut in a chunk": lambda go: ScriptedResponse(
        chunked_response().data, then="close", pieces=(go, b"fff\r\n" + GOOD)
    ),
}


@pytest.mark.parametrize("comes_late", [False, True], ids=["waits", "comes late"])
@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
async def test_a_broken_stream_returns_its_events_before_the_error(
    open_stream: Open, broken: Callable[[asyncio.Event], ScriptedResponse], comes_late: bool
) -> None:
    go = asyncio.Event()
    opened = await open_stream(broken(go))
    read: list[StreamEvent] = []
    reading = asyncio.ensure_future(_read_into(read, opened.stream)) if not comes_late else None
    await asyncio.sleep(0)
    go.set()
    if reading is None:
        await opened.until_broken()
        reading = asyncio.ensure_future(_read_into(read, opened.stream))
    with pytest.raises(GatewayError, match=CUT) as caught:
        await reading
    assert statuses(read) == ["queued", "in_progress"]
    assert caught.value.code in {ErrorCode.UPSTREAM_INVALID_RESPONSE, ErrorCode.UPSTREAM_UNREACHABLE}
    assert opened.closed == [True]
    with pytest.raises(GatewayError, match=CUT):
        await opened.stream.read_events()


async def _read_into(read: list[StreamEvent], stream: UpstreamRunStream) -> None:
    while events := await stream.read_events():
        read += events


@EACH_END
@pytest.mark.parametrize("then", ["close", "reset"])
async def test_a_cut_after_the_final_event_is_not_a_failure(open_stream: Open, end: bytes, then: str) -> None:
    opened = await open_stream(chunked_response(run("queued"), end, then=then, whole=False))
    assert len(await opened.rest()) == 2


@EACH_END
async def test_a_connection_that_stays_open_after_the_end_is_closed(
    open_stream: Open, monkeypatch: pytest.MonkeyPatch, end: bytes
) -> None:
    monkeypatch.setattr(run_stream, "GRACE_SECONDS", 0.05)
    opened = await open_stream(chunked_response(run("queued"), end, then="hang", whole=False))
    assert len(await opened.rest()) == 2
    assert opened.closed == [True]


async def test_nothing_is_read_after_done(open_stream: Open) -> None:
    opened = await open_stream(chunked_response(run("completed") + DONE + run("queued"), then="hang", whole=False))
    assert await opened.rest() == ["completed", None]


async def test_events_shortly_after_the_final_event_are_returned(open_stream: Open) -> None:
    more = asyncio.Event()
    opened = await open_stream(chunked_response(run("requires_action"), more, run("queued"), then="close", whole=False))
    assert statuses(await opened.stream.read_events()) == ["requires_action"]
    more.set()
    assert await opened.rest() == ["queued"]


async def test_a_server_that_never_stops_after_the_end_is_cut_off(
    open_stream: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_stream, "GRACE_SECONDS", 0.0)
    endless = chunked_response(run("completed"), *[b": ping\n\n"] * 50, then="hang", whole=False)
    opened = await open_stream(endless)
    assert await opened.rest() == ["completed"]


async def test_a_run_that_is_not_over_is_read_on_despite_its_events_name(open_stream: Open) -> None:
    opened = await open_stream(chunked_response(event(RUN, "thread.run.completed"), run("completed")))
    assert await opened.rest() == ["in_progress", "completed"]


async def test_a_silent_stream_times_out(open_stream: Open) -> None:
    opened = await open_stream(chunked_response(run("queued"), then="hang", whole=False), idle_seconds=0.05)
    assert statuses(await opened.stream.read_events()) == ["queued"]
    with pytest.raises(GatewayError) as caught:
        await opened.stream.read_events()
    assert caught.value.code is ErrorCode.UPSTREAM_TIMEOUT
    assert caught.value.message == "Expected an event of the run's stream within 0.05 s, got none."
    assert opened.closed == [True]


async def test_a_garbled_event_is_reported_and_reading_goes_on(open_stream: Open) -> None:
    opened = await open_stream(chunked_response(run("queued") + b"data: {\n\n" + run("completed")))
    queued, garbled, completed = await opened.stream.read_events()
    assert garbled.decode_error is not None
    assert statuses([queued, completed]) == ["queued", "completed"]
    assert await opened.stream.read_events() == []


async def test_an_event_that_is_too_large_ends_the_stream_after_the_events_before_it(open_stream: Open) -> None:
    opened = await open_stream(chunked_response(run("queued") + b"data: " + b"x" * MAX_EVENT_BYTES, then="hang"))
    assert statuses(await opened.stream.read_events()) == ["queued"]
    with pytest.raises(GatewayError, match="an event of at most 8388608 bytes") as caught:
        await opened.stream.read_events()
    assert caught.value.code is ErrorCode.UPSTREAM_INVALID_RESPONSE


async def test_a_very_long_line_is_read(open_stream: Open) -> None:
    text = "x" * 6_000_000
    message = {"id": "msg_1", "object": "thread.message", "created_at": 1, "content": text}
    opened = await open_stream(chunked_response(event(message), DONE))
    read, *_ = await opened.stream.read_events()
    assert isinstance(read.wire, MessageObject)
    assert read.wire.content == text


async def test_a_last_event_without_its_empty_line_counts(open_stream: Open) -> None:
    opened = await open_stream(chunked_response(run("queued"), run("completed").rstrip()))
    assert await opened.rest() == ["queued", "completed"]


async def test_a_compressed_stream_is_read(open_stream: Open) -> None:
    opened = await open_stream(
        chunked_response(gzip.compress(run("queued") + run("completed")), Content_Encoding="gzip")
    )
    assert await opened.rest() == ["queued", "completed"]


async def test_a_stream_with_broken_compression_counts_as_cut(
    open_stream: Open, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        opened = await open_stream(chunked_response(b"no gzip at all", Content_Encoding="gzip"))
        with pytest.raises(GatewayError, match=CUT):
            await opened.stream.read_events()
    assert not caplog.records


async def test_closing_is_immediate_and_wakes_the_reader(open_stream: Open) -> None:
    opened = await open_stream(chunked_response(run("queued"), then="hang", whole=False))
    assert statuses(await opened.stream.read_events()) == ["queued"]
    reading = asyncio.ensure_future(opened.stream.read_events())
    await asyncio.sleep(0)
    await opened.stream.aclose()
    await opened.stream.aclose()
    assert opened.closed == [True]
    with pytest.raises(GatewayError, match=CUT):
        await reading
    with pytest.raises(GatewayError, match=CUT):
        await opened.stream.read_events()


async def test_closing_a_stream_that_has_ended_is_no_failure(open_stream: Open) -> None:
    opened = await open_stream(chunked_response(run("completed"), then="hang", whole=False))
    assert statuses(await opened.stream.read_events()) == ["completed"]
    await opened.stream.aclose()
    assert await opened.stream.read_events() == []


async def test_a_cancelled_read_loses_no_event(open_stream: Open) -> None:
    more = asyncio.Event()
    opened = await open_stream(chunked_response(more, run("queued"), run("completed")))
    reading = asyncio.ensure_future(opened.stream.read_events())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    more.set()
    assert await opened.rest() == ["queued", "completed"]


@pytest.mark.parametrize(
    ("requested", "sent", "said"),
    [
        ({"thread_id": "thread_1"}, run("queued", thread_id="thread_2"), "what is in the thread 'thread_2'"),
        ({"run_id": "run_9"}, run("queued"), "expected the run 'run_9', got the run 'run_1'"),
        ({}, run("queued") + run("completed", id="run_2"), "expected the run 'run_1', got the run 'run_2'"),
        ({"thread_id": None}, run("queued", thread_id=None), "expected a run with a 'thread_id'"),
    ],
)
async def test_a_stream_of_another_run_or_thread_is_refused(
    open_stream: Open, requested: dict[str, Any], sent: bytes, said: str
) -> None:
    opened = await open_stream(chunked_response(sent, then="hang", whole=False), **requested)
    with pytest.raises(GatewayError, match=said) as caught:
        await opened.rest()
    assert caught.value.code is ErrorCode.UPSTREAM_INVALID_RESPONSE


@pytest.mark.parametrize(
    ("requested", "before"),
    [
        ("thread_1", b""),
        (None, event({"id": "thread_1", "object": "thread", "created_at": 1})),
        (None, run("queued")),
    ],
)
async def test_each_run_has_its_thread_id_even_if_the_server_leaves_it_out(
    open_stream: Open, requested: str | None, before: bytes
) -> None:
    opened = await open_stream(chunked_response(before + run("completed", thread_id=None)), thread_id=requested)
    *_, completed = await opened.stream.read_events()
    assert isinstance(completed.wire, RunObject)
    assert completed.wire.thread_id == "thread_1"
    assert opened.stream.thread_id == requested


async def test_a_failure_has_the_request_id_but_no_credential(open_stream: Open) -> None:
    scripted_response = chunked_response(X_Request_Id="req_key-of-somebody")
    opened = await open_stream(scripted_response, credential="Bearer key-of-somebody")
    with pytest.raises(GatewayError) as caught:
        await opened.stream.read_events()
    assert caught.value.upstream_request_id == "req_[removed]"


async def test_an_unexpected_break_is_an_error_and_is_logged_with_its_cause(
    open_stream: Open, caplog: pytest.LogCaptureFixture
) -> None:
    opened = await open_stream(chunked_response(run("queued"), then="hang", whole=False))
    assert statuses(await opened.stream.read_events()) == ["queued"]
    opened.response.content.set_exception(ValueError("a bug"))
    with pytest.raises(GatewayError, match=CUT) as caught:
        await opened.stream.read_events()
    assert caught.value.code is ErrorCode.UPSTREAM_INVALID_RESPONSE
    (record,) = caplog.records
    assert record.getMessage() == "a run's stream broke unexpectedly"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)

"""Tests that a reader of a broken stream gets correct data, or first an honest error and then correct data."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from schema.contract.keys import MessageKey, RunKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    PIECE_SECONDS,
    QUEUED_SECONDS,
    RUN_EVENTS,
    RUN_STATUS,
    STEP_SECONDS,
    THREAD_EVENTS,
    StartedRun,
    check_events_match_messages,
    messages_of_run,
    start_run,
    start_run_without_gateway,
    statuses,
    wait_for_status,
)
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import succeed
from tests.support.scripted_upstream import (
    Request,
    ScriptedResponse,
    ScriptedUpstream,
    chunked_response,
    response,
    scripted_upstream,
)
from tests.support.subscription_clients import LiveSocket, SubscriptionReader, open_socket, open_stream

RUN = StartedRun(RunKey("thread_1", "run_1"))
TEXT = "Good morning."


@pytest.fixture
async def socket(gateway: Gateway) -> AsyncIterator[LiveSocket]:
    async with open_socket(gateway) as socket:
        yield socket


@pytest.mark.parametrize("events", long_except([2, 3, 6, 9, 14], [2, 9]))
async def test_a_cut_stream_is_reported_and_the_run_is_polled_to_its_end(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket, events: int
) -> None:
    emulator.misbehave(f"createRun:cut:events={events}")
    run = await start_run(emulator, gateway)
    reader = await socket.subscribe(RUN_EVENTS, run=run.id)
    status = await socket.subscribe(RUN_STATUS, run=run.id)
    await asyncio.gather(reader.wait_for_event("RunSnapshot"), status.wait_for_event("RunStatusChange"))
    emulator.clock.advance(QUEUED_SECONDS)
    await asyncio.gather(*(one.wait_for_event("RunStatusChange", status="IN_PROGRESS") for one in (reader, status)))
    emulator.clock.advance(STEP_SECONDS + 8 * PIECE_SECONDS)
    await reader.wait_for_event("MessageCreated")
    await reader.wait_for_event("StreamError", code="STREAM_INTERRUPTED", final=False)
    emulator.clock.advance(LONG_SECONDS)
    await asyncio.gather(reader.wait_for_completion(), status.wait_for_completion())
    assert statuses(reader.events) == statuses(status.events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    check_events_match_messages(reader.events, await messages_of_run(emulator, run))
    codes = [error["code"] for error in reader.of_type("StreamError")]
    assert codes == ["STREAM_INTERRUPTED", "TOKENS_LOST"] if events > 6 else ["STREAM_INTERRUPTED"]


@pytest.mark.parametrize("events", long_except([2, 3, 6, 9, 14], [9]))
@pytest.mark.parametrize("fault", ["garbled", "half-character"])
async def test_an_unreadable_event_is_reported_and_does_not_affect_the_others(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket, fault: str, events: int
) -> None:
    emulator.misbehave(f"createRun:{fault}:events={events}")
    run = await start_run(emulator, gateway)
    reader = await socket.subscribe(RUN_EVENTS, run=run.id)
    status = await socket.subscribe(RUN_STATUS, run=run.id)
    await asyncio.gather(reader.wait_for_event("RunSnapshot"), status.wait_for_event("RunStatusChange"))
    emulator.clock.advance(LONG_SECONDS)
    await asyncio.gather(reader.wait_for_completion(), status.wait_for_completion())
    (error,) = reader.of_type("StreamError")
    assert (error["code"], error["final"]) == ("UPSTREAM_INVALID_RESPONSE", False)
    unread = ["IN_PROGRESS"] if events == 2 else []
    expected = [one for one in ("QUEUED", "IN_PROGRESS", "COMPLETED") if one not in unread]
    assert statuses(reader.events) == statuses(status.events) == expected
    check_events_match_messages(reader.events, await messages_of_run(emulator, run))


async def test_a_stream_that_falls_silent_is_closed_and_the_run_is_polled(emulator: Emulator) -> None:
    emulator.misbehave("createRun:silent:events=10")
    async with running_gateway(emulator.url, upstream_stream_idle_seconds=0.3) as gateway:
        run = await start_run(emulator, gateway)
        async with open_stream(gateway, RUN_EVENTS, run=run.id) as reader:
            emulator.clock.advance(QUEUED_SECONDS + STEP_SECONDS + 5 * PIECE_SECONDS)
            await reader.wait_for_event("TextDelta")
            await reader.wait_for_event("StreamError", code="STREAM_INTERRUPTED")
            emulator.clock.advance(LONG_SECONDS)
            events = await reader.wait_for_completion()
            check_events_match_messages(events, await messages_of_run(emulator, run))
            assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
            assert [error["code"] for error in reader.of_type("StreamError")] == ["STREAM_INTERRUPTED", "TOKENS_LOST"]


@pytest.mark.parametrize(
    "fault", long_except(["503", "429:retry_after=1", "reset", "html", "truncated"], ["429:retry_after=1", "reset"])
)
async def test_failing_polls_are_repeated_until_one_succeeds(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket, fault: str
) -> None:
    run = await start_run_without_gateway(emulator)
    reader = await socket.subscribe(RUN_EVENTS, run=run.id)
    await wait_for_status(reader, "QUEUED")
    emulator.misbehave(f"getRun:{fault}:first=1,listMessages:{fault}:first=1,listRunSteps:{fault}:first=1")
    emulator.clock.advance(LONG_SECONDS)
    events = await reader.wait_for_completion()
    assert statuses(events) == ["QUEUED", "COMPLETED"]
    emulator.misbehave("")
    check_events_match_messages(events, await messages_of_run(emulator, run))


async def test_an_upstream_that_is_down_at_first_is_a_retryable_error(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket
) -> None:
    run = await start_run_without_gateway(emulator)
    emulator.misbehave("getRun:503")
    refused = await (await socket.subscribe(RUN_EVENTS, run=run.id)).wait_for_end()
    assert [error["extensions"]["retryable"] for error in refused.errors or ()] == [True]
    emulator.misbehave("")
    await wait_for_status(await socket.subscribe(RUN_EVENTS, run=run.id), "QUEUED")


@pytest.mark.parametrize("elsewhere", [False, True], ids=["streamed", "polled"])
async def test_a_thread_that_is_deleted_takes_its_runs_along(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket, elsewhere: bool
) -> None:
    run = await start_run_without_gateway(emulator) if elsewhere else await start_run(emulator, gateway)
    readers = [
        await socket.subscribe(RUN_EVENTS, run=run.id),
        await socket.subscribe(RUN_STATUS, run=run.id),
        await socket.subscribe(THREAD_EVENTS, thread=run.thread_id),
    ]
    await asyncio.gather(*(reader.wait_until(lambda reader: reader.events) for reader in readers))
    await emulator.delete(f"/threads/{run.key.thread_id}")
    for reader in readers:
        assert (await reader.wait_for_end()).error_codes == ["NOT_FOUND"]


def run_object(status: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": "run_1",
        "object": "thread.run",
        "created_at": 1,
        "thread_id": "thread_1",
        "assistant_id": "asst_1",
        "status": status,
        **fields,
    }


def message_object(status: str | None, text: str = "") -> dict[str, Any]:
    content = [{"type": "text", "text": {"value": text, "annotations": []}}] if text else []
    return {
        "id": "msg_1",
        "object": "thread.message",
        "created_at": 2,
        "thread_id": "thread_1",
        "run_id": "run_1",
        "assistant_id": "asst_1",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def step_object(status: str, step_id: str = "step_1", details: dict[str, Any] | None = None) -> dict[str, Any]:
    details = details or {"type": "message_creation", "message_creation": {"message_id": "msg_1"}}
    names = {"object": "thread.run.step", "run_id": "run_1", "thread_id": "thread_1", "assistant_id": "asst_1"}
    return {"id": step_id, "created_at": 2, "status": status, "type": details["type"], "step_details": details} | names


def delta(value: str) -> dict[str, Any]:
    content = [{"index": 0, "type": "text", "text": {"value": value}}]
    return {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": content}}


def frame(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


DONE = b"event: done\ndata: [DONE]\n\n"
CREATED = frame("thread.run.created", run_object("queued"))
PROGRESS = frame("thread.run.in_progress", run_object("in_progress"))
STEP = frame("thread.run.step.created", step_object("in_progress"))
STEPPED = frame("thread.run.step.completed", step_object("completed"))
MESSAGE = frame("thread.message.created", message_object("in_progress"))
PIECES = [frame("thread.message.delta", delta(piece)) for piece in ("Good ", "morning", ".")]
WRITTEN = frame("thread.message.completed", message_object("completed", TEXT))
COMPLETED = frame("thread.run.completed", run_object("completed"))
UNREADABLE = [frame("thread.run.step.delta", "no object"), frame("thread.message.delta", [1, 2])]
UNKNOWN = [
    frame("thread.run.pondering", {"id": "pond_1", "object": "thread.run.pond", "depth": 3}),
    b": a comment\n\n",
    b"retry: 10\n\n",
]


def upstream_streaming(*frames: bytes, afterwards: str = "completed") -> Callable[[Request], ScriptedResponse]:
    """Run an upstream that streams these frames to the creator of a run.

    Reads get the run as it is `afterwards`, with its message.
    """

    def reply(request: Request) -> ScriptedResponse:
        path = request.target.partition("?")[0]
        if request.method == "POST":
            return chunked_response(*frames)
        if path.endswith("/messages"):
            return response(body=listing(message_object(None, TEXT)))
        if path.endswith("/steps"):
            return response(body=listing())
        return response(body=run_object(afterwards))

    return reply


def listing(*data: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(data), "has_more": False}


async def follow_stream(
    upstream: ScriptedUpstream, *frames: bytes, afterwards: str = "completed"
) -> SubscriptionReader:
    """Follow a run with this stream to its end. Returns the reader."""
    upstream.default_response = upstream_streaming(*frames, afterwards=afterwards)
    async with running_gateway(upstream.url) as gateway:
        await succeed(gateway, "createRun", "run { id }", threadId="thread_1", assistantId="asst_1")
        async with open_stream(gateway, RUN_EVENTS, run=RUN.id) as reader:
            await reader.wait_for_completion()
    return reader


def text_pieces(reader: SubscriptionReader) -> Sequence[str]:
    return [event["value"] for event in reader.of_type("TextDelta")]


def check_message_and_end(reader: SubscriptionReader, status: str = "COMPLETED") -> None:
    """Check that the reader has the message and the end."""
    check_events_match_messages(reader.events, [{"id": to_global_id(MessageKey("thread_1", "msg_1")), "text": TEXT}])
    assert statuses(reader.events)[-1] == status


async def test_unknown_events_are_skipped() -> None:
    async with scripted_upstream() as upstream:
        written = [STEP, MESSAGE, *PIECES, *UNKNOWN, WRITTEN, STEPPED]
        frames = [CREATED, *UNKNOWN, PROGRESS, *UNKNOWN, *written, COMPLETED, DONE]
        reader = await follow_stream(upstream, *frames)
        check_message_and_end(reader)
        assert "".join(text_pieces(reader)) == TEXT
        assert statuses(reader.events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
        assert [request.method for request in upstream.requests] == ["POST"]


async def test_events_without_objects_cost_one_poll_at_the_end() -> None:
    async with scripted_upstream() as upstream:
        frames = [CREATED, *UNREADABLE, PROGRESS, MESSAGE, *PIECES, *UNREADABLE, WRITTEN, COMPLETED, DONE]
        reader = await follow_stream(upstream, *frames)
        check_message_and_end(reader)
        assert "".join(text_pieces(reader)) == TEXT
        assert len(upstream.requests) <= 4
        assert {error["code"] for error in reader.of_type("StreamError")} <= {"UPSTREAM_INVALID_RESPONSE"}


async def test_the_status_is_that_of_the_run_and_not_of_the_events_name() -> None:
    incomplete = frame("thread.run.completed", run_object("incomplete", incomplete_details={"reason": "max_tokens"}))
    working = frame("thread.run.completed", run_object("in_progress"))
    async with scripted_upstream() as upstream:
        frames = [CREATED, working, MESSAGE, *PIECES, WRITTEN, incomplete, DONE]
        reader = await follow_stream(upstream, *frames, afterwards="incomplete")
        check_message_and_end(reader, "INCOMPLETE")
        assert statuses(reader.events) == ["QUEUED", "IN_PROGRESS", "INCOMPLETE"]


REORDERED = {
    "pieces before their message": [CREATED, PROGRESS, PIECES[0], MESSAGE, *PIECES[1:], WRITTEN, COMPLETED, DONE],
    "an older status after a newer one": [CREATED, PROGRESS, MESSAGE, *PIECES, WRITTEN, COMPLETED, PROGRESS, DONE],
    "the end before the message": [CREATED, PROGRESS, MESSAGE, *PIECES, COMPLETED, WRITTEN, DONE],
    "everything twice": [one for part in (CREATED, PROGRESS, MESSAGE) for one in (part, part)]
    + [*PIECES, WRITTEN, WRITTEN, COMPLETED, COMPLETED, DONE, DONE],
    "pieces after their end": [CREATED, PROGRESS, MESSAGE, *PIECES, WRITTEN, *PIECES, COMPLETED, DONE],
    "the end and nothing before it": [CREATED, COMPLETED, DONE],
    "nothing but the end": [COMPLETED, DONE],
    "no message at all": [CREATED, PROGRESS, COMPLETED, DONE],
    "an end of the stream in its middle": [CREATED, PROGRESS, MESSAGE, *PIECES, DONE],
    "no last words": [CREATED, PROGRESS, MESSAGE, *PIECES, WRITTEN, COMPLETED],
    "another run's events in between": [
        CREATED,
        frame("thread.run.completed", {**run_object("completed"), "id": "run_2"}),
        PROGRESS,
        MESSAGE,
        *PIECES,
        WRITTEN,
        COMPLETED,
        DONE,
    ],
}


@pytest.mark.parametrize("frames", REORDERED.values(), ids=REORDERED)
async def test_events_out_of_order_or_repeated_still_give_correct_data(frames: list[bytes]) -> None:
    async with scripted_upstream() as upstream:
        reader = await follow_stream(upstream, *frames)
        check_message_and_end(reader)
        seen = statuses(reader.events)
        assert [status for status in ("QUEUED", "IN_PROGRESS", "COMPLETED") if status in seen] == seen


async def test_an_error_in_the_stream_is_reported_and_the_run_is_polled() -> None:
    error = frame("error", {"error": {"message": "The server had an error.", "type": "server_error"}})
    async with scripted_upstream() as upstream:
        reader = await follow_stream(upstream, CREATED, PROGRESS, MESSAGE, PIECES[0], error, DONE, afterwards="failed")
        check_message_and_end(reader, "FAILED")
        errors = [(error["code"], error["final"]) for error in reader.of_type("StreamError")]
        assert len(errors) == 2
        assert errors[1] == ("TOKENS_LOST", False)

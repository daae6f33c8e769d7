"""A recorded stream: all of its events are in the run's log, with or without readers, and the end comes last."""

import asyncio
from dataclasses import replace

import pytest

from gateway.run_log.store.event_log import LogName
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_events import MessageFinishedChange, Provenance, SnapshotChange, StatusChange
from schema.contract.run_streams import StreamEvent
from tests.support.run_log_processes import (
    DONE,
    RUN,
    SCOPE,
    ScriptedStream,
    World,
    a_message,
    a_run,
    a_step,
    kind,
    kinds,
    pending_events,
    said,
    settle,
    simple_run,
    statuses,
    take_all,
    text_delta,
)
from tests.support.wire_samples import run, thread

WHOLE = [
    "snapshot queued", "in_progress", "step in_progress", "MessageCreatedChange", "Hel", "lo",
    "message finished", "step completed", "completed",
]  # fmt: skip
CUT = GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "The stream was cut.")


async def read_log(world: World) -> list[str]:
    feed = await world.process().events.follow_run(RUN)
    received = kinds(pending_events(feed))
    await feed.aclose()
    return received


@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_a_stream_is_followed_from_its_beginning(world: World, size: int) -> None:
    process = world.process()
    events = simple_run("Hel", "lo")
    stream = ScriptedStream(*(events[place : place + size] for place in range(0, len(events), size)))
    made = await process.hub.record_stream(SCOPE, stream)
    assert made.status == "queued"
    feed = await process.events.follow_run(RUN)
    received = await world.during(take_all(feed))
    assert kinds(received) == WHOLE
    assert {event.provenance for event in received} == {Provenance.STREAMED}
    await feed.aclose()
    assert stream.is_closed


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_the_log_knows_the_place_in_the_stream_behind_each_event_that_is_in_it(world: World, size: int) -> None:
    events = [replace(event, position=str(number)) for number, event in enumerate(simple_run("Hel", "lo"))]
    batches = [events[place : place + size] for place in range(0, len(events), size)]
    await world.process().hub.record_stream(SCOPE, ScriptedStream(*batches))
    await settle()
    entries = (await world.log.read(LogName(SCOPE, RUN))).entries
    assert [entry.position for entry in entries] == [str(number) for number in range(len(events) - 1)]


async def test_of_several_changes_of_one_event_the_last_has_its_place(world: World) -> None:
    finished = StreamEvent("thread.message.completed", wire=a_message("Hi", "completed"), position="7")
    stream = ScriptedStream([said(a_run("in_progress")), finished])
    await world.process().hub.record_stream(SCOPE, stream)
    entries = (await world.log.read(LogName(SCOPE, RUN))).entries
    assert [kind(entry.change) for entry in entries[1:]] == ["MessageCreatedChange", "message finished"]
    assert [entry.position for entry in entries] == [None, None, "7"]


async def test_the_run_is_returned_as_soon_as_the_stream_names_it(world: World) -> None:
    process = world.process()
    stream = ScriptedStream(thread_id=None)
    starting = asyncio.ensure_future(process.hub.record_stream(SCOPE, stream))
    stream.say([said(thread("thread_1"), "thread.created")])
    await settle()
    assert not starting.done()
    stream.say([said(run("run_1", status="queued"))])
    assert (await starting).id == "run_1"
    assert process.moved == [RUN]
    assert await read_log(world) == ["snapshot queued"]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (ScriptedStream(()), ErrorCode.UPSTREAM_INVALID_RESPONSE),
        (ScriptedStream([said(a_step())], CUT), ErrorCode.UPSTREAM_UNREACHABLE),
        (ScriptedStream([StreamEvent("error", error=CUT)]), ErrorCode.UPSTREAM_UNREACHABLE),
        (ScriptedStream([said(run("run_1"))], thread_id=None), ErrorCode.UPSTREAM_INVALID_RESPONSE),
    ],
)
async def test_a_stream_without_a_run_is_an_error_that_is_not_retried(
    world: World, stream: ScriptedStream, code: ErrorCode
) -> None:
    process = world.process()
    with pytest.raises(GatewayError) as failed:
        await process.hub.record_stream(SCOPE, stream)
    assert failed.value.code is code
    assert not failed.value.retryable
    await settle()
    assert stream.is_closed


async def test_a_caller_that_waits_for_a_run_is_told_that_the_gateway_stops(world: World) -> None:
    process = world.process()
    stream = ScriptedStream()
    starting = asyncio.ensure_future(process.hub.record_stream(SCOPE, stream))
    await settle()
    await process.hub.close()
    with pytest.raises(GatewayError) as stopped:
        await starting
    assert stopped.value.code is ErrorCode.GATEWAY_STOPPING
    assert not stopped.value.retryable
    assert stream.is_closed


@pytest.mark.parametrize("ending", [CUT, (), [DONE], [StreamEvent("error", error=CUT)]])
async def test_a_broken_stream_is_a_fault_and_polling_takes_over_at_once(
    world: World, ending: list[StreamEvent] | GatewayError
) -> None:
    process = world.process()
    stream = ScriptedStream(simple_run("Hel", "lo")[:5])
    await process.hub.record_stream(SCOPE, stream)
    feed = await process.events.follow_run(RUN)
    await settle()
    assert kinds(pending_events(feed)) == WHOLE[:5]
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("Hello", None))
    world.put_run("completed")
    stream.say(ending)
    await settle()
    fault, *rest = kinds(pending_events(feed))
    assert fault == ("UPSTREAM_UNREACHABLE" if isinstance(ending, list) and ending[0].error else "STREAM_INTERRUPTED")
    assert rest == ["step completed", "TOKENS_LOST", "message finished", "completed"]
    await feed.aclose()


async def test_an_event_after_the_terminal_status_is_shown_before_it(world: World) -> None:
    process = world.process()
    events = simple_run("Hel", "lo")
    early_end = [*events[:5], events[-2], *events[5:-2], DONE]
    stream = ScriptedStream(early_end[:6], early_end[6:])
    await process.hub.record_stream(SCOPE, stream)
    feed = await process.events.follow_run(RUN)
    assert kinds(await take_all(feed)) == WHOLE
    await feed.aclose()


@pytest.mark.parametrize("ending", [CUT, (), [DONE]])
async def test_an_end_with_missing_events_is_completed_by_a_poll(
    world: World, ending: list[StreamEvent] | GatewayError
) -> None:
    process = world.process()
    events = simple_run("Hel", "lo")
    stream = ScriptedStream([*events[:5], events[-2]])
    await process.hub.record_stream(SCOPE, stream)
    feed = await process.events.follow_run(RUN)
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("Hello", None))
    world.put_run("completed")
    await world.pass_seconds(1)
    assert world.api.calls == []
    stream.say(ending)
    received = await world.during(take_all(feed))
    assert kinds(received) == [*WHOLE[:5], "step completed", "TOKENS_LOST", "message finished", "completed"]
    await feed.aclose()


async def test_a_run_that_is_over_in_its_first_object_is_one_snapshot(world: World) -> None:
    process = world.process()
    stream = ScriptedStream(
        [said(a_step(status="completed")), said(a_message("Hi", "completed")), said(a_run("completed"))]
    )
    await process.hub.record_stream(SCOPE, stream)
    feed = await process.events.follow_run(RUN)
    (event,) = await take_all(feed)
    assert kinds([event]) == ["snapshot completed"]
    assert len(event.change.messages) == len(event.change.steps) == 1  # type: ignore[union-attr]
    await feed.aclose()


async def test_a_run_that_waits_for_its_caller_continues_in_the_same_log(world: World) -> None:
    here, there = world.process(), world.process()
    first = ScriptedStream([said(a_run("queued")), said(a_run("in_progress")), said(a_step())])
    await here.hub.record_stream(SCOPE, first)
    feed = await here.events.follow_run(RUN)
    world.put_run("requires_action")
    first.say([said(a_run("requires_action"))])
    await settle()
    assert first.is_closed
    await world.pass_seconds(5)
    second = ScriptedStream([said(a_step(status="completed"), "thread.run.step.completed")])
    starting = asyncio.ensure_future(there.hub.record_stream(SCOPE, second))
    await world.pass_seconds(1)
    world.put_run("queued")
    await world.pass_seconds(5)
    second.say([said(a_run("queued")), said(a_run("in_progress"))])
    await starting
    world.put_run("in_progress")
    await world.pass_seconds(10)
    world.put_run("completed")
    second.say([said(a_run("completed")), DONE])
    received = await world.during(take_all(feed))
    assert statuses(received) == ["queued", "in_progress", "requires_action", "queued", "in_progress", "completed"]
    assert kinds(received).count("step completed") == 1
    assert [event.provenance for event in received if isinstance(event.change, StatusChange)][2] is Provenance.POLLED
    await feed.aclose()


@pytest.mark.parametrize("polled", ["at first", "until it waited"])
async def test_output_from_before_the_stream_is_shown_before_the_end(world: World, polled: str) -> None:
    process = world.process()
    world.put_run("queued" if polled == "at first" else "requires_action")
    status = await world.during(process.events.follow_status(RUN))
    await status.aclose()
    world.put_step(a_step("step_0", "completed"))
    world.put_message(a_message("Before", None, "msg_0"))
    stream = ScriptedStream([said(a_run("queued", started_at=1)), said(a_run("in_progress", started_at=1))])
    await process.hub.record_stream(SCOPE, stream)
    feed = await process.events.follow_run(RUN)
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("Hi", None))
    world.put_run("completed")
    stream.say([said(a_step(status="completed")), said(a_message("Hi", "completed")), said(a_run("completed")), DONE])
    received = await world.during(take_all(feed))
    assert statuses(received)[-2:] == ["in_progress", "completed"]
    finished = [event.change.message.id for event in received if isinstance(event.change, MessageFinishedChange)]
    assert sorted(finished) == ["msg_0", "msg_1"]
    assert kinds(received).count("step completed") == 2
    await feed.aclose()


async def test_a_run_that_was_streamed_until_it_waited_is_streamed_to_its_end(world: World) -> None:
    here, there = world.process(), world.process()
    begun = [said(a_run("queued")), said(a_run("in_progress"))]
    first = ScriptedStream([*begun, said(a_step("step_0")), said(a_run("requires_action"))])
    await here.hub.record_stream(SCOPE, first)
    await settle()
    called = said(a_step("step_0", "completed", step_details={"type": "tool_calls"}))
    second = ScriptedStream([said(a_run("queued", started_at=1)), called], simple_run("Hi")[1:])
    await there.hub.record_stream(SCOPE, second)
    feed = await there.events.follow_run(RUN)
    received = await take_all(feed)
    assert {event.provenance for event in received} == {Provenance.STREAMED}
    assert world.api.calls == []
    await feed.aclose()


async def test_a_garbled_step_is_polled_before_the_end(world: World) -> None:
    process = world.process()
    stream = ScriptedStream([said(a_run("queued")), said(a_run("in_progress"))])
    await process.hub.record_stream(SCOPE, stream)
    feed = await process.events.follow_run(RUN)
    world.put_run("completed")
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("Hi", None))
    stream.say([StreamEvent("thread.run.step.completed", decode_error=CUT)])
    stream.say([said(a_message("Hi", "completed")), said(a_run("completed")), DONE])
    received = await world.during(take_all(feed))
    assert kinds(received)[-2:] == ["step completed", "completed"]
    await feed.aclose()


async def test_a_second_stream_of_the_same_run_preempts_the_first(world: World) -> None:
    here, there = world.process(), world.process()
    first, second = ScriptedStream([said(a_run("queued"))]), ScriptedStream([said(a_run("queued"))])
    await here.hub.record_stream(SCOPE, first)
    await there.hub.record_stream(SCOPE, second)
    first.say([said(a_run("in_progress"))])
    await settle()
    assert first.is_closed
    assert await read_log(world) == ["snapshot queued"]
    second.say([said(a_run("failed"))])
    await settle()
    assert await read_log(world) == ["snapshot queued", "failed"]


async def test_a_stream_of_a_run_that_is_over_writes_nothing(world: World) -> None:
    process = world.process()
    await process.hub.record_stream(SCOPE, ScriptedStream(simple_run("Hel", "lo")))
    await settle()
    stream = ScriptedStream([said(a_run("queued"))])
    assert (await process.hub.record_stream(SCOPE, stream)).status == "queued"
    await settle()
    assert stream.is_closed
    assert await read_log(world) == WHOLE


async def test_a_silent_stream_keeps_its_lease(world: World) -> None:
    here, there = world.process(), world.process()
    stream = ScriptedStream(simple_run("Hel", "lo")[:4])
    await here.hub.record_stream(SCOPE, stream)
    feed = await there.events.follow_run(RUN)
    await world.pass_seconds(60, step=0.5)
    assert world.api.calls == []
    stream.say(simple_run("Hel", "lo")[4:])
    assert kinds(await take_all(feed)) == WHOLE
    await feed.aclose()


async def test_events_of_another_run_are_ignored_and_garbled_ones_are_faults(world: World) -> None:
    process = world.process()
    events = simple_run("Hel", "lo")
    odd = [said(run("run_2", status="requires_action", thread_id="thread_1")), StreamEvent("x", decode_error=CUT)]
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("Hello", None))
    world.put_run("completed")
    await process.hub.record_stream(SCOPE, ScriptedStream([*events[:4], *odd, text_delta("Hel"), *events[5:]]))
    feed = await process.events.follow_run(RUN)
    assert kinds(await take_all(feed)) == [*WHOLE[:4], "UPSTREAM_UNREACHABLE", *WHOLE[4:]]
    await feed.aclose()


async def test_readers_see_one_snapshot_of_a_long_log(world: World) -> None:
    process = world.process()
    await process.hub.record_stream(SCOPE, ScriptedStream(simple_run(*"x" * 2500)[:-2]))
    await settle()
    stream = ScriptedStream([said(a_run("cancelling"))])
    await process.hub.record_stream(SCOPE, stream)
    feed = await process.events.follow_run(RUN)
    received = kinds(pending_events(feed))
    assert received.count("x") == 2500
    assert [name for name in received if name.startswith("snapshot")] == ["snapshot queued"]
    await feed.aclose()


async def test_a_run_older_than_its_log_is_completed_by_a_poll(world: World) -> None:
    process = world.process()
    earlier, now = a_step("step_0", "completed"), a_run("queued", started_at=3)
    world.put_step(earlier)
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("Hello", None))
    world.put_run("completed")
    stream = ScriptedStream([said(now), *simple_run("Hel", "lo")[1:]])
    await process.hub.record_stream(SCOPE, stream)
    feed = await process.events.follow_run(RUN)
    assert kinds(await world.during(take_all(feed))) == [*WHOLE[:-1], "step completed", "completed"]
    await feed.aclose()


@pytest.mark.parametrize(
    "events", [[said(a_run("queued")), said(a_run("completed")), DONE], [said(a_run("completed"))]]
)
async def test_a_run_that_completes_without_output_is_polled(world: World, events: list[StreamEvent]) -> None:
    process = world.process()
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("Hello", None))
    world.put_run("completed")
    await process.hub.record_stream(SCOPE, ScriptedStream(events))
    feed = await world.during(process.events.follow_run(RUN))
    received = await world.during(take_all(feed))
    known = [one for event in received if isinstance(event.change, SnapshotChange) for one in event.change.messages]
    finished = [event.change.message for event in received if isinstance(event.change, MessageFinishedChange)]
    assert [message.id for message in [*known, *finished]] == ["msg_1"]
    await feed.aclose()

"""A reader can join a run at any time, on any process. It sees all events that are held, and one end."""

import asyncio

import pytest

from gateway.run_log.partial_content import texts_from_message
from gateway.run_log.run_log_options import RunLogOptions
from gateway.run_log.store.memory_log import MemoryLog
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_events import Provenance, SnapshotChange, StatusChange
from tests.support.full_runs import long_except
from tests.support.run_log_processes import (
    RUN,
    SCOPE,
    THREAD,
    ScriptedStream,
    World,
    a_message,
    kinds,
    pending_events,
    settle,
    simple_run,
    statuses,
    take_all,
)

ENDS = ("completed", "cancelled", "expired", "failed", "incomplete")
LIFE = ("queued", "in_progress", "requires_action", "queued", "in_progress")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("joins_at", long_except(range(len(LIFE) + 1), [0, 2, len(LIFE)]))
async def test_a_reader_that_joins_a_polled_run_at_any_time_sees_one_end(world: World, end: str, joins_at: int) -> None:
    process = world.process()
    seen: list[str] = []
    reading = None
    for place, status in enumerate([*LIFE, end]):
        world.put_run(status)
        if place == joins_at:
            feed = await process.events.follow_status(RUN)
            reading = asyncio.ensure_future(take_all(feed))
        await world.pass_seconds(4, step=0.25)
    assert reading is not None
    events = await world.during(reading)
    seen = statuses(events)
    assert seen == [*LIFE, end][joins_at:]
    assert events[0].provenance is Provenance.SNAPSHOT
    assert [event.change.previous for event in events if isinstance(event.change, StatusChange)] == [
        None,
        *seen[:-1],
    ]
    await feed.aclose()


@pytest.mark.parametrize("end", ENDS)
async def test_every_terminal_status_ends_a_streamed_run(world: World, end: str) -> None:
    process = world.process()
    await process.hub.record_stream(SCOPE, ScriptedStream(simple_run("Hi", end=end)))
    status, run = await process.events.follow_status(RUN), await process.events.follow_run(RUN)
    assert statuses(await world.during(take_all(status)))[-1] == end
    assert statuses(await world.during(take_all(run))) == ["queued", "in_progress", end]
    await status.aclose()
    await run.aclose()


@pytest.mark.parametrize("stage", range(len(simple_run("a", "b", "c")) + 1))
async def test_a_reader_that_joins_on_another_process_sees_the_whole_stream(world: World, stage: int) -> None:
    here, there = world.process(), world.process()
    events = simple_run("a", "b", "c")
    stream = ScriptedStream(events[: max(stage, 1)])
    await here.hub.record_stream(SCOPE, stream)
    feed = await there.events.follow_run(RUN)
    for event in events[max(stage, 1) :]:
        stream.say([event])
    seen = await world.during(take_all(feed))
    assert kinds(seen) == [
        "snapshot queued", "in_progress", "step in_progress", "MessageCreatedChange", "a", "b", "c",
        "message finished", "step completed", "completed",
    ]  # fmt: skip
    assert world.api.calls == []
    await feed.aclose()


async def test_a_reader_resumes_behind_its_cursor_on_any_process(world: World) -> None:
    here, there = world.process(), world.process()
    events = simple_run("a", "b", "c")
    stream = ScriptedStream(events[:6])
    await here.hub.record_stream(SCOPE, stream)
    feed = await here.events.follow_run(RUN)
    before = pending_events(feed)
    await feed.aclose()
    stream.say(events[6:])
    await settle()
    for process in (here, there):
        for place, event in enumerate(before):
            resumed = await process.events.follow_run(RUN, after=event.cursor)
            after = await take_all(resumed)
            assert kinds(before[: place + 1] + after) == [
                "snapshot queued", "in_progress", "step in_progress", "MessageCreatedChange", "a", "b", "c",
                "message finished", "step completed", "completed",
            ]  # fmt: skip
            await resumed.aclose()


async def test_a_cursor_of_another_epoch_has_expired(world: World) -> None:
    process = world.process()
    world.put_run("queued")
    feed = await world.during(process.events.follow_run(RUN))
    (event,) = pending_events(feed)
    await feed.aclose()
    elsewhere = World()
    elsewhere.put_run("in_progress")
    stranger = elsewhere.process()
    resumed = await elsewhere.during(stranger.events.follow_run(RUN, after=event.cursor))
    assert kinds(pending_events(resumed)) == ["CURSOR_EXPIRED", "snapshot in_progress"]
    await resumed.aclose()
    status = await stranger.events.follow_status(RUN, after=event.cursor)
    assert statuses(pending_events(status)) == ["in_progress"]
    await status.aclose()
    await elsewhere.close()


async def test_a_late_reader_of_a_log_shorter_than_one_burst_finds_a_snapshot() -> None:
    world = World()
    world.log = MemoryLog(now=world.clock.now, now_seconds=world.clock.now, max_entries=100)
    options = RunLogOptions(snapshot_every_entries=25)
    here, there = world.process(options), world.process(options)
    words = [str(number) for number in range(330)]
    await here.hub.record_stream(SCOPE, ScriptedStream(simple_run(*words)[:-4]))
    await settle()
    feed = await world.during(there.events.follow_run(RUN))
    snapshot, *later = pending_events(feed)
    assert isinstance(snapshot.change, SnapshotChange)
    (message,) = snapshot.change.messages
    assert "".join([*texts_from_message(message), *kinds(later)]) == "".join(words)
    await feed.aclose()
    await world.close()


async def test_a_log_that_was_not_polled_for_a_while_begins_with_the_present(world: World) -> None:
    process = world.process()
    world.put_run("in_progress")
    follows = process.events.follow_status(RUN), process.events.follow_thread(THREAD)
    before = [await world.during(follow) for follow in follows]
    (status,), (under_way,) = map(pending_events, before)
    for feed in before:
        await feed.aclose()
    world.put_message(a_message("Old", None))
    world.put_run("completed")
    await world.pass_seconds(600, step=5)
    assert world.polls() == 1
    new = await world.during(process.events.follow_status(RUN))
    assert kinds(await take_all(new)) == ["completed"]
    thread = await world.during(process.events.follow_thread(THREAD))
    await world.pass_seconds(10)
    assert pending_events(thread) == []
    assert kinds(pending_events(await process.events.follow_status(RUN, after=status.cursor))) == ["completed"]
    resumed = await process.events.follow_thread(THREAD, after=under_way.cursor)
    assert kinds(pending_events(resumed)) == ["MessageCreatedChange", "message finished", "completed"]
    for feed in (new, thread, resumed):
        await feed.aclose()


async def test_a_log_that_cannot_be_polled_again_begins_with_the_known_state(world: World) -> None:
    process = world.process()
    world.put_run("in_progress")
    feed = await world.during(process.events.follow_status(RUN))
    await feed.aclose()
    world.api.fail[RUN] = GatewayError(ErrorCode.UPSTREAM_FAILED, "No.")
    feed = await process.events.follow_status(RUN)
    assert kinds(pending_events(feed)) == ["in_progress"]
    await feed.aclose()

"""Where the upstream can open a run's stream again, a killed process loses nothing, and nobody polls."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.run_log.replay_recorder import MAX_FAILED_OPENS
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.ports import EventFeed
from schema.contract.run_events import Provenance, RunEvent
from schema.contract.run_streams import RunStream, StreamEvent
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.full_runs import long_except
from tests.support.run_log_processes import (
    RUN,
    SCOPE,
    THREAD,
    ScriptedStream,
    World,
    a_message,
    a_run,
    a_step,
    kinds,
    said,
    simple_run,
    statuses,
    take_all,
)
from tests.support.wire_samples import thread

WHOLE = [
    "snapshot queued", "in_progress", "step in_progress", "MessageCreatedChange", "a", "b", "c",
    "message finished", "step completed", "completed",
]  # fmt: skip


def placed(events: Sequence[StreamEvent], start: int = 0) -> list[StreamEvent]:
    """Return events with their places. The last one, which only says that the stream is done, is none."""
    return [replace(event, position=str(number)) for number, event in enumerate(events, start) if not event.is_done]


EVENTS = placed(simple_run("a", "b", "c"))


class ReplayingApi(FakeThreadsApi):
    """An upstream that opens the stream of the run again, as far as it has come."""

    def __init__(self) -> None:
        super().__init__(threads={THREAD: thread()})
        self.events: list[StreamEvent] = []
        self.opened: list[str | None] = []
        self.streams: list[ScriptedStream] = []
        self.refusals: list[GatewayError | None] = []

    async def open_stream(self, key: RunKey, after: str | None) -> RunStream | None:
        assert key == RUN
        self.opened.append(after)
        if self.refusals:
            refusal = self.refusals.pop(0)
            if refusal is None:
                return None
            raise refusal
        stream = ScriptedStream(*([event] for event in self.events[0 if after is None else int(after) + 1 :]))
        self.streams.append(stream)
        return stream

    def say(self, event: StreamEvent) -> None:
        self.events.append(event)
        for stream in self.streams:
            stream.say([event])


@pytest.fixture
def api(world: World) -> ReplayingApi:
    world.api = ReplayingApi()
    return world.api


def check_whole(seen: Sequence[RunEvent]) -> None:
    assert kinds(seen) == WHOLE
    assert {event.provenance for event in seen} == {Provenance.STREAMED}


@pytest.mark.parametrize("stage", long_except(range(1, len(EVENTS)), [1, 4, 6, 9]))
async def test_another_process_goes_on_behind_the_last_event_of_a_killed_one(
    world: World, api: ReplayingApi, stage: int
) -> None:
    here, there = world.process(), world.process()
    api.events = EVENTS[:stage]
    await here.hub.record_stream(SCOPE, ScriptedStream(EVENTS[:stage]))
    feed = await there.events.follow_run(RUN)
    reading = asyncio.ensure_future(take_all(feed))
    await world.pass_seconds(0.2)
    assert not api.opened
    await here.kill()
    await world.pass_seconds(20)
    assert api.opened == [str(stage - 1)]
    for event in EVENTS[stage:]:
        api.say(event)
        await world.pass_seconds(0.1)
    check_whole(await world.during(reading))
    assert world.polls() == 0
    await feed.aclose()
    assert all(stream.is_closed for stream in api.streams)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", long_except(range(1, 40), range(2, 40, 7)))
async def test_a_process_can_die_at_any_store_call(world: World, api: ReplayingApi, moment: str, call: int) -> None:
    here, there = world.process(), world.process()
    setattr(here.log, f"dies_{moment}", call)
    stream = ScriptedStream()
    starting = asyncio.ensure_future(here.hub.record_stream(SCOPE, stream))
    feed = None
    for event in EVENTS:
        api.say(event)
        stream.say([event])
        await world.pass_seconds(0.1)
        if feed is None:
            feed = await world.during(there.events.follow_run(RUN))
            reading = asyncio.ensure_future(take_all(feed))
    await here.kill()
    with contextlib.suppress(GatewayError):
        await starting
    check_whole(await world.during(reading))
    assert feed is not None
    await feed.aclose()


@pytest.mark.parametrize("deaths", [2, 5])
async def test_any_number_of_processes_go_on_one_after_the_other(world: World, api: ReplayingApi, deaths: int) -> None:
    first, last = world.process(), world.process()
    await first.hub.record_stream(SCOPE, ScriptedStream(EVENTS[:1]))
    api.events = EVENTS[:1]
    feed = await last.events.follow_run(RUN)
    reading = asyncio.ensure_future(take_all(feed))
    dying = first
    for number in range(deaths):
        follower = world.process()
        other = await world.during(follower.events.follow_status(RUN))
        await dying.kill()
        api.say(EVENTS[number + 1])
        await world.pass_seconds(20)
        dying = follower
        del other
    for event in EVENTS[deaths + 1 :]:
        api.say(event)
    check_whole(await world.during(reading))
    assert world.polls() == 0
    await feed.aclose()


async def test_a_run_that_nobody_streams_is_followed_by_its_stream_from_the_beginning(
    world: World, api: ReplayingApi
) -> None:
    api.events = EVENTS[:5]
    process = world.process()
    feed = await world.during(process.events.follow_run(RUN))
    reading = asyncio.ensure_future(take_all(feed))
    await world.pass_seconds(1)
    followed = process.hub.count_followed()
    assert (followed.streams, followed.polls) == (1, 0)
    for event in EVENTS[5:]:
        api.say(event)
    check_whole(await world.during(reading))
    assert api.opened == [None]
    assert world.polls() == 0
    await feed.aclose()


async def reader_of_a_killed_process(world: World) -> EventFeed:
    """Return a reader of a run whose recorder was killed after its first event."""
    here, there = world.process(), world.process()
    await here.hub.record_stream(SCOPE, ScriptedStream(EVENTS[:1]))
    feed = await there.events.follow_run(RUN)
    await here.kill()
    return feed


async def test_a_stream_that_fails_to_open_is_tried_again_before_anything_is_polled(
    world: World, api: ReplayingApi
) -> None:
    feed = await reader_of_a_killed_process(world)
    api.events = EVENTS
    api.refusals = [GatewayError(ErrorCode.UPSTREAM_FAILED, "Down.")] * (MAX_FAILED_OPENS - 1)
    check_whole(await world.during(take_all(feed)))
    assert len(api.opened) == MAX_FAILED_OPENS
    assert world.polls() == 0
    await feed.aclose()


FAILURES: dict[str, list[GatewayError | None]] = {
    "none": [None],
    "unknown": [GatewayError(ErrorCode.NOT_FOUND, "No such response.")],
    "down": [GatewayError(ErrorCode.UPSTREAM_FAILED, "Down.")] * MAX_FAILED_OPENS,
}


@pytest.mark.parametrize("refusals", FAILURES.values(), ids=FAILURES)
async def test_a_run_without_such_a_stream_is_polled(
    world: World, api: ReplayingApi, refusals: list[GatewayError | None]
) -> None:
    feed = await reader_of_a_killed_process(world)
    api.refusals = [*refusals]
    world.put_run("completed")
    assert statuses(await world.during(take_all(feed))) == ["queued", "completed"]
    assert len(api.opened) == len(refusals)
    await feed.aclose()


async def test_a_stream_that_breaks_for_good_is_polled_and_says_what_was_lost(world: World, api: ReplayingApi) -> None:
    api.events = EVENTS[:6]
    feed = await world.during(world.process().events.follow_run(RUN))
    api.streams[0].say(GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "Cut."))
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("abc", None))
    world.put_run("completed")
    seen = kinds(await world.during(take_all(feed)))
    assert seen == [*WHOLE[:6], "step completed", "TOKENS_LOST", "message finished", "completed"]
    assert api.opened == [None]
    await feed.aclose()


async def test_what_was_polled_is_not_told_again_by_a_stream(world: World, api: ReplayingApi) -> None:
    api.refusals = [None]
    world.put_run("in_progress")
    world.put_step(a_step())
    world.put_message(a_message("a"))
    first, second = world.process(), world.process()
    feed = await world.during(first.events.follow_run(RUN))
    other = await world.during(second.events.follow_run(RUN))
    reading = asyncio.ensure_future(take_all(other))
    await world.pass_seconds(1)
    await first.kill()
    api.events = EVENTS
    await world.pass_seconds(20)
    assert api.opened == [None]
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("abc", None))
    world.put_run("completed")
    assert kinds(await world.during(reading))[-3:] == ["step completed", "message finished", "completed"]
    del feed
    await other.aclose()


WAITS = [*EVENTS[:2], said(a_run("requires_action"))]
GOES_ON = [said(a_run("queued")), *EVENTS[1:]]


async def test_a_run_that_waits_is_polled_until_it_goes_on_and_then_followed_by_its_stream(
    world: World, api: ReplayingApi
) -> None:
    events = placed([*WAITS, *GOES_ON])
    process = world.process()
    await process.hub.record_stream(SCOPE, ScriptedStream(events[: len(WAITS)]))
    world.put_run("requires_action")
    feed = await world.during(process.events.follow_run(RUN))
    reading = asyncio.ensure_future(take_all(feed))
    await world.pass_seconds(20)
    assert not api.opened
    assert 1 <= world.polls() <= 6
    api.events = events
    world.put_run("in_progress")
    seen = await world.during(reading)
    assert kinds(seen) == [*WHOLE[:2], "requires_action", "queued", *WHOLE[1:]]
    assert {event.provenance for event in seen} == {Provenance.STREAMED}
    assert api.opened == [str(len(WAITS) - 1)]
    await feed.aclose()


async def test_a_run_whose_stream_tells_nothing_new_when_it_goes_on_is_polled(world: World, api: ReplayingApi) -> None:
    process = world.process()
    await process.hub.record_stream(SCOPE, ScriptedStream(placed(WAITS)))
    world.put_run("requires_action")
    feed = await world.during(process.events.follow_run(RUN))
    api.refusals = [None]
    world.put_run("in_progress")
    await world.pass_seconds(12)
    world.put_run("completed")
    assert statuses(await world.during(take_all(feed)))[-2:] == ["in_progress", "completed"]
    assert len(api.opened) == 1
    await feed.aclose()


async def test_the_stream_is_closed_with_the_last_reader(world: World, api: ReplayingApi) -> None:
    api.events = EVENTS[:5]
    process = world.process()
    feed = await world.during(process.events.follow_run(RUN))
    await feed.aclose()
    await world.pass_seconds(1)
    assert [stream.is_closed for stream in api.streams] == [True]
    again = await world.during(process.events.follow_run(RUN))
    reading = asyncio.ensure_future(take_all(again))
    for event in EVENTS[5:]:
        api.say(event)
    check_whole(await world.during(reading))
    assert api.opened == [None, "4"]
    await again.aclose()

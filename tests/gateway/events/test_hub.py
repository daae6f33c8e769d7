"""Runs are followed from any process, at any time, whoever is killed: each status once, in order, and one end."""

import asyncio
import contextlib

import pytest

from gateway.events.growing import texts_of
from gateway.events.lane import LaneBounds
from gateway.events.options import EventsOptions
from schema.errors import ErrorCode, GatewayError
from schema.keys import RunKey
from schema.run_events import MessageCreatedChange, Provenance, RunEvent, StatusChange
from tests.support.live_runs import (
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
    settle,
    simple_run,
    statuses,
    take_all,
    take_now,
    text_delta,
)

ENDS = ("completed", "cancelled", "expired", "failed", "incomplete")
LIFE = ("queued", "in_progress", "requires_action", "queued", "in_progress")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("joins_at", range(len(LIFE) + 1))
async def test_whoever_joins_a_polled_run_at_any_time_sees_one_end(world: World, end: str, joins_at: int) -> None:
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
async def test_every_end_ends_what_is_streamed(world: World, end: str) -> None:
    process = world.process()
    await process.hub.take_stream(SCOPE, ScriptedStream(simple_run("Hi", end=end)))
    status, run = await process.events.follow_status(RUN), await process.events.follow_run(RUN)
    assert statuses(await world.during(take_all(status)))[-1] == end
    assert statuses(await world.during(take_all(run))) == ["queued", "in_progress", end]
    await status.aclose()
    await run.aclose()


@pytest.mark.parametrize("stage", range(len(simple_run("a", "b", "c")) + 1))
async def test_who_joins_a_stream_on_another_process_sees_all_of_it(world: World, stage: int) -> None:
    here, there = world.process(), world.process()
    events = simple_run("a", "b", "c")
    stream = ScriptedStream(events[: max(stage, 1)])
    await here.hub.take_stream(SCOPE, stream)
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


@pytest.mark.parametrize("stage", range(1, len(simple_run("a", "b", "c"))))
@pytest.mark.parametrize("kind", ["status", "run"])
async def test_the_survivor_sees_every_status_once_when_who_streams_is_killed(
    world: World, stage: int, kind: str
) -> None:
    here, there = world.process(), world.process()
    events = simple_run("a", "b", "c")
    await here.hub.take_stream(SCOPE, ScriptedStream(events[:stage]))
    follow = there.events.follow_status if kind == "status" else there.events.follow_run
    world.put_run("in_progress" if stage > 1 else "queued")
    feed = await follow(RUN)
    reading = asyncio.ensure_future(take_all(feed))
    await world.pass_seconds(0.2)
    await here.kill()
    await world.pass_seconds(5)
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("abc", None))
    world.put_run("in_progress")
    await world.pass_seconds(7)
    world.put_run("completed")
    seen = await world.during(reading)
    found = statuses(seen)
    assert found == sorted(set(found), key=["queued", "in_progress", "completed"].index)
    assert found[-1] == "completed"
    if kind == "run":
        names = kinds(seen)
        assert names.count("message finished") == 1
        has_all = stage >= events.index(text_delta("c")) + 1
        was_created = stage >= 4
        assert ("TOKENS_LOST" in names) is (was_created and not has_all)
        assert names[-1] == "completed"
    await feed.aclose()


@pytest.mark.parametrize("stage", range(len(LIFE)))
async def test_the_survivor_sees_every_status_once_when_who_polls_is_killed(world: World, stage: int) -> None:
    leader, other = world.process(), world.process()
    life = [*LIFE, "completed"]
    world.put_run(life[0])
    first = await leader.events.follow_status(RUN)
    feed = await other.events.follow_status(RUN)
    reading = asyncio.ensure_future(take_all(feed))
    for place, status in enumerate(life):
        world.put_run(status)
        await world.pass_seconds(8)
        if place == stage:
            await leader.kill()
    assert statuses(await world.during(reading)) == life
    await first.aclose()
    await feed.aclose()


async def test_a_process_that_stops_hands_over_at_once(world: World) -> None:
    leader, other = world.process(), world.process()
    world.put_run("queued")
    first = await world.during(leader.events.follow_status(RUN))
    second = await world.during(other.events.follow_status(RUN))
    take_now(second)
    await leader.hub.close()
    with pytest.raises(GatewayError) as stopped:
        await take_all(first)
    assert stopped.value.code is ErrorCode.GATEWAY_STOPPING
    world.put_run("completed")
    await world.pass_seconds(0.5)
    assert statuses(take_now(second)) == ["completed"]
    await first.aclose()
    await second.aclose()


async def test_a_thousand_readers_cost_one_chain_of_polls_and_the_last_one_ends_it(world: World) -> None:
    process = world.process()
    world.put_run("in_progress")
    feeds = await asyncio.gather(*(process.events.follow_status(RUN) for _ in range(1000)))
    await world.pass_seconds(1)
    alone = World()
    alone.put_run("in_progress")
    single = await alone.process().events.follow_status(RUN)
    await alone.pass_seconds(1)
    assert abs(world.polls() - alone.polls()) <= 1
    assert len({id(feed.take()) for feed in feeds}) == 1
    for feed in feeds[1:]:
        await feed.aclose()
    before = world.polls()
    await world.pass_seconds(10, step=0.5)
    assert world.polls() > before
    await feeds[0].aclose()
    before = world.polls()
    await world.pass_seconds(20, step=0.5)
    assert world.polls() == before
    await single.aclose()
    await alone.close()


async def test_steps_and_messages_are_fetched_for_who_wants_them_and_at_the_end(world: World) -> None:
    leader, other = world.process(), world.process()
    world.put_run("in_progress")
    status = await world.during(leader.events.follow_status(RUN))
    await world.pass_seconds(2)
    assert world.polls("list_run_steps") == world.polls("list_messages") == 0
    run = await world.during(other.events.follow_run(RUN))
    await world.pass_seconds(10)
    assert world.polls("list_run_steps") == world.polls("list_messages") > 0
    await run.aclose()
    await world.pass_seconds(5)
    before = world.polls("list_run_steps")
    await world.pass_seconds(10)
    assert world.polls("list_run_steps") == before
    world.put_message(a_message("Hi", None))
    world.put_run("completed")
    await world.during(take_all(status))
    assert world.polls("list_run_steps") == before + 1
    late = await other.events.follow_run(RUN)
    assert kinds(take_now(late)) == [
        "snapshot in_progress", "MessageCreatedChange", "message finished", "completed",
    ]  # fmt: skip
    for feed in (status, late):
        await feed.aclose()


async def test_a_run_that_is_over_is_shown_whole_and_ends_at_once(world: World) -> None:
    process = world.process()
    world.put_message(a_message("Hi", None))
    world.put_step(a_step(status="completed"))
    world.put_run("completed")
    feed = await world.during(process.events.follow_run(RUN))
    (event,) = await take_all(feed)
    assert kinds([event]) == ["snapshot completed"]
    status = await process.events.follow_status(RUN)
    assert statuses(await take_all(status)) == ["completed"]
    assert world.polls() == 1
    await feed.aclose()
    await status.aclose()


async def test_what_cannot_be_had_is_said_at_once(world: World) -> None:
    process = world.process()
    for follow in (process.events.follow_status, process.events.follow_run):
        with pytest.raises(GatewayError) as missing:
            await world.during(follow(RunKey("thread_1", "run_9")))
        assert missing.value.code is ErrorCode.NOT_FOUND
    world.put_run("queued")
    world.api.fail[RUN] = GatewayError(ErrorCode.UPSTREAM_FAILED, "No.")
    with pytest.raises(GatewayError) as failed:
        await world.during(process.events.follow_status(RUN))
    assert failed.value.code is ErrorCode.UPSTREAM_FAILED
    with pytest.raises(GatewayError) as refused:
        await process.events.follow_status(RUN, after="x")
    assert refused.value.code is ErrorCode.BAD_USER_INPUT
    polls = world.polls()
    await world.pass_seconds(5)
    assert world.polls() == polls


async def test_a_failing_upstream_is_asked_again_as_late_as_it_says(world: World) -> None:
    process = world.process()
    world.put_run("queued")
    feed = await world.during(process.events.follow_status(RUN))
    world.api.fail[RUN] = GatewayError(ErrorCode.RATE_LIMITED, "Slow down.", retry_after_ms=20_000)
    await world.pass_seconds(6)
    polls = world.polls()
    del world.api.fail[RUN]
    world.put_run("completed")
    await world.pass_seconds(10)
    assert world.polls() == polls
    assert statuses(await world.during(take_all(feed))) == ["queued", "completed"]
    await feed.aclose()


@pytest.mark.parametrize("code", [ErrorCode.NOT_FOUND, ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN])
async def test_a_credential_that_ends_ends_its_readers(world: World, code: ErrorCode) -> None:
    process = world.process()
    world.put_run("queued")
    feed = await world.during(process.events.follow_status(RUN))
    take_now(feed)
    world.api.fail[RUN] = GatewayError(code, "No.")
    with pytest.raises(GatewayError) as ended:
        await world.during(take_all(feed))
    assert ended.value.code is code
    await feed.aclose()
    del world.api.fail[RUN]
    again = await world.during(process.events.follow_status(RUN))
    assert statuses(take_now(again)) == ["queued"]
    await again.aclose()


async def test_a_reader_goes_on_behind_its_cursor_on_any_process(world: World) -> None:
    here, there = world.process(), world.process()
    events = simple_run("a", "b", "c")
    stream = ScriptedStream(events[:6])
    await here.hub.take_stream(SCOPE, stream)
    feed = await here.events.follow_run(RUN)
    before = take_now(feed)
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
    (event,) = take_now(feed)
    await feed.aclose()
    elsewhere = World()
    elsewhere.put_run("in_progress")
    stranger = elsewhere.process()
    resumed = await elsewhere.during(stranger.events.follow_run(RUN, after=event.cursor))
    assert kinds(take_now(resumed)) == ["CURSOR_EXPIRED", "snapshot in_progress"]
    await resumed.aclose()
    status = await stranger.events.follow_status(RUN, after=event.cursor)
    assert statuses(take_now(status)) == ["in_progress"]
    await status.aclose()
    await elsewhere.close()


async def test_a_slow_reader_is_told_what_it_missed_and_memory_is_bounded(world: World) -> None:
    process = world.process(EventsOptions(mirror=LaneBounds(entries=50)))
    events = simple_run(*("x" for _ in range(500)))
    stream = ScriptedStream(events[:4])
    await process.hub.take_stream(SCOPE, stream)
    slow, quick, status = [
        await process.events.follow_run(RUN),
        await process.events.follow_run(RUN),
        await process.events.follow_status(RUN),
    ]
    taken = 0
    for place in range(4, len(events) - 4, 20):
        stream.say(events[place : min(place + 20, len(events) - 4)])
        await settle()
        taken += len(take_now(quick))
    assert taken == 4 + 500
    behind = take_now(slow)
    assert kinds(behind) == ["LaggedChange", "snapshot in_progress"]
    assert behind[0].change.skipped == 4 + 500  # type: ignore[union-attr]
    (shown,) = behind[1].change.messages  # type: ignore[union-attr]
    assert texts_of(shown) == ["x" * 500]
    stream.say(events[-4:])
    assert kinds(await take_all(slow)) == ["message finished", "step completed", "completed"]
    assert statuses(await take_all(status)) == ["in_progress", "completed"]
    for feed in (slow, quick, status):
        await feed.aclose()


async def test_news_is_told_in_the_loop_and_never_from_within_take(world: World) -> None:
    process = world.process()
    stream = ScriptedStream([said(a_run("queued"))])
    await process.hub.take_stream(SCOPE, stream)
    feed = await process.events.follow_run(RUN)
    taken: list[str] = []
    taking = False

    def on_news() -> None:
        nonlocal taking
        assert not taking
        taking = True
        taken.extend(kinds(take_now(feed)))
        taking = False

    feed.on_news(on_news)
    await settle()
    assert taken == ["snapshot queued"]
    stream.say([said(a_run("in_progress"))])
    await settle()
    assert taken == ["snapshot queued", "in_progress"]
    await feed.aclose()


async def test_a_stream_goes_on_when_its_caller_and_all_readers_leave(world: World) -> None:
    process = world.process()
    stream = ScriptedStream()
    caller = asyncio.ensure_future(process.hub.take_stream(SCOPE, stream))
    await settle()
    caller.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await caller
    events = simple_run("a")
    stream.say(events[:3])
    await settle()
    feed = await process.events.follow_run(RUN)
    await feed.aclose()
    stream.say(events[3:])
    await settle()
    assert stream.is_closed
    late = await process.events.follow_run(RUN)
    assert statuses(await take_all(late)) == ["queued", "in_progress", "completed"]
    await late.aclose()


async def test_what_moves_is_told_before_it_is_shown(world: World) -> None:
    process = world.process()
    stream = ScriptedStream([said(a_run("queued"))])
    await process.hub.take_stream(SCOPE, stream)
    assert process.moved == [RUN]
    stream.say([said(a_step())])
    await settle()
    assert process.moved == [RUN]
    stream.say([said(a_run("in_progress"))])
    await settle()
    assert process.moved == [RUN, RUN]


@pytest.mark.parametrize("stage", range(1, 8))
async def test_without_the_store_a_process_goes_on_alone(
    world: World, stage: int, caplog: pytest.LogCaptureFixture
) -> None:
    process = world.process()
    events = simple_run("a", "b", "c")
    stream = ScriptedStream(events[:stage])
    await process.hub.take_stream(SCOPE, stream)
    feed = await process.events.follow_run(RUN)
    early = take_now(feed)
    process.log.is_cut_off = True
    stream.say(events[stage:])
    seen = [*early, *await world.during(take_all(feed))]
    assert kinds(seen) == [
        "snapshot queued", "in_progress", "step in_progress", "MessageCreatedChange", "a", "b", "c",
        "message finished", "step completed", "completed",
    ]  # fmt: skip
    assert len(caplog.records) == 1
    again = await process.events.follow_run(RUN, after=early[-1].cursor)
    assert kinds(take_now(again))[0] == "CURSOR_EXPIRED"
    await feed.aclose()
    await again.aclose()


async def test_without_the_store_a_run_is_polled_alone(world: World) -> None:
    process = world.process()
    process.log.is_cut_off = True
    world.put_run("queued")
    feed = await world.during(process.events.follow_status(RUN))
    world.put_run("completed")
    assert statuses(await world.during(take_all(feed))) == ["queued", "completed"]
    await feed.aclose()


async def test_a_thread_is_followed_whoever_writes_it(world: World) -> None:
    leader, other = world.process(), world.process()
    world.put_run("in_progress")
    feeds = [await world.during(process.events.follow_thread(THREAD)) for process in (leader, other)]
    await world.pass_seconds(3)
    world.put_message(a_message("Hi", None))
    world.put_run("completed")
    for feed in feeds:
        await world.pass_seconds(6)
        events = take_now(feed)
        assert kinds(events) == ["in_progress", "MessageCreatedChange", "message finished", "completed"]
        assert events[0].provenance is Provenance.SNAPSHOT
        assert events[-1].change.previous == "in_progress"  # type: ignore[union-attr]
        resumed = await leader.events.follow_thread(THREAD, after=events[1].cursor)
        assert kinds(take_now(resumed)) == ["message finished", "completed"]
        await resumed.aclose()
        await feed.aclose()


async def test_a_write_has_the_thread_looked_at_at_once(world: World) -> None:
    process = world.process()
    feed = await world.during(process.events.follow_thread(THREAD))
    await world.pass_seconds(30, step=0.5)
    take_now(feed)
    world.put_message(a_message("Hi", None, run_id=None))
    process.hub.note_write(SCOPE, THREAD)
    await settle()
    assert kinds(take_now(feed)) == ["MessageCreatedChange", "message finished"]
    await feed.aclose()


async def test_a_thread_that_is_deleted_ends_its_readers(world: World) -> None:
    process = world.process()
    feed = await world.during(process.events.follow_thread(THREAD))
    del world.api.threads[THREAD]
    with pytest.raises(GatewayError) as ended:
        await world.during(take_all(feed))
    assert ended.value.code is ErrorCode.NOT_FOUND
    await feed.aclose()


async def test_a_thread_that_is_killed_over_misses_nothing(world: World) -> None:
    leader, other = world.process(), world.process()
    first = await world.during(leader.events.follow_thread(THREAD))
    second = await world.during(other.events.follow_thread(THREAD))
    await leader.kill()
    world.put_message(a_message("Hi", None, run_id=None))
    await world.pass_seconds(10)
    assert kinds(take_now(second)) == ["MessageCreatedChange", "message finished"]
    await first.aclose()
    await second.aclose()


async def test_nothing_begins_on_a_hub_that_stops(world: World) -> None:
    process = world.process()
    await process.hub.close()
    stream = ScriptedStream(simple_run("a"))
    for begin in (process.events.follow_run(RUN), process.hub.take_stream(SCOPE, stream)):
        with pytest.raises(GatewayError) as stopped:
            await begin
        assert stopped.value.code is ErrorCode.GATEWAY_STOPPING
    assert stream.is_closed


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", range(1, 40))
async def test_who_writes_may_die_at_any_call_of_the_store(world: World, moment: str, call: int) -> None:
    """The stream's process dies in the middle of any one call, its word to the store given or not."""
    here, there = world.process(), world.process()
    setattr(here.log, f"dies_{moment}", call)
    stream = ScriptedStream()
    starting = asyncio.ensure_future(here.hub.take_stream(SCOPE, stream))
    world.put_run("queued")
    feed = await world.during(there.events.follow_run(RUN))
    reading = asyncio.ensure_future(take_all(feed))
    for event in simple_run("a", "b", "c"):
        stream.say([event])
        await world.pass_seconds(0.1)
    await here.kill()
    with contextlib.suppress(GatewayError):
        await starting
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("abc", None))
    world.put_run("completed")
    seen = await world.during(reading)
    found = statuses(seen)
    assert found == sorted(set(found), key=["queued", "in_progress", "completed"].index)
    assert found[-1] == "completed"
    names = kinds(seen)
    assert names[-1] == "completed"
    assert names.count("message finished") == names.count("MessageCreatedChange") == 1
    text = "".join(name for name in names if name in {"a", "b", "c"})
    assert text in {"", "a", "ab", "abc"}
    assert ("TOKENS_LOST" in names) is (text not in {"", "abc"} or (not text and here.log.is_dead and _streamed(seen)))
    await feed.aclose()


def _streamed(events: list[RunEvent]) -> bool:
    """Whether a message was told of by a stream."""
    return any(
        isinstance(event.change, MessageCreatedChange) and event.provenance is Provenance.STREAMED for event in events
    )


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", range(1, 38))
async def test_who_polls_may_die_at_any_call_of_the_store(world: World, moment: str, call: int) -> None:
    leader, other = world.process(), world.process()
    setattr(leader.log, f"dies_{moment}", call)
    world.put_run("queued")
    opening = asyncio.ensure_future(leader.events.follow_run(RUN))
    await settle()
    feed = await world.during(other.events.follow_run(RUN))
    reading = asyncio.ensure_future(take_all(feed))
    await world.pass_seconds(1)
    world.put_run("in_progress")
    world.put_step(a_step())
    world.put_message(a_message("Hel", None))
    await world.pass_seconds(10, step=0.25)
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("Hello", None))
    await world.pass_seconds(10, step=0.25)
    assert leader.log.is_dead
    world.put_run("completed")
    assert kinds(await world.during(reading)) == [
        "snapshot queued", "step in_progress", "MessageCreatedChange", "in_progress",
        "step completed", "message finished", "completed",
    ]  # fmt: skip
    await leader.kill()
    with contextlib.suppress(GatewayError):
        await (await opening).aclose()
    await feed.aclose()

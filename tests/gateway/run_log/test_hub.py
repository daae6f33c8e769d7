"""The promises of one process to its readers, its callers and its upstream."""

import asyncio
import contextlib

import pytest

from gateway.run_log.hub import RunLogHub
from gateway.run_log.partial_content import texts_from_message
from gateway.run_log.replay_buffer import ReplayBufferLimits
from gateway.run_log.run_log_options import RunLogOptions
from gateway.run_log.store.event_log import LogName, LogUnavailableError
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.run_events import Provenance
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
    pending_events,
    said,
    settle,
    simple_run,
    statuses,
    take_all,
)


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
    assert len({id(feed.poll_event()) for feed in feeds}) == 1
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


async def test_steps_and_messages_are_fetched_for_readers_that_need_them_and_at_the_end(world: World) -> None:
    poller, other = world.process(), world.process()
    world.put_run("in_progress")
    status = await world.during(poller.events.follow_status(RUN))
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
    assert kinds(pending_events(late)) == [
        "snapshot in_progress", "MessageCreatedChange", "message finished", "completed",
    ]  # fmt: skip
    for feed in (status, late):
        await feed.aclose()


async def test_a_run_that_is_over_is_one_snapshot_and_ends_at_once(world: World) -> None:
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


async def test_a_missing_run_is_an_error_at_once(world: World) -> None:
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


async def test_a_failing_upstream_is_polled_again_after_retry_after(world: World) -> None:
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
async def test_a_revoked_credential_ends_its_readers(world: World, code: ErrorCode) -> None:
    process = world.process()
    world.put_run("queued")
    feed = await world.during(process.events.follow_status(RUN))
    pending_events(feed)
    world.api.fail[RUN] = GatewayError(code, "No.")
    with pytest.raises(GatewayError) as ended:
        await world.during(take_all(feed))
    assert ended.value.code is code
    await feed.aclose()
    del world.api.fail[RUN]
    again = await world.during(process.events.follow_status(RUN))
    assert statuses(pending_events(again)) == ["queued"]
    await again.aclose()


async def test_a_slow_reader_gets_its_lag_and_memory_is_bounded(world: World) -> None:
    process = world.process(RunLogOptions(mirror=ReplayBufferLimits(entries=50)))
    events = simple_run(*("x" for _ in range(500)))
    stream = ScriptedStream(events[:4])
    await process.hub.record_stream(SCOPE, stream)
    slow, quick, status = [
        await process.events.follow_run(RUN),
        await process.events.follow_run(RUN),
        await process.events.follow_status(RUN),
    ]
    received = 0
    for place in range(4, len(events) - 4, 20):
        stream.say(events[place : min(place + 20, len(events) - 4)])
        await settle()
        received += len(pending_events(quick))
    assert received == 4 + 500
    behind = pending_events(slow)
    assert kinds(behind) == ["LaggedChange", "snapshot in_progress"]
    assert behind[0].change.skipped == 4 + 500  # type: ignore[union-attr]
    (shown,) = behind[1].change.messages  # type: ignore[union-attr]
    assert texts_from_message(shown) == ["x" * 500]
    stream.say(events[-4:])
    assert kinds(await take_all(slow)) == ["message finished", "step completed", "completed"]
    assert statuses(await take_all(status)) == ["in_progress", "completed"]
    for feed in (slow, quick, status):
        await feed.aclose()


async def test_the_callback_runs_in_the_loop_and_never_within_take(world: World) -> None:
    process = world.process()
    stream = ScriptedStream([said(a_run("queued"))])
    await process.hub.record_stream(SCOPE, stream)
    feed = await process.events.follow_run(RUN)
    received: list[str] = []
    taking = False

    def on_available() -> None:
        nonlocal taking
        assert not taking
        taking = True
        received.extend(kinds(pending_events(feed)))
        taking = False

    feed.on_available(on_available)
    await settle()
    assert received == ["snapshot queued"]
    stream.say([said(a_run("in_progress"))])
    await settle()
    assert received == ["snapshot queued", "in_progress"]
    await feed.aclose()


async def test_a_stream_is_recorded_without_its_caller_and_readers(world: World) -> None:
    process = world.process()
    stream = ScriptedStream()
    caller = asyncio.ensure_future(process.hub.record_stream(SCOPE, stream))
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


async def test_a_change_is_reported_before_readers_see_it(world: World) -> None:
    process = world.process()
    stream = ScriptedStream([said(a_run("queued"))])
    await process.hub.record_stream(SCOPE, stream)
    assert process.moved == [RUN]
    stream.say([said(a_step())])
    await settle()
    assert process.moved == [RUN]
    stream.say([said(a_run("in_progress"))])
    await settle()
    assert process.moved == [RUN, RUN]


@pytest.mark.parametrize("stage", range(1, 8))
async def test_without_the_store_a_process_continues_alone(
    world: World, stage: int, caplog: pytest.LogCaptureFixture
) -> None:
    process = world.process()
    events = simple_run("a", "b", "c")
    stream = ScriptedStream(events[:stage])
    await process.hub.record_stream(SCOPE, stream)
    feed = await process.events.follow_run(RUN)
    early = pending_events(feed)
    process.log.is_cut_off = True
    stream.say(events[stage:])
    seen = [*early, *await world.during(take_all(feed))]
    assert kinds(seen) == [
        "snapshot queued", "in_progress", "step in_progress", "MessageCreatedChange", "a", "b", "c",
        "message finished", "step completed", "completed",
    ]  # fmt: skip
    assert len(caplog.records) == 1
    again = await process.events.follow_run(RUN, after=early[-1].cursor)
    assert kinds(pending_events(again))[0] == "CURSOR_EXPIRED"
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


async def test_a_thread_is_followed_on_every_process(world: World) -> None:
    poller, other = world.process(), world.process()
    world.put_run("in_progress")
    feeds = [await world.during(process.events.follow_thread(THREAD)) for process in (poller, other)]
    await world.pass_seconds(3)
    world.put_message(a_message("Hi", None))
    world.put_run("completed")
    for feed in feeds:
        await world.pass_seconds(6)
        events = pending_events(feed)
        assert kinds(events) == ["in_progress", "MessageCreatedChange", "message finished", "completed"]
        assert events[0].provenance is Provenance.SNAPSHOT
        assert events[-1].change.previous == "in_progress"  # type: ignore[union-attr]
        resumed = await poller.events.follow_thread(THREAD, after=events[1].cursor)
        assert kinds(pending_events(resumed)) == ["message finished", "completed"]
        await resumed.aclose()
        await feed.aclose()


async def test_a_write_polls_the_thread_at_once(world: World) -> None:
    process = world.process()
    feed = await world.during(process.events.follow_thread(THREAD))
    await world.pass_seconds(30, step=0.5)
    pending_events(feed)
    world.put_message(a_message("Hi", None, run_id=None))
    process.hub.poll_soon(SCOPE, THREAD)
    await settle()
    assert kinds(pending_events(feed)) == ["MessageCreatedChange", "message finished"]
    await feed.aclose()


async def test_a_deleted_thread_ends_its_readers(world: World) -> None:
    process = world.process()
    feed = await world.during(process.events.follow_thread(THREAD))
    del world.api.threads[THREAD]
    with pytest.raises(GatewayError) as ended:
        await world.during(take_all(feed))
    assert ended.value.code is ErrorCode.NOT_FOUND
    await feed.aclose()


async def test_a_refused_credential_ends_its_readers_and_reads_a_log_only_if_it_could_read_the_run(
    world: World,
) -> None:
    refused: set[str] = set()
    hub = RunLogHub(world.log, now=world.clock.now, sleep=world.sleep, is_refused=refused.__contains__)
    here = hub.bind(SCOPE, lambda: world.api)
    await hub.record_stream(SCOPE, ScriptedStream(simple_run("a", "b")))
    await settle()
    before = await here.follow_run(RUN)
    refused.add(SCOPE)
    error = GatewayError(ErrorCode.UNAUTHENTICATED, "refused")
    hub.end_readers(SCOPE, error)
    world.api.fail[RUN] = error
    for _ in range(2):
        with pytest.raises(GatewayError, match="refused"):
            await here.follow_run(RUN)
    await before.aclose()
    del world.api.fail[RUN]
    world.put_run("completed")
    after = await here.follow_run(RUN)
    assert kinds(await take_all(after))[-1] == "completed"
    await after.aclose()
    await hub.close()


async def test_the_logs_of_a_dropped_principal_are_gone_and_those_of_others_stay(world: World) -> None:
    process, other = world.process(), "another scope"
    for scope in (SCOPE, other):
        await process.hub.record_stream(scope, ScriptedStream(simple_run("a")))
    await settle()
    names = [LogName(scope, RUN) for scope in (SCOPE, other)]
    assert [len((await world.log.read(name)).entries) > 1 for name in names] == [True, True]
    process.hub.drop_logs(SCOPE, GatewayError(ErrorCode.UNAUTHENTICATED, "refused"))
    await settle()
    assert [len((await world.log.read(name)).entries) > 1 for name in names] == [False, True]


async def test_logs_that_cannot_be_dropped_are_logged(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise LogUnavailableError("no answer")

    monkeypatch.setattr(world.log, "discard_scope", fail)
    world.process().hub.drop_logs(SCOPE, GatewayError(ErrorCode.UNAUTHENTICATED, "refused"))
    await settle()
    (record,) = caplog.records
    assert record.getMessage().endswith("could not be removed: no answer")


async def test_a_stopping_hub_starts_nothing(world: World) -> None:
    process = world.process()
    await process.hub.close()
    stream = ScriptedStream(simple_run("a"))
    for begin in (process.events.follow_run(RUN), process.hub.record_stream(SCOPE, stream)):
        with pytest.raises(GatewayError) as stopped:
            await begin
        assert stopped.value.code is ErrorCode.GATEWAY_STOPPING
    assert stream.is_closed

"""A feed mirrors its log, whatever happens to the log or its store, and ends its readers once."""

import asyncio

import pytest

from gateway.run_log.log_mirror import stopping_error
from gateway.run_log.store.event_log import Draft, LogPosition
from gateway.run_log.store.memory_log import MemoryLog
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_events import Change, Provenance, SnapshotChange, StatusChange
from tests.support.manual_log_mirror import BEGINNING, NAME, HandFed
from tests.support.run_log_processes import World, a_run, a_step, kinds, settle, take_now


async def write(log: MemoryLog, *changes: Change, ends: bool = False) -> None:
    lead = await log.lead(NAME, preempt=True)
    assert lead is not None
    await log.append(NAME, lead, [Draft(Provenance.POLLED, change) for change in changes], ends=ends)
    await log.resign(NAME, lead)


async def test_what_is_written_is_mirrored_at_once_wherever_it_was_written(world: World) -> None:
    followed = HandFed(world)
    reader = followed.reader()
    await write(world.log, BEGINNING)
    await settle()
    await write(world.log, StatusChange(a_run("completed"), "queued"), ends=True)
    await settle()
    assert kinds(take_now(reader)) == ["snapshot queued", "completed"]
    assert followed.feed.has_ended
    assert followed.state.is_over
    await reader.aclose()
    assert followed.left == [followed.feed]
    await followed.feed.close()


async def test_many_who_refresh_at_once_cost_few_reads(world: World) -> None:
    followed = HandFed(world)
    await write(world.log, BEGINNING)
    await asyncio.gather(*(followed.feed.refresh() for _ in range(100)))
    assert followed.log.calls <= 3
    assert followed.feed.mirrored == 1
    await followed.feed.close()


async def test_a_log_that_is_lost_and_begun_anew_is_told_to_who_had_its_beginning(world: World) -> None:
    followed = HandFed(world)
    await write(world.log, BEGINNING)
    await followed.feed.refresh()
    reader = followed.reader()
    first = take_now(reader)[0]
    await write(followed.log.lose_all(), SnapshotChange(a_run("in_progress"), [], []))
    await followed.feed.refresh()
    assert kinds(take_now(reader)) == ["CURSOR_EXPIRED", "snapshot in_progress"]
    assert first.cursor != reader.lane.present()[0].cursor
    await followed.feed.close()


async def test_who_was_there_when_the_log_was_lost_misses_nothing(world: World) -> None:
    followed = HandFed(world)
    await write(world.log, BEGINNING)
    await followed.feed.refresh()
    reader = followed.reader()
    take_now(reader)
    store = followed.log.lose_all()
    await followed.feed.refresh()
    assert followed.feed.needs_baseline(1_000)
    await write(store, BEGINNING, StatusChange(a_run("in_progress"), "queued"))
    await followed.feed.refresh()
    assert kinds(take_now(reader)) == ["in_progress"]
    assert not followed.feed.needs_baseline(1_000)
    assert followed.feed.needs_baseline(1)
    assert followed.feed.number_in_log(LogPosition("other", 1)) is None
    await followed.feed.close()


async def test_who_had_not_read_all_when_the_log_was_lost_is_told_so(world: World) -> None:
    followed = HandFed(world)
    await write(world.log, BEGINNING)
    await followed.feed.refresh()
    reader = followed.reader()
    take_now(reader)
    store = followed.log.lose_all()
    await followed.feed.refresh()
    await write(store, SnapshotChange(a_run("in_progress"), [a_step()], []), StatusChange(a_run("cancelling")))
    await followed.feed.refresh()
    assert kinds(take_now(reader)) == ["CURSOR_EXPIRED", "snapshot cancelling"]
    await followed.feed.close()


async def test_without_its_store_a_feed_goes_on_alone_and_knows_no_old_cursor(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    followed = HandFed(world)
    await write(world.log, BEGINNING)
    await followed.feed.refresh()
    reader = followed.reader()
    followed.log.is_cut_off = True
    await asyncio.gather(*(followed.feed.refresh() for _ in range(3)))
    assert followed.feed.log is not followed.log
    assert len(caplog.records) == 1
    own = followed.feed.log
    assert isinstance(own, MemoryLog)
    await write(own, StatusChange(a_run("in_progress"), "queued"))
    await settle()
    seen = take_now(reader)
    assert kinds(seen) == ["snapshot queued", "in_progress"]
    reading = await own.read(NAME)
    assert reading.epoch is not None
    assert followed.feed.number_in_log(LogPosition(reading.epoch, 2)) == 2
    assert followed.feed.number_in_log(LogPosition(reading.epoch, 3)) is None
    await followed.feed.close()


async def test_an_error_ends_all_readers_and_who_waits_for_the_beginning(world: World) -> None:
    followed = HandFed(world)
    reader = followed.reader()
    waiting = asyncio.ensure_future(followed.feed.begun())
    await settle()
    followed.feed.fail(stopping_error())
    followed.feed.fail(GatewayError(ErrorCode.INTERNAL, "Too late."))
    for attempt in (waiting, followed.feed.begun()):
        with pytest.raises(GatewayError) as stopped:
            await attempt
        assert stopped.value.code is ErrorCode.GATEWAY_STOPPING
    with pytest.raises(GatewayError):
        reader.poll_event()
    await followed.feed.close()


async def test_a_log_that_has_ended_cannot_fail(world: World) -> None:
    followed = HandFed(world)
    await write(world.log, SnapshotChange(a_run("completed"), [], []), ends=True)
    await followed.feed.begun() if followed.state.has_begun else await followed.feed.refresh()
    followed.feed.fail(stopping_error())
    assert followed.feed.error is None
    assert followed.feed.is_over()
    await followed.feed.close()


async def test_who_waits_is_told_of_the_beginning_or_that_it_cannot_be_had(world: World) -> None:
    followed = HandFed(world)
    waiting = asyncio.ensure_future(followed.feed.begun())
    await settle()
    followed.feed.disappoint(GatewayError(ErrorCode.UPSTREAM_FAILED, "No."))
    with pytest.raises(GatewayError):
        await waiting
    waiting = asyncio.ensure_future(followed.feed.begun())
    await settle()
    await write(world.log, BEGINNING)
    await waiting
    await followed.feed.close()


async def test_a_fault_of_the_log_is_an_error_and_no_silence(world: World, caplog: pytest.LogCaptureFixture) -> None:
    followed = HandFed(world)
    reader = followed.reader()
    followed.feed.log = None  # type: ignore[assignment]
    await followed.feed.refresh()
    with pytest.raises(GatewayError) as failed:
        reader.poll_event()
    assert failed.value.code is ErrorCode.INTERNAL
    assert len(caplog.records) == 1
    await followed.feed.close()

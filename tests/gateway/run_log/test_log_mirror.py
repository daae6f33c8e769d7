"""A mirror follows its log through all failures of the log and its store, and ends its readers once."""

import asyncio

import pytest

from gateway.run_log.log_mirror import stopping_error
from gateway.run_log.store.event_log import Draft, LogPosition
from gateway.run_log.store.memory_log import MemoryLog
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_events import Change, Provenance, SnapshotChange, StatusChange, StepChange
from tests.support.manual_log_mirror import BEGINNING, NAME, ManualLogMirror
from tests.support.run_log_processes import World, a_run, a_step, kinds, pending_events, settle


async def write(log: MemoryLog, *changes: Change, ends: bool = False) -> None:
    lease = await log.acquire_lease(NAME, preempt=True)
    assert lease is not None
    await log.append(NAME, lease, [Draft(Provenance.POLLED, change) for change in changes], ends=ends)
    await log.release_lease(NAME, lease)


async def test_entries_of_any_writer_are_mirrored_at_once(world: World) -> None:
    manual = ManualLogMirror(world)
    reader = manual.reader()
    await write(world.log, BEGINNING)
    await settle()
    await write(world.log, StatusChange(a_run("completed"), "queued"), ends=True)
    await settle()
    assert kinds(pending_events(reader)) == ["snapshot queued", "completed"]
    assert manual.mirror.has_ended
    assert manual.state.is_over
    await reader.aclose()
    assert manual.reader_closed_calls == [manual.mirror]
    await manual.mirror.close()


async def test_the_place_in_the_stream_is_that_of_the_latest_entry_until_output_is_polled(world: World) -> None:
    manual = ManualLogMirror(world)
    mirror = manual.mirror
    lease = await world.log.acquire_lease(NAME)
    assert lease is not None

    async def place_after(provenance: Provenance, change: Change, position: str | None) -> str | None:
        await world.log.append(NAME, lease, [Draft(provenance, change, position)])
        await mirror.refresh()
        return mirror.stream_position

    assert await place_after(Provenance.STREAMED, BEGINNING, None) is None
    assert await place_after(Provenance.STREAMED, a_step_change(), "resp_1:3") == "resp_1:3"
    assert await place_after(Provenance.STREAMED, a_step_change(), None) == "resp_1:3"
    assert await place_after(Provenance.POLLED, StatusChange(a_run("in_progress"), "queued"), None) == "resp_1:3"
    assert await place_after(Provenance.POLLED, BEGINNING, "resp_1:3") == "resp_1:3"
    assert await place_after(Provenance.POLLED, a_step_change(), None) is None
    await mirror.close()


def a_step_change() -> StepChange:
    return StepChange(a_step())


async def test_many_refreshes_at_once_cost_few_reads(world: World) -> None:
    manual = ManualLogMirror(world)
    await write(world.log, BEGINNING)
    await asyncio.gather(*(manual.mirror.refresh() for _ in range(100)))
    assert manual.log.calls <= 3
    assert manual.mirror.mirrored_entries == 1
    await manual.mirror.close()


async def test_a_new_log_in_place_of_a_lost_one_expires_the_cursor(world: World) -> None:
    manual = ManualLogMirror(world)
    await write(world.log, BEGINNING)
    await manual.mirror.refresh()
    reader = manual.reader()
    first = pending_events(reader)[0]
    await write(manual.log.lose_all(), SnapshotChange(a_run("in_progress"), [], []))
    await manual.mirror.refresh()
    assert kinds(pending_events(reader)) == ["CURSOR_EXPIRED", "snapshot in_progress"]
    assert first.cursor != reader.buffer.present_events()[0].cursor
    await manual.mirror.close()


async def test_a_reader_that_was_current_when_the_log_was_lost_misses_nothing(world: World) -> None:
    manual = ManualLogMirror(world)
    await write(world.log, BEGINNING)
    await manual.mirror.refresh()
    reader = manual.reader()
    pending_events(reader)
    store = manual.log.lose_all()
    await manual.mirror.refresh()
    assert manual.mirror.needs_baseline(1_000)
    await write(store, BEGINNING, StatusChange(a_run("in_progress"), "queued"))
    await manual.mirror.refresh()
    assert kinds(pending_events(reader)) == ["in_progress"]
    assert not manual.mirror.needs_baseline(1_000)
    assert manual.mirror.needs_baseline(1)
    assert manual.mirror.entry_number_from_position(LogPosition("other", 1)) is None
    await manual.mirror.close()


async def test_a_reader_that_was_behind_when_the_log_was_lost_is_told_so(world: World) -> None:
    manual = ManualLogMirror(world)
    await write(world.log, BEGINNING)
    await manual.mirror.refresh()
    reader = manual.reader()
    pending_events(reader)
    store = manual.log.lose_all()
    await manual.mirror.refresh()
    await write(store, SnapshotChange(a_run("in_progress"), [a_step()], []), StatusChange(a_run("cancelling")))
    await manual.mirror.refresh()
    assert kinds(pending_events(reader)) == ["CURSOR_EXPIRED", "snapshot cancelling"]
    await manual.mirror.close()


async def test_without_its_store_a_mirror_continues_alone_with_new_cursors(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    manual = ManualLogMirror(world)
    await write(world.log, BEGINNING)
    await manual.mirror.refresh()
    reader = manual.reader()
    manual.log.is_cut_off = True
    await asyncio.gather(*(manual.mirror.refresh() for _ in range(3)))
    assert manual.mirror.log is not manual.log
    assert len(caplog.records) == 1
    local_log = manual.mirror.log
    assert isinstance(local_log, MemoryLog)
    await write(local_log, StatusChange(a_run("in_progress"), "queued"))
    await settle()
    seen = pending_events(reader)
    assert kinds(seen) == ["snapshot queued", "in_progress"]
    log_slice = await local_log.read(NAME)
    assert log_slice.epoch is not None
    assert manual.mirror.entry_number_from_position(LogPosition(log_slice.epoch, 2)) == 2
    assert manual.mirror.entry_number_from_position(LogPosition(log_slice.epoch, 3)) is None
    await manual.mirror.close()


async def test_an_error_ends_all_readers_and_all_waiters(world: World) -> None:
    manual = ManualLogMirror(world)
    reader = manual.reader()
    waiter = asyncio.ensure_future(manual.mirror.wait_until_begun())
    await settle()
    manual.mirror.end_with_error(stopping_error())
    manual.mirror.end_with_error(GatewayError(ErrorCode.INTERNAL, "Too late."))
    for waiting in (waiter, manual.mirror.wait_until_begun()):
        with pytest.raises(GatewayError) as stopped:
            await waiting
        assert stopped.value.code is ErrorCode.GATEWAY_STOPPING
    with pytest.raises(GatewayError):
        reader.poll_event()
    await manual.mirror.close()


async def test_a_log_that_has_ended_cannot_fail(world: World) -> None:
    manual = ManualLogMirror(world)
    await write(world.log, SnapshotChange(a_run("completed"), [], []), ends=True)
    await manual.mirror.wait_until_begun() if manual.state.has_begun else await manual.mirror.refresh()
    manual.mirror.end_with_error(stopping_error())
    assert manual.mirror.error is None
    assert manual.mirror.is_over()
    await manual.mirror.close()


async def test_a_waiter_ends_with_the_first_entry_or_with_an_error(world: World) -> None:
    manual = ManualLogMirror(world)
    waiter = asyncio.ensure_future(manual.mirror.wait_until_begun())
    await settle()
    manual.mirror.fail_waiters(GatewayError(ErrorCode.UPSTREAM_FAILED, "No."))
    with pytest.raises(GatewayError):
        await waiter
    waiter = asyncio.ensure_future(manual.mirror.wait_until_begun())
    await settle()
    await write(world.log, BEGINNING)
    await waiter
    await manual.mirror.close()


async def test_an_unexpected_error_of_the_log_ends_the_readers(world: World, caplog: pytest.LogCaptureFixture) -> None:
    manual = ManualLogMirror(world)
    reader = manual.reader()
    manual.mirror.log = None  # type: ignore[assignment]
    await manual.mirror.refresh()
    with pytest.raises(GatewayError) as failed:
        reader.poll_event()
    assert failed.value.code is ErrorCode.INTERNAL
    assert len(caplog.records) == 1
    await manual.mirror.close()

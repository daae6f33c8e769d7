"""A writer holds the lease until it is closed, writes each change once, and repeats the baseline of its log."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.run_log.log_mirror import LogMirror
from gateway.run_log.log_writer import LogWriterFactory
from gateway.run_log.store.event_log import LeaseLostError, LogUnavailableError
from schema.contract.run_events import Change, Provenance, SnapshotChange, StatusChange, StepChange
from tests.support.manual_log_mirror import BEGINNING, NAME, ManualLogMirror
from tests.support.run_log_processes import World, a_run, a_step, kind, kinds, pending_events


class AnnouncementRecorder:
    """Records the announced changes, and how many entries were mirrored at that time."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.mirrored_entries: list[int] = []

    async def __call__(self, mirror: LogMirror, changes: Sequence[Change]) -> None:
        self.changes += changes
        self.mirrored_entries.append(mirror.mirrored_entries)


def writer_factory(world: World, snapshot_every: int = 1000) -> LogWriterFactory:
    return LogWriterFactory(world.sleep, AnnouncementRecorder(), snapshot_every)


async def kinds_in_log(world: World) -> list[str]:
    return [kind(entry.change) for entry in (await world.log.read(NAME)).entries]


async def test_changes_are_announced_before_they_are_mirrored(world: World) -> None:
    manual, announcements = ManualLogMirror(world), AnnouncementRecorder()
    writer = await LogWriterFactory(world.sleep, announcements).open_writer(manual.mirror)
    assert writer is not None
    await writer.append(Provenance.POLLED, [])
    await writer.append(Provenance.POLLED, [BEGINNING])
    assert announcements.changes == [BEGINNING]
    assert announcements.mirrored_entries == [0]
    assert manual.mirror.mirrored_entries == 1
    await writer.aclose()
    await manual.mirror.close()


async def test_a_baseline_that_is_written_again_has_the_place_in_the_stream(world: World) -> None:
    manual = ManualLogMirror(world)
    writer = await writer_factory(world, snapshot_every=2).open_writer(manual.mirror)
    assert writer is not None
    await writer.append(Provenance.STREAMED, [BEGINNING])
    for number in range(3):
        step = StepChange(a_step(f"step_{number}"))
        await writer.append(Provenance.STREAMED, [step], positions=[str(number)])
    entries = (await world.log.read(NAME)).entries
    assert [kind(entry.change).partition(" ")[0] for entry in entries] == [
        "snapshot",
        *["step"] * 2,
        "snapshot",
        "step",
    ]
    assert [entry.position for entry in entries] == [None, "0", "1", "1", "2"]
    await writer.aclose()
    await manual.mirror.close()


async def test_one_writer_holds_the_lease_until_it_closes_or_is_preempted(world: World) -> None:
    first, second = ManualLogMirror(world), ManualLogMirror(world)
    writer = await writer_factory(world).open_writer(first.mirror)
    assert writer is not None
    await world.pass_seconds(30, step=0.5)
    assert await writer_factory(world).open_writer(second.mirror) is None
    preempting = await writer_factory(world).open_writer(second.mirror, preempt=True)
    assert preempting is not None
    with pytest.raises(LeaseLostError):
        await writer.append(Provenance.POLLED, [BEGINNING])
    await writer.aclose()
    await preempting.append(Provenance.POLLED, [BEGINNING])
    await preempting.aclose()
    again = await writer_factory(world).open_writer(first.mirror)
    assert again is not None
    await again.aclose()
    for manual in (first, second):
        await manual.mirror.close()


async def test_an_expired_lease_is_acquired_again_if_no_other_writer_had_it(world: World) -> None:
    manual = ManualLogMirror(world)
    writer = await writer_factory(world).open_writer(manual.mirror)
    assert writer is not None
    await writer.append(Provenance.STREAMED, [BEGINNING])
    world.clock.advance(60)  # at once, so that no renewal can run
    await writer.append(Provenance.STREAMED, [StatusChange(a_run("in_progress"), "queued")])
    assert await kinds_in_log(world) == ["snapshot queued", "in_progress"]
    await world.pass_seconds(30, step=0.5)
    assert await writer_factory(world).open_writer(manual.mirror) is None
    await writer.aclose()
    await manual.mirror.close()


async def test_an_expired_lease_is_lost_if_another_writer_has_written(world: World) -> None:
    first, second = ManualLogMirror(world), ManualLogMirror(world)
    writer = await writer_factory(world).open_writer(first.mirror)
    assert writer is not None
    await writer.append(Provenance.STREAMED, [BEGINNING])
    world.clock.advance(60)
    other = await writer_factory(world).open_writer(second.mirror)
    assert other is not None
    await other.append(Provenance.POLLED, [StatusChange(a_run("in_progress"), "queued")])
    await other.aclose()
    with pytest.raises(LeaseLostError):
        await writer.append(Provenance.STREAMED, [StatusChange(a_run("in_progress"), "queued")])
    assert await kinds_in_log(world) == ["snapshot queued", "in_progress"]
    await writer.aclose()
    for manual in (first, second):
        await manual.mirror.close()


async def test_an_emptied_store_gets_the_baseline_and_readers_see_no_repeat(world: World) -> None:
    manual = ManualLogMirror(world)
    writer = await writer_factory(world).open_writer(manual.mirror)
    assert writer is not None
    reader = manual.reader()
    await writer.append(Provenance.STREAMED, [BEGINNING])
    await writer.append(Provenance.STREAMED, [StatusChange(a_run("in_progress"), "queued")])
    world.log = manual.log.lose_all()
    await writer.append(Provenance.STREAMED, [StepChange(a_step("step_1"))])
    assert await kinds_in_log(world) == ["snapshot in_progress", "step in_progress"]
    assert kinds(pending_events(reader)) == ["snapshot queued", "in_progress", "step in_progress"]
    await writer.aclose()
    await manual.mirror.close()


async def test_no_change_follows_the_end(world: World) -> None:
    manual = ManualLogMirror(world)
    writer = await writer_factory(world).open_writer(manual.mirror)
    assert writer is not None
    await writer.append(Provenance.POLLED, [SnapshotChange(a_run("completed"), [], [])], ends=True)
    with pytest.raises(LeaseLostError):
        await writer.append(Provenance.POLLED, [StatusChange(a_run("failed"))])
    await writer.aclose()
    assert await writer_factory(world).open_writer(manual.mirror, preempt=True) is None
    await manual.mirror.close()


async def test_the_baseline_is_repeated_after_enough_entries(world: World) -> None:
    manual = ManualLogMirror(world)
    reader = manual.reader()
    writer = await writer_factory(world, snapshot_every=3).open_writer(manual.mirror)
    assert writer is not None
    await writer.append(Provenance.STREAMED, [BEGINNING])
    for number in range(5):
        await writer.append(Provenance.STREAMED, [StepChange(a_step(f"step_{number}"))])
    names = await kinds_in_log(world)
    assert names == ["snapshot queued", *["step in_progress"] * 3, "snapshot queued", *["step in_progress"] * 2]
    assert kinds(pending_events(reader)) == ["snapshot queued", *["step in_progress"] * 5]
    repeated = (await world.log.read(NAME)).entries[4].change
    assert isinstance(repeated, SnapshotChange)
    assert [step.id for step in repeated.steps] == ["step_0", "step_1", "step_2"]
    await writer.aclose()
    await manual.mirror.close()


@pytest.mark.parametrize("was_written", [True, False])
async def test_a_store_that_fails_once_gets_each_change_once(world: World, was_written: bool) -> None:
    manual = ManualLogMirror(world)
    writer = await writer_factory(world).open_writer(manual.mirror)
    assert writer is not None
    append, failures = manual.log.append, [LogUnavailableError()]

    async def frail(*call: object, **options: object) -> None:
        if was_written or not failures:
            await append(*call, **options)  # type: ignore[arg-type]
        if failures:
            raise failures.pop()

    manual.log.append = frail  # type: ignore[method-assign]
    await writer.append(Provenance.POLLED, [BEGINNING])
    assert await kinds_in_log(world) == ["snapshot queued"]
    assert manual.mirror.mirrored_entries == 1
    assert manual.mirror.log is manual.log
    await writer.aclose()
    await manual.mirror.close()


async def test_a_store_that_refuses_all_appends_is_replaced_by_a_local_log(world: World) -> None:
    manual = ManualLogMirror(world)
    writer = await writer_factory(world).open_writer(manual.mirror)
    assert writer is not None

    async def refuse(*_: object, **__: object) -> None:
        raise LogUnavailableError

    manual.log.append = refuse  # type: ignore[method-assign]
    reader = manual.reader()
    await writer.append(Provenance.POLLED, [BEGINNING])
    await writer.append(Provenance.POLLED, [StatusChange(a_run("in_progress"), "queued")])
    assert kinds(pending_events(reader)) == ["snapshot queued", "in_progress"]
    assert manual.mirror.log is not manual.log
    await writer.aclose()
    await manual.mirror.close()


async def test_an_outage_between_two_appends_loses_nothing(world: World) -> None:
    manual = ManualLogMirror(world)
    writer = await writer_factory(world).open_writer(manual.mirror)
    assert writer is not None
    manual.log.is_cut_off = True
    await world.pass_seconds(1.5)
    manual.log.is_cut_off = False
    await world.pass_seconds(1.5)
    await writer.append(Provenance.POLLED, [BEGINNING])
    assert await kinds_in_log(world) == ["snapshot queued"]
    manual.log.is_cut_off = True
    await asyncio.wait_for(writer.aclose(), 5)
    await manual.mirror.close()


async def test_an_append_that_runs_after_its_timeout_writes_nothing_twice(world: World) -> None:
    manual = ManualLogMirror(world)
    writer = await writer_factory(world).open_writer(manual.mirror)
    assert writer is not None
    append = manual.log.append
    pending_calls: list[tuple[tuple[object, ...], dict[str, object]]] = []

    async def slow(*call: object, **options: object) -> None:
        if not pending_calls:
            pending_calls.append((call, options))
            raise LogUnavailableError
        await append(*call, **options)  # type: ignore[arg-type]

    manual.log.append = slow  # type: ignore[method-assign]
    await writer.append(Provenance.STREAMED, [BEGINNING])
    await writer.append(Provenance.STREAMED, [StatusChange(a_run("in_progress"), "queued")])
    ((call, options),) = pending_calls
    await append(*call, **options)  # type: ignore[arg-type]
    assert await kinds_in_log(world) == ["snapshot queued", "in_progress"]
    await writer.aclose()
    await manual.mirror.close()


async def test_changes_are_refused_if_another_writer_writes_during_their_announcement(world: World) -> None:
    first, second = ManualLogMirror(world), ManualLogMirror(world)
    polled_changes: list[Change] = [StatusChange(a_run("in_progress"), "queued")]

    async def preempted(mirror: LogMirror, changes: Sequence[Change]) -> None:
        if list(changes) == polled_changes:
            other = await writer_factory(world).open_writer(second.mirror, preempt=True)
            assert other is not None
            await other.append(Provenance.STREAMED, [StatusChange(a_run("in_progress"), "queued")])
            await other.aclose()
            await mirror.refresh()

    for changes in ([BEGINNING], polled_changes):
        writer = await LogWriterFactory(world.sleep, preempted).open_writer(first.mirror)
        assert writer is not None
        if changes == polled_changes:
            with pytest.raises(LeaseLostError):
                await writer.append(Provenance.POLLED, changes)
        else:
            await writer.append(Provenance.POLLED, changes)
        await writer.aclose()
    assert await kinds_in_log(world) == ["snapshot queued", "in_progress"]
    for manual in (first, second):
        await manual.mirror.close()


async def test_more_entries_than_the_log_holds_are_written_once(world: World) -> None:
    manual = ManualLogMirror(world)
    writer = await writer_factory(world).open_writer(manual.mirror)
    assert writer is not None
    steps = [StepChange(a_step(f"step_{number}")) for number in range(20_000)]
    await writer.append(Provenance.STREAMED, [BEGINNING, *steps])
    entries = (await world.log.read(NAME)).entries
    assert entries[-1].number == 20_001 + 19  # with the repeated baseline
    await writer.aclose()
    await manual.mirror.close()

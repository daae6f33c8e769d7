"""A writer leads for as long as it lives, writes each change once, and says again what its log is about."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.run_log.log_mirror import LogMirror
from gateway.run_log.log_writer import LogWriterFactory
from gateway.run_log.store.event_log import LeaseLostError, LogUnavailableError
from schema.contract.run_events import Change, Provenance, SnapshotChange, StatusChange, StepChange
from tests.support.manual_log_mirror import BEGINNING, NAME, HandFed
from tests.support.run_log_processes import World, a_run, a_step, kind, kinds, take_now


class Told:
    """Notes what is announced, and what readers had been shown by then."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.shown: list[int] = []

    async def __call__(self, mirror: LogMirror, changes: Sequence[Change]) -> None:
        self.changes += changes
        self.shown.append(mirror.mirrored_entries)


def writer_factory(world: World, every: int = 1000) -> LogWriterFactory:
    return LogWriterFactory(world.sleep, Told(), every)


async def logged(world: World) -> list[str]:
    return [kind(entry.change) for entry in (await world.log.read(NAME)).entries]


async def test_what_is_written_is_announced_before_it_is_shown(world: World) -> None:
    hand_fed, told = HandFed(world), Told()
    writer = await LogWriterFactory(world.sleep, told).open_writer(hand_fed.mirror)
    assert writer is not None
    await writer.append(Provenance.POLLED, [])
    await writer.append(Provenance.POLLED, [BEGINNING])
    assert told.changes == [BEGINNING]
    assert told.shown == [0]
    assert hand_fed.mirror.mirrored_entries == 1
    await writer.aclose()
    await hand_fed.mirror.close()


async def test_only_one_leads_until_it_ends_or_is_preempted(world: World) -> None:
    first, second = HandFed(world), HandFed(world)
    writer = await writer_factory(world).open_writer(first.mirror)
    assert writer is not None
    await world.pass_seconds(30, step=0.5)
    assert await writer_factory(world).open_writer(second.mirror) is None
    usurper = await writer_factory(world).open_writer(second.mirror, preempt=True)
    assert usurper is not None
    with pytest.raises(LeaseLostError):
        await writer.append(Provenance.POLLED, [BEGINNING])
    await writer.aclose()
    await usurper.append(Provenance.POLLED, [BEGINNING])
    await usurper.aclose()
    again = await writer_factory(world).open_writer(first.mirror)
    assert again is not None
    await again.aclose()
    for hand_fed in (first, second):
        await hand_fed.mirror.close()


async def test_a_lead_that_ran_out_is_taken_again_where_nobody_else_has_led(world: World) -> None:
    hand_fed = HandFed(world)
    writer = await writer_factory(world).open_writer(hand_fed.mirror)
    assert writer is not None
    await writer.append(Provenance.STREAMED, [BEGINNING])
    world.clock.advance(60)  # at once: nobody could renew anything
    await writer.append(Provenance.STREAMED, [StatusChange(a_run("in_progress"), "queued")])
    assert await logged(world) == ["snapshot queued", "in_progress"]
    await world.pass_seconds(30, step=0.5)
    assert await writer_factory(world).open_writer(hand_fed.mirror) is None
    await writer.aclose()
    await hand_fed.mirror.close()


async def test_a_lead_that_ran_out_is_lost_where_somebody_else_has_written(world: World) -> None:
    first, second = HandFed(world), HandFed(world)
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
    assert await logged(world) == ["snapshot queued", "in_progress"]
    await writer.aclose()
    for hand_fed in (first, second):
        await hand_fed.mirror.close()


async def test_a_store_that_comes_back_empty_is_told_all_and_readers_notice_nothing(world: World) -> None:
    hand_fed = HandFed(world)
    writer = await writer_factory(world).open_writer(hand_fed.mirror)
    assert writer is not None
    reader = hand_fed.reader()
    await writer.append(Provenance.STREAMED, [BEGINNING])
    await writer.append(Provenance.STREAMED, [StatusChange(a_run("in_progress"), "queued")])
    world.log = hand_fed.log.lose_all()
    await writer.append(Provenance.STREAMED, [StepChange(a_step("step_1"))])
    assert await logged(world) == ["snapshot in_progress", "step in_progress"]
    assert kinds(take_now(reader)) == ["snapshot queued", "in_progress", "step in_progress"]
    await writer.aclose()
    await hand_fed.mirror.close()


async def test_nothing_follows_the_end(world: World) -> None:
    hand_fed = HandFed(world)
    writer = await writer_factory(world).open_writer(hand_fed.mirror)
    assert writer is not None
    await writer.append(Provenance.POLLED, [SnapshotChange(a_run("completed"), [], [])], ends=True)
    with pytest.raises(LeaseLostError):
        await writer.append(Provenance.POLLED, [StatusChange(a_run("failed"))])
    await writer.aclose()
    assert await writer_factory(world).open_writer(hand_fed.mirror, preempt=True) is None
    await hand_fed.mirror.close()


async def test_a_log_is_told_again_what_it_is_about(world: World) -> None:
    hand_fed = HandFed(world)
    reader = hand_fed.reader()
    writer = await writer_factory(world, every=3).open_writer(hand_fed.mirror)
    assert writer is not None
    await writer.append(Provenance.STREAMED, [BEGINNING])
    for number in range(5):
        await writer.append(Provenance.STREAMED, [StepChange(a_step(f"step_{number}"))])
    names = await logged(world)
    assert names == ["snapshot queued", *["step in_progress"] * 3, "snapshot queued", *["step in_progress"] * 2]
    assert kinds(take_now(reader)) == ["snapshot queued", *["step in_progress"] * 5]
    repeated = (await world.log.read(NAME)).entries[4].change
    assert isinstance(repeated, SnapshotChange)
    assert [step.id for step in repeated.steps] == ["step_0", "step_1", "step_2"]
    await writer.aclose()
    await hand_fed.mirror.close()


@pytest.mark.parametrize("was_written", [True, False])
async def test_a_store_that_fails_once_gets_each_change_once(world: World, was_written: bool) -> None:
    hand_fed = HandFed(world)
    writer = await writer_factory(world).open_writer(hand_fed.mirror)
    assert writer is not None
    append, failures = hand_fed.log.append, [LogUnavailableError()]

    async def frail(*call: object, **how: object) -> None:
        if was_written or not failures:
            await append(*call, **how)  # type: ignore[arg-type]
        if failures:
            raise failures.pop()

    hand_fed.log.append = frail  # type: ignore[method-assign]
    await writer.append(Provenance.POLLED, [BEGINNING])
    assert await logged(world) == ["snapshot queued"]
    assert hand_fed.mirror.mirrored_entries == 1
    assert hand_fed.mirror.log is hand_fed.log
    await writer.aclose()
    await hand_fed.mirror.close()


async def test_a_store_that_takes_nothing_is_left(world: World) -> None:
    hand_fed = HandFed(world)
    writer = await writer_factory(world).open_writer(hand_fed.mirror)
    assert writer is not None

    async def refuse(*_: object, **__: object) -> None:
        raise LogUnavailableError

    hand_fed.log.append = refuse  # type: ignore[method-assign]
    reader = hand_fed.reader()
    await writer.append(Provenance.POLLED, [BEGINNING])
    await writer.append(Provenance.POLLED, [StatusChange(a_run("in_progress"), "queued")])
    assert kinds(take_now(reader)) == ["snapshot queued", "in_progress"]
    assert hand_fed.mirror.log is not hand_fed.log
    await writer.aclose()
    await hand_fed.mirror.close()


async def test_a_store_that_is_away_while_nothing_is_written_costs_nothing(world: World) -> None:
    hand_fed = HandFed(world)
    writer = await writer_factory(world).open_writer(hand_fed.mirror)
    assert writer is not None
    hand_fed.log.is_cut_off = True
    await world.pass_seconds(1.5)
    hand_fed.log.is_cut_off = False
    await world.pass_seconds(1.5)
    await writer.append(Provenance.POLLED, [BEGINNING])
    assert await logged(world) == ["snapshot queued"]
    hand_fed.log.is_cut_off = True
    await asyncio.wait_for(writer.aclose(), 5)
    await hand_fed.mirror.close()


async def test_an_append_that_is_done_long_after_it_was_given_up_doubles_nothing(world: World) -> None:
    hand_fed = HandFed(world)
    writer = await writer_factory(world).open_writer(hand_fed.mirror)
    assert writer is not None
    append = hand_fed.log.append
    stuck: list[tuple[tuple[object, ...], dict[str, object]]] = []

    async def slow(*call: object, **how: object) -> None:
        if not stuck:
            stuck.append((call, how))
            raise LogUnavailableError
        await append(*call, **how)  # type: ignore[arg-type]

    hand_fed.log.append = slow  # type: ignore[method-assign]
    await writer.append(Provenance.STREAMED, [BEGINNING])
    await writer.append(Provenance.STREAMED, [StatusChange(a_run("in_progress"), "queued")])
    ((call, how),) = stuck
    await append(*call, **how)  # type: ignore[arg-type]
    assert await logged(world) == ["snapshot queued", "in_progress"]
    await writer.aclose()
    await hand_fed.mirror.close()


async def test_what_another_writes_while_changes_are_announced_makes_them_void(world: World) -> None:
    first, second = HandFed(world), HandFed(world)
    seen: list[Change] = [StatusChange(a_run("in_progress"), "queued")]

    async def preempted(mirror: LogMirror, changes: Sequence[Change]) -> None:
        if list(changes) == seen:
            other = await writer_factory(world).open_writer(second.mirror, preempt=True)
            assert other is not None
            await other.append(Provenance.STREAMED, [StatusChange(a_run("in_progress"), "queued")])
            await other.aclose()
            await mirror.refresh()

    for changes in ([BEGINNING], seen):
        writer = await LogWriterFactory(world.sleep, preempted).open_writer(first.mirror)
        assert writer is not None
        if changes == seen:
            with pytest.raises(LeaseLostError):
                await writer.append(Provenance.POLLED, changes)
        else:
            await writer.append(Provenance.POLLED, changes)
        await writer.aclose()
    assert await logged(world) == ["snapshot queued", "in_progress"]
    for hand_fed in (first, second):
        await hand_fed.mirror.close()


async def test_more_than_the_log_keeps_is_written_once(world: World) -> None:
    hand_fed = HandFed(world)
    writer = await writer_factory(world).open_writer(hand_fed.mirror)
    assert writer is not None
    steps = [StepChange(a_step(f"step_{number}")) for number in range(20_000)]
    await writer.append(Provenance.STREAMED, [BEGINNING, *steps])
    entries = (await world.log.read(NAME)).entries
    assert entries[-1].number == 20_001 + 19  # with what the log is about, again and again
    await writer.aclose()
    await hand_fed.mirror.close()

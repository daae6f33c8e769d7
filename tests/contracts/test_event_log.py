"""The contract of every event log: each process reads all entries in order, and is notified of new ones."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from gateway.run_log.store.event_log import Draft, LeaseLostError, LogName, LogPosition, LogSlice
from schema.contract.keys import ThreadKey
from schema.contract.run_events import FaultChange, Provenance, SnapshotChange
from tests.contracts.event_logs import (
    MAX_ENTRIES,
    OTHER,
    PATIENT_SECONDS,
    RUN,
    Begin,
    Logs,
    acquire_lease,
    begin,
    logs,
    numbers,
    text,
    texts,
    written,
)
from tests.support.wire_samples import message, run, run_step

__all__ = ["begin", "logs"]  # fixtures


async def test_a_log_that_was_never_written_holds_nothing(logs: Logs) -> None:
    assert await logs.here.read(RUN) == LogSlice(None, ())
    assert await logs.here.read(RUN, LogPosition("epoch", 3)) == LogSlice(None, (), is_gap=True)
    await acquire_lease(logs.here)
    assert await logs.here.read(RUN) == LogSlice(None, ())


async def test_each_process_reads_entries_in_the_order_of_their_writes(logs: Logs) -> None:
    lease = await acquire_lease(logs.here)
    await logs.here.append(RUN, lease, [text("a"), text("b")])
    await logs.here.append(RUN, lease, [text("c")])
    for log in (logs.here, logs.there):
        reading = await log.read(RUN)
        assert texts(reading) == ["a", "b", "c"]
        assert numbers(reading) == [1, 2, 3]
        assert reading.epoch
        assert not reading.has_ended
        assert not reading.is_gap


async def test_an_append_that_is_retried_is_written_once_even_if_the_first_try_arrives_late(logs: Logs) -> None:
    lease = await acquire_lease(logs.here)
    await logs.here.append(RUN, lease, [text("a")], serial=1)
    await logs.here.append(RUN, lease, [text("a")], serial=1)
    await logs.here.append(RUN, lease, [text("b")], serial=2)
    await logs.here.append(RUN, lease, [text("a")], serial=1)
    assert texts(await logs.here.read(RUN)) == ["a", "b"]
    lease = await acquire_lease(logs.there, preempt=True)
    await logs.there.append(RUN, lease, [text("c")], serial=1)
    assert texts(await logs.here.read(RUN)) == ["a", "b", "c"]


async def test_a_read_entry_equals_the_written_one(logs: Logs) -> None:
    parts: list[object] = [{"type": "text", "text": {"value": "Ä\u2028" * 9000, "annotations": []}}]
    snapshot = SnapshotChange(run(metadata={"a": "1"}), [run_step()], [message(content=parts)])
    drafts = [
        Draft(Provenance.SNAPSHOT, snapshot),
        Draft(Provenance.POLLED, FaultChange("CODE", "Message.", final=True), "resp_1:7"),
    ]
    await logs.here.append(RUN, await acquire_lease(logs.here), drafts)
    first, second = (await logs.there.read(RUN)).entries
    assert isinstance(first.change, SnapshotChange)
    assert first.change.run.metadata == {"a": "1"}
    assert bytes(_only(first.change.messages[0].content)) == bytes(_only(snapshot.messages[0].content))
    assert first.provenance is Provenance.SNAPSHOT
    assert first.at == second.at > 1_700_000_000
    assert (second.provenance, second.change) == (drafts[1].provenance, drafts[1].change)
    assert (first.position, second.position) == (None, "resp_1:7")


def _only(parts: Any) -> Any:
    (part,) = parts
    return part


async def test_a_reader_continues_from_any_stored_position(logs: Logs) -> None:
    await written(logs.here, "abcde")
    epoch = (await logs.there.read(RUN)).epoch
    assert epoch is not None
    for number in range(6):
        reading = await logs.there.read(RUN, LogPosition(epoch, number))
        assert texts(reading) == list("abcde")[number:]
        assert not reading.is_gap
        assert reading.epoch == epoch


@pytest.mark.parametrize("place", [LogPosition("other", 2), LogPosition("", 0)])
async def test_a_position_of_another_epoch_is_a_gap(logs: Logs, place: LogPosition) -> None:
    await written(logs.here, "abc")
    reading = await logs.here.read(RUN, place)
    assert reading.is_gap
    assert texts(reading) == ["a", "b", "c"]


async def test_a_position_after_the_last_entry_is_a_gap(logs: Logs) -> None:
    await written(logs.here, "abc")
    epoch = (await logs.here.read(RUN)).epoch
    assert epoch is not None
    reading = await logs.here.read(RUN, LogPosition(epoch, 4))
    assert reading.is_gap
    assert texts(reading) == ["a", "b", "c"]


async def test_only_the_newest_entries_are_stored_and_older_positions_are_gaps(logs: Logs) -> None:
    lease = await acquire_lease(logs.here)
    await logs.here.append(RUN, lease, [text(str(number)) for number in range(1, MAX_ENTRIES + 6)])
    await logs.here.append(RUN, lease, [text("last")])
    whole = await logs.there.read(RUN)
    assert numbers(whole) == list(range(7, MAX_ENTRIES + 7))
    assert not whole.is_gap
    assert whole.epoch is not None
    for number, is_gap in ((0, True), (5, True), (6, False), (7, False), (MAX_ENTRIES + 6, False)):
        reading = await logs.there.read(RUN, LogPosition(whole.epoch, number))
        assert reading.is_gap is is_gap
        assert numbers(reading) == list(range(7 if is_gap else number + 1, MAX_ENTRIES + 7))


async def test_logs_do_not_share_entries(logs: Logs) -> None:
    names = [RUN, OTHER, LogName("scope", ThreadKey("thread_1")), LogName("else", RUN.key)]
    for name in names:
        await written(logs.here, [str(names.index(name))], name)
    readings = [await logs.there.read(name) for name in names]
    assert [texts(reading) for reading in readings] == [["0"], ["1"], ["2"], ["3"]]
    assert len({reading.epoch for reading in readings}) == 4


async def test_an_ended_log_takes_no_entries_and_grants_no_lease(logs: Logs) -> None:
    lease = await acquire_lease(logs.here)
    await logs.here.append(RUN, lease, [text("a"), text("z")], ends=True)
    for log in (logs.here, logs.there):
        assert (await log.read(RUN)).has_ended
        assert await log.acquire_lease(RUN) is None
        assert await log.acquire_lease(RUN, preempt=True) is None
        assert not await log.renew_lease(RUN, lease)
        with pytest.raises(LeaseLostError):
            await log.append(RUN, lease, [text("b")])
        with pytest.raises(LeaseLostError):
            await log.append(RUN, lease, [text("b")], ends=True)
        await log.release_lease(RUN, lease)
    assert texts(await logs.there.read(RUN)) == ["a", "z"]


async def test_an_empty_append_changes_nothing(logs: Logs) -> None:
    lease = await acquire_lease(logs.here)
    await logs.here.append(RUN, lease, [])
    assert (await logs.here.read(RUN)).epoch is None
    with pytest.raises(ValueError, match="expected a change that ends the log"):
        await logs.here.append(RUN, lease, [], ends=True)


async def test_a_listener_is_notified_of_appends_and_of_a_released_lease(logs: Logs) -> None:
    notified = asyncio.Event()
    stop = logs.there.listen(RUN, notified.set)
    lease = await acquire_lease(logs.here)

    async def brings_news(act: Awaitable[None]) -> None:
        # The subscription may have begun just now, which also notifies.
        notified.clear()
        await act
        async with asyncio.timeout(PATIENT_SECONDS):
            await notified.wait()

    await brings_news(logs.here.append(RUN, lease, [text("a")]))
    await brings_news(logs.here.release_lease(RUN, lease))
    stop()
    stop()


async def test_a_reader_that_listens_before_it_reads_misses_nothing(begin: Begin) -> None:
    logs = await begin(600, max_entries=1000)
    count = 60
    seen: list[str] = []
    notified = asyncio.Event()
    stop = logs.there.listen(RUN, notified.set)

    async def follow() -> None:
        place = None
        while True:
            notified.clear()
            reading = await logs.there.read(RUN, place)
            assert not reading.is_gap
            seen.extend(texts(reading))
            if reading.has_ended:
                return
            if reading.epoch is not None and reading.entries:
                place = LogPosition(reading.epoch, reading.entries[-1].number)
            await notified.wait()

    following = asyncio.create_task(follow())
    lease = await acquire_lease(logs.here)
    for number in range(count):
        await logs.here.append(RUN, lease, [text(str(number))], ends=number == count - 1)
    async with asyncio.timeout(PATIENT_SECONDS):
        await following
    assert seen == [str(number) for number in range(count)]
    stop()

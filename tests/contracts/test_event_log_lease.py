"""The contract of the lease of every event log: one writer at a time, and an earlier writer cannot write any more."""

import asyncio
import random

import pytest

from gateway.run_log.store.event_log import LeaseLostError, LogName, LogPosition, WriterLease
from schema.contract.run_events import TextDeltaChange
from tests.contracts.event_logs import (
    OTHER,
    RUN,
    SHORT_LEASE_SECONDS,
    Begin,
    Logs,
    acquire_lease,
    begin,
    eventually,
    logs,
    numbers,
    text,
    texts,
    written,
)

__all__ = ["begin", "logs"]  # fixtures


async def test_one_writer_holds_the_lease_and_tokens_increase(logs: Logs) -> None:
    first = await acquire_lease(logs.here)
    assert await logs.there.acquire_lease(RUN) is None
    assert await logs.here.acquire_lease(RUN) is None
    await acquire_lease(logs.there, OTHER)
    await logs.here.release_lease(RUN, first)
    second = await acquire_lease(logs.there)
    assert await logs.here.acquire_lease(RUN) is None
    third = await acquire_lease(logs.here, preempt=True)
    assert first.token < second.token < third.token


async def test_a_preempted_writer_cannot_append_or_release_the_lease(logs: Logs) -> None:
    old = await written(logs.here, "a")
    new = await acquire_lease(logs.there, preempt=True)
    with pytest.raises(LeaseLostError):
        await logs.here.append(RUN, old, [text("old")])
    with pytest.raises(LeaseLostError):
        await logs.here.append(RUN, old, [text("old")], ends=True)
    assert not await logs.here.renew_lease(RUN, old)
    await logs.here.release_lease(RUN, old)
    assert await logs.here.acquire_lease(RUN) is None
    await logs.there.append(RUN, new, [text("b")])
    assert texts(await logs.here.read(RUN)) == ["a", "b"]
    assert numbers(await logs.here.read(RUN)) == [1, 2]


async def test_a_writer_that_released_its_lease_cannot_append(logs: Logs) -> None:
    lease = await written(logs.here, "a")
    await logs.here.release_lease(RUN, lease)
    await logs.here.release_lease(RUN, lease)
    assert not await logs.here.renew_lease(RUN, lease)
    with pytest.raises(LeaseLostError):
        await logs.here.append(RUN, lease, [text("b")])


async def test_a_made_up_lease_is_refused(logs: Logs) -> None:
    for lease in (WriterLease(0, 1), WriterLease(1, 1), WriterLease(2**52, 1)):
        with pytest.raises(LeaseLostError):
            await logs.here.append(RUN, lease, [text("a")])
        assert not await logs.here.renew_lease(RUN, lease)
        await logs.here.release_lease(RUN, lease)
    assert (await logs.here.read(RUN)).epoch is None


async def test_another_writer_gets_the_lease_once_it_has_expired(begin: Begin) -> None:
    logs = await begin(SHORT_LEASE_SECONDS)
    old = await acquire_lease(logs.here)
    assert old.lease_seconds == SHORT_LEASE_SECONDS
    leads: list[WriterLease] = []

    async def taken() -> bool:
        logs.pass_time(SHORT_LEASE_SECONDS / 2)
        lease = await logs.there.acquire_lease(RUN)
        leads.extend([lease] if lease else [])
        return lease is not None

    await eventually(taken)
    assert leads[0].token > old.token
    with pytest.raises(LeaseLostError):
        await logs.here.append(RUN, old, [text("old")])
    assert not await logs.here.renew_lease(RUN, old)


async def test_an_expired_lease_is_refused_even_without_another_writer(begin: Begin) -> None:
    logs = await begin(SHORT_LEASE_SECONDS)
    lease = await acquire_lease(logs.here)

    async def lapsed() -> bool:
        logs.pass_time(SHORT_LEASE_SECONDS / 2)
        try:
            await logs.here.append(RUN, lease, [text("a")])
        except LeaseLostError:
            return True
        return False

    await eventually(lapsed)
    assert not await logs.here.renew_lease(RUN, lease)


async def test_a_writer_that_renews_its_lease_keeps_it(logs: Logs) -> None:
    lease = await acquire_lease(logs.here)
    for number in range(3):
        assert await logs.here.renew_lease(RUN, lease)
        assert await logs.there.acquire_lease(RUN) is None
        await logs.here.append(RUN, lease, [text(str(number))])
    assert await logs.here.renew_lease(RUN, lease)


async def test_a_request_for_details_lasts_as_long_as_a_lease(begin: Begin) -> None:
    logs = await begin(SHORT_LEASE_SECONDS)
    assert not await logs.here.are_details_requested(RUN)
    await logs.there.request_details(RUN)
    await (await begin(600)).here.request_details(OTHER)

    async def over() -> bool:
        logs.pass_time(SHORT_LEASE_SECONDS / 2)
        return not await logs.here.are_details_requested(RUN)

    await eventually(over)


async def test_a_request_for_details_is_seen_in_every_process(logs: Logs) -> None:
    await logs.here.request_details(RUN)
    await logs.here.request_details(RUN)
    assert await logs.there.are_details_requested(RUN)
    assert not await logs.there.are_details_requested(OTHER)


@pytest.mark.parametrize("seed", range(4))
async def test_with_competing_writers_numbers_have_no_gap_and_no_entry_is_lost_or_doubled(
    begin: Begin, seed: int
) -> None:
    logs = await begin(600, max_entries=1000)
    seen: dict[int, str] = {}
    confirmed: list[str] = []
    refused: list[str] = []
    randomness = random.Random(seed)
    place: LogPosition | None = None

    async def write(who: int) -> None:
        log = (logs.here, logs.there)[who % 2]
        lease: WriterLease | None = None
        for turn in range(12):
            await asyncio.sleep(0)
            if lease is None or randomness.random() < 0.3:
                lease = await log.acquire_lease(RUN, preempt=randomness.random() < 0.5) or lease
            values = [f"{who}/{turn}/{part}" for part in range(randomness.randint(1, 3))]
            if lease is None:
                continue
            try:
                await log.append(RUN, lease, [text(value) for value in values])
                confirmed.extend(values)
            except LeaseLostError:
                refused.extend(values)
                lease = None
                continue
            if randomness.random() < 0.2:
                await log.release_lease(RUN, lease)
                lease = None

    async def follow(until: asyncio.Event) -> None:
        nonlocal place
        while True:
            last_time = until.is_set()
            reading = await logs.there.read(RUN, place)
            for entry in reading.entries:
                assert entry.number not in seen
                assert isinstance(entry.change, TextDeltaChange)
                seen[entry.number] = entry.change.value
            if reading.epoch is not None and reading.entries:
                assert not reading.is_gap
                place = LogPosition(reading.epoch, reading.entries[-1].number)
            if last_time:
                return
            await asyncio.sleep(0)

    done = asyncio.Event()
    following = asyncio.create_task(follow(done))
    await asyncio.gather(*map(write, range(4)))
    done.set()
    await following
    assert list(seen) == list(range(1, len(seen) + 1))
    assert sorted(seen.values()) == sorted(confirmed)
    assert not set(refused) & set(confirmed)


async def test_the_logs_of_a_scope_are_discarded_and_no_others(logs: Logs) -> None:
    foreign = LogName("another scope", RUN.key)
    for name in (RUN, OTHER, foreign):
        lease = await logs.here.acquire_lease(name)
        assert lease is not None
        await logs.here.append(name, lease, [text("a")])
    await logs.there.discard_scope(RUN.scope, [RUN, OTHER])
    slices = [await logs.here.read(name) for name in (RUN, OTHER, foreign)]
    assert [len(each.entries) for each in slices] == [0, 0, 1]


async def test_a_discarded_log_begins_again_under_another_epoch(logs: Logs) -> None:
    old = await written(logs.here, "a")
    epoch = (await logs.there.read(RUN)).epoch
    assert epoch is not None
    await logs.there.discard(RUN, "another epoch")
    assert texts(await logs.here.read(RUN)) == ["a"]
    await logs.there.discard(RUN, epoch)
    assert (await logs.here.read(RUN)).epoch is None
    with pytest.raises(LeaseLostError):
        await logs.here.append(RUN, old, [text("old")])
    new = await acquire_lease(logs.there)
    assert new.token > old.token
    await logs.there.append(RUN, new, [text("c")])
    begun = await logs.here.read(RUN, LogPosition(epoch, 1))
    assert (texts(begun), begun.is_gap, begun.epoch != epoch) == (["c"], True, True)

from collections.abc import Sequence

import pytest

from gateway.run_log.store.event_log import Draft, LeaseLostError, LogEntry, LogName, LogPosition, WriterLease
from gateway.run_log.store.memory_log import LOG_OVERHEAD_BYTES, MemoryLog
from schema.contract.keys import RunKey
from schema.contract.run_events import FaultChange, Provenance, TextDeltaChange

LEASE_SECONDS = 3.0
RETENTION_SECONDS = 100.0
UNIX = 1_700_000_000.0


class Clock:
    """A clock under the control of the test."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def name(number: int = 1) -> LogName:
    return LogName("scope", RunKey("thread_1", f"run_{number}"))


def text(value: str) -> Draft:
    return Draft(Provenance.STREAMED, TextDeltaChange("msg_1", 0, value))


@pytest.fixture
def clock() -> Clock:
    return Clock()


def memory_log(clock: Clock, *, max_bytes: int = 1 << 20, max_entries: int = 100) -> MemoryLog:
    return MemoryLog(
        now=clock,
        now_seconds=lambda: UNIX + clock.now,
        lease_seconds=LEASE_SECONDS,
        max_entries=max_entries,
        max_bytes=max_bytes,
        retention_seconds=RETENTION_SECONDS,
    )


async def acquire_lease(log: MemoryLog, log_name: LogName) -> WriterLease:
    lease = await log.acquire_lease(log_name)
    assert lease is not None
    return lease


async def write_texts(log: MemoryLog, log_name: LogName, values: Sequence[str] = ("a",)) -> None:
    lease = await acquire_lease(log, log_name)
    await log.append(log_name, lease, [text(value) for value in values])
    await log.release_lease(log_name, lease)


async def numbers(log: MemoryLog, log_name: LogName) -> list[int]:
    return [entry.number for entry in (await log.read(log_name)).entries]


async def test_an_entry_holds_its_time(clock: Clock) -> None:
    log = memory_log(clock)
    lease = await acquire_lease(log, name())
    await log.append(name(), lease, [text("a")])
    clock.now += 2
    await log.append(name(), lease, [text("b")])
    assert [entry.at for entry in (await log.read(name())).entries] == [UNIX + 50, UNIX + 52]


async def test_a_lease_lasts_for_its_lease_seconds(clock: Clock) -> None:
    log = memory_log(clock)
    lease = await acquire_lease(log, name())
    clock.now += LEASE_SECONDS - 0.1
    assert await log.acquire_lease(name()) is None
    assert await log.renew_lease(name(), lease)
    clock.now += LEASE_SECONDS - 0.1
    await log.append(name(), lease, [text("a")])
    clock.now += 0.1
    assert not await log.renew_lease(name(), lease)
    with pytest.raises(LeaseLostError):
        await log.append(name(), lease, [text("b")])
    assert (await acquire_lease(log, name())).token > lease.token
    assert await numbers(log, name()) == [1]


async def test_a_log_without_writes_expires(clock: Clock) -> None:
    log = memory_log(clock)
    await write_texts(log, name())
    clock.now += RETENTION_SECONDS
    assert await numbers(log, name()) == [1]
    clock.now += 1
    assert await numbers(log, name()) == []
    assert log.size_bytes == 0


async def test_expired_logs_are_evicted_without_a_read(clock: Clock) -> None:
    log = memory_log(clock)
    for number in range(20):
        await write_texts(log, name(number))
    clock.now += RETENTION_SECONDS + 1
    await write_texts(log, name(99))
    assert len(log) == 1


async def test_a_log_with_a_lease_or_a_listener_does_not_expire(clock: Clock) -> None:
    log = memory_log(clock)
    await write_texts(log, name(1))
    await write_texts(log, name(2))
    log.listen(name(1), lambda: None)
    lease = await acquire_lease(log, name(2))
    while clock.now < 2 * RETENTION_SECONDS:
        clock.now += LEASE_SECONDS - 1
        assert await log.renew_lease(name(2), lease)
    await write_texts(log, name(3))
    assert await numbers(log, name(1)) == [1]
    assert await numbers(log, name(2)) == [1]


async def test_a_restarted_log_has_another_epoch_and_a_greater_token(clock: Clock) -> None:
    log = memory_log(clock)
    before = await acquire_lease(log, name())
    await log.append(name(), before, [text("a")])
    first = await log.read(name())
    clock.now += RETENTION_SECONDS + 1
    after = await acquire_lease(log, name())
    await log.append(name(), after, [text("b")])
    assert first.epoch is not None
    second = await log.read(name(), LogPosition(first.epoch, 1))
    assert second.is_gap
    assert second.epoch != first.epoch
    assert after.token > before.token


async def test_the_least_recently_used_log_is_evicted(clock: Clock) -> None:
    log = memory_log(clock, max_bytes=10 * (LOG_OVERHEAD_BYTES + 600))
    for number in range(30):
        await write_texts(log, name(number))
        assert await numbers(log, name(0)) == [1]
        assert log.size_bytes <= 10 * (LOG_OVERHEAD_BYTES + 600)
    assert await numbers(log, name(1)) == []
    assert await numbers(log, name(29)) == [1]


async def test_empty_logs_are_evicted_too(clock: Clock) -> None:
    log = memory_log(clock, max_bytes=10 * LOG_OVERHEAD_BYTES)
    for number in range(30):
        await log.request_details(name(number))
    assert len(log) <= 10
    assert await log.are_details_requested(name(29))


async def test_logs_in_use_stay_but_lose_their_oldest_entries(clock: Clock) -> None:
    max_bytes = 100_000
    log = memory_log(clock, max_bytes=max_bytes, max_entries=10_000)
    leases = [await acquire_lease(log, name(number)) for number in range(3)]
    await log.append(name(0), leases[0], [text("only")])
    for _ in range(50):
        for number in (1, 2):
            await log.append(name(number), leases[number], [text("x" * 1000)])
            assert log.size_bytes <= max_bytes
    assert await numbers(log, name(0)) == [1]
    for number in (1, 2):
        kept = await numbers(log, name(number))
        assert kept == list(range(kept[0], 51))
        assert (await log.read(name(number), LogPosition("", 1))).is_gap


async def test_the_latest_entry_stays_at_any_size(clock: Clock) -> None:
    log = memory_log(clock, max_bytes=10_000)
    lease = await acquire_lease(log, name())
    for _ in range(3):
        await log.append(name(), lease, [text("x" * 20_000)])
    assert await numbers(log, name()) == [3]


async def test_the_byte_count_is_always_right(clock: Clock) -> None:
    log = memory_log(clock, max_bytes=50_000, max_entries=5)
    for number in range(40):
        await write_texts(log, name(number % 7), ["x" * (number * 37 % 900)] * (number % 5 + 1))
    held = [log._logs[one] for one in log._logs]
    assert log.size_bytes == sum(one.size_bytes for one in held)
    assert all(one.size_bytes == LOG_OVERHEAD_BYTES + sum(one.sizes) for one in held)
    clock.now += RETENTION_SECONDS + 1
    for number in range(7):
        await log.read(name(number))
    assert log.size_bytes == 0


async def test_an_unencodable_change_is_held_in_memory(clock: Clock) -> None:
    log = memory_log(clock)
    await write_texts(log, name(), ["\ud800"])
    assert await numbers(log, name()) == [1]


def entries(first: int, last: int) -> list[LogEntry]:
    fault = FaultChange("CODE", "Message.")
    return [LogEntry(number, UNIX, Provenance.POLLED, fault) for number in range(first, last + 1)]


async def test_an_adopted_log_continues_under_its_new_epoch(clock: Clock) -> None:
    log = memory_log(clock)
    log.adopt(name(), "new", entries(7, 9))
    assert (await log.read(name(), LogPosition("new", 8))).entries == tuple(entries(9, 9))
    assert (await log.read(name(), LogPosition("old", 8))).is_gap
    assert (await log.read(name(), LogPosition("new", 5))).is_gap
    lease = await acquire_lease(log, name())
    await log.append(name(), lease, [text("a")])
    log_slice = await log.read(name())
    assert [entry.number for entry in log_slice.entries] == [7, 8, 9, 10]
    assert log_slice.epoch == "new"


async def test_an_adopted_log_replaces_the_log_of_the_same_name(clock: Clock) -> None:
    log = memory_log(clock)
    lease = await acquire_lease(log, name())
    await log.append(name(), lease, [text("a")])
    log.adopt(name(), "new", entries(3, 4))
    assert await numbers(log, name()) == [3, 4]
    with pytest.raises(LeaseLostError):
        await log.append(name(), lease, [text("b")])
    log.adopt(name(), "newer", [])
    assert (await log.read(name())).epoch is None
    assert log.size_bytes == 0


async def test_an_adopted_log_can_have_ended(clock: Clock) -> None:
    log = memory_log(clock)
    log.adopt(name(), "new", entries(1, 2), has_ended=True)
    assert (await log.read(name())).has_ended
    assert await log.acquire_lease(name()) is None


async def test_entries_with_a_gap_are_not_adopted(clock: Clock) -> None:
    with pytest.raises(ValueError, match="without a gap"):
        memory_log(clock).adopt(name(), "new", [*entries(1, 2), *entries(4, 4)])


async def test_close_removes_all_logs(clock: Clock) -> None:
    log = memory_log(clock)
    await write_texts(log, name())
    await log.close()
    assert len(log) == 0
    assert log.size_bytes == 0

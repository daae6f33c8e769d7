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
    """Seconds as the test says."""

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


async def led(log: MemoryLog, of: LogName) -> WriterLease:
    lease = await log.acquire_lease(of)
    assert lease is not None
    return lease


async def written(log: MemoryLog, of: LogName, values: Sequence[str] = ("a",)) -> None:
    lease = await led(log, of)
    await log.append(of, lease, [text(value) for value in values])
    await log.release_lease(of, lease)


async def numbers(log: MemoryLog, of: LogName) -> list[int]:
    return [entry.number for entry in (await log.read(of)).entries]


async def test_an_entry_tells_when_it_was_written(clock: Clock) -> None:
    log = memory_log(clock)
    lease = await led(log, name())
    await log.append(name(), lease, [text("a")])
    clock.now += 2
    await log.append(name(), lease, [text("b")])
    assert [entry.at for entry in (await log.read(name())).entries] == [UNIX + 50, UNIX + 52]


async def test_a_lead_lasts_as_long_as_its_lease(clock: Clock) -> None:
    log = memory_log(clock)
    lease = await led(log, name())
    clock.now += LEASE_SECONDS - 0.1
    assert await log.acquire_lease(name()) is None
    assert await log.renew_lease(name(), lease)
    clock.now += LEASE_SECONDS - 0.1
    await log.append(name(), lease, [text("a")])
    clock.now += 0.1
    assert not await log.renew_lease(name(), lease)
    with pytest.raises(LeaseLostError):
        await log.append(name(), lease, [text("b")])
    assert (await led(log, name())).token > lease.token
    assert await numbers(log, name()) == [1]


async def test_a_log_that_nobody_writes_is_forgotten(clock: Clock) -> None:
    log = memory_log(clock)
    await written(log, name())
    clock.now += RETENTION_SECONDS
    assert await numbers(log, name()) == [1]
    clock.now += 1
    assert await numbers(log, name()) == []
    assert log.size_bytes == 0


async def test_old_logs_go_though_nobody_asks_for_them(clock: Clock) -> None:
    log = memory_log(clock)
    for number in range(20):
        await written(log, name(number))
    clock.now += RETENTION_SECONDS + 1
    await written(log, name(99))
    assert len(log) == 1


async def test_a_log_that_is_led_or_listened_to_is_not_too_old(clock: Clock) -> None:
    log = memory_log(clock)
    await written(log, name(1))
    await written(log, name(2))
    log.listen(name(1), lambda: None)
    lease = await led(log, name(2))
    while clock.now < 2 * RETENTION_SECONDS:
        clock.now += LEASE_SECONDS - 1
        assert await log.renew_lease(name(2), lease)
    await written(log, name(3))
    assert await numbers(log, name(1)) == [1]
    assert await numbers(log, name(2)) == [1]


async def test_a_log_begun_anew_has_another_epoch_and_a_greater_token(clock: Clock) -> None:
    log = memory_log(clock)
    before = await led(log, name())
    await log.append(name(), before, [text("a")])
    first = await log.read(name())
    clock.now += RETENTION_SECONDS + 1
    after = await led(log, name())
    await log.append(name(), after, [text("b")])
    assert first.epoch is not None
    second = await log.read(name(), LogPosition(first.epoch, 1))
    assert second.is_gap
    assert second.epoch != first.epoch
    assert after.token > before.token


async def test_the_least_used_log_makes_room(clock: Clock) -> None:
    log = memory_log(clock, max_bytes=10 * (LOG_OVERHEAD_BYTES + 600))
    for number in range(30):
        await written(log, name(number))
        assert await numbers(log, name(0)) == [1]
        assert log.size_bytes <= 10 * (LOG_OVERHEAD_BYTES + 600)
    assert await numbers(log, name(1)) == []
    assert await numbers(log, name(29)) == [1]


async def test_logs_that_hold_nothing_make_room_too(clock: Clock) -> None:
    log = memory_log(clock, max_bytes=10 * LOG_OVERHEAD_BYTES)
    for number in range(30):
        await log.request_details(name(number))
    assert len(log) <= 10
    assert await log.are_details_requested(name(29))


async def test_logs_in_use_stay_but_lose_their_oldest_entries(clock: Clock) -> None:
    max_bytes = 100_000
    log = memory_log(clock, max_bytes=max_bytes, max_entries=10_000)
    leads = [await led(log, name(number)) for number in range(3)]
    await log.append(name(0), leads[0], [text("only")])
    for _ in range(50):
        for number in (1, 2):
            await log.append(name(number), leads[number], [text("x" * 1000)])
            assert log.size_bytes <= max_bytes
    assert await numbers(log, name(0)) == [1]
    for number in (1, 2):
        kept = await numbers(log, name(number))
        assert kept == list(range(kept[0], 51))
        assert (await log.read(name(number), LogPosition("", 1))).is_gap


async def test_the_latest_entry_stays_however_large_it_is(clock: Clock) -> None:
    log = memory_log(clock, max_bytes=10_000)
    lease = await led(log, name())
    for _ in range(3):
        await log.append(name(), lease, [text("x" * 20_000)])
    assert await numbers(log, name()) == [3]


async def test_the_account_of_bytes_is_right_after_everything(clock: Clock) -> None:
    log = memory_log(clock, max_bytes=50_000, max_entries=5)
    for number in range(40):
        await written(log, name(number % 7), ["x" * (number * 37 % 900)] * (number % 5 + 1))
    held = [log._logs[one] for one in log._logs]
    assert log.size_bytes == sum(one.size_bytes for one in held)
    assert all(one.size_bytes == LOG_OVERHEAD_BYTES + sum(one.sizes) for one in held)
    clock.now += RETENTION_SECONDS + 1
    for number in range(7):
        await log.read(name(number))
    assert log.size_bytes == 0


async def test_a_change_that_cannot_be_written_as_text_is_kept_all_the_same(clock: Clock) -> None:
    log = memory_log(clock)
    await written(log, name(), ["\ud800"])
    assert await numbers(log, name()) == [1]


def entries(first: int, last: int) -> list[LogEntry]:
    fault = FaultChange("CODE", "Message.")
    return [LogEntry(number, UNIX, Provenance.POLLED, fault) for number in range(first, last + 1)]


async def test_an_adopted_log_goes_on_under_its_new_epoch(clock: Clock) -> None:
    log = memory_log(clock)
    log.adopt(name(), "new", entries(7, 9))
    assert (await log.read(name(), LogPosition("new", 8))).entries == tuple(entries(9, 9))
    assert (await log.read(name(), LogPosition("old", 8))).is_gap
    assert (await log.read(name(), LogPosition("new", 5))).is_gap
    lease = await led(log, name())
    await log.append(name(), lease, [text("a")])
    reading = await log.read(name())
    assert [entry.number for entry in reading.entries] == [7, 8, 9, 10]
    assert reading.epoch == "new"


async def test_an_adopted_log_takes_the_place_of_what_was_here(clock: Clock) -> None:
    log = memory_log(clock)
    lease = await led(log, name())
    await log.append(name(), lease, [text("a")])
    log.adopt(name(), "new", entries(3, 4))
    assert await numbers(log, name()) == [3, 4]
    with pytest.raises(LeaseLostError):
        await log.append(name(), lease, [text("b")])
    log.adopt(name(), "newer", [])
    assert (await log.read(name())).epoch is None
    assert log.size_bytes == 0


async def test_an_adopted_log_may_have_ended(clock: Clock) -> None:
    log = memory_log(clock)
    log.adopt(name(), "new", entries(1, 2), has_ended=True)
    assert (await log.read(name())).has_ended
    assert await log.acquire_lease(name()) is None


async def test_entries_with_a_gap_are_not_adopted(clock: Clock) -> None:
    with pytest.raises(ValueError, match="without a gap"):
        memory_log(clock).adopt(name(), "new", [*entries(1, 2), *entries(4, 4)])


async def test_nothing_is_left_after_the_end(clock: Clock) -> None:
    log = memory_log(clock)
    await written(log, name())
    await log.close()
    assert len(log) == 0
    assert log.size_bytes == 0

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.run_log.store import event_codec, redis_log
from gateway.run_log.store.event_log import LeaseLostError, LogName, LogPosition, LogSlice, LogUnavailableError
from gateway.run_log.store.redis_connection import RedisConnection
from gateway.run_log.store.redis_log import RedisLog
from gateway.run_log.store.redis_names import redis_names_from_log
from tests.gateway.run_log.store.redis_logs import (
    PATIENT_SECONDS,
    RUN,
    acquire_lease,
    open_log,
    text,
    texts,
    write_texts,
)
from tests.support.valkey import Valkey

NAMES = redis_names_from_log(RUN)
WRONG: list[tuple[Any, ...]] = [("SET", "junk"), ("RPUSH", "junk"), ("HSET", "junk", "junk"), ("XADD", "*", "a", "b")]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_log, "READ_BATCH_ENTRIES", 5)


@pytest.fixture
async def log(valkey: Valkey) -> AsyncIterator[RedisLog]:
    async with open_log(valkey.url, lease_seconds=600) as log:
        yield log


def encoded(value: str) -> bytes:
    return event_codec.encode_entry(1.0, *text(value))


async def test_a_long_log_is_read_in_batches(log: RedisLog, valkey: Valkey) -> None:
    values = [str(number) for number in range(3 * redis_log.READ_BATCH_ENTRIES)]
    _, epoch = await write_texts(log, *values)
    assert texts(await log.read(RUN)) == values
    assert texts(await log.read(RUN, LogPosition(epoch, 7))) == values[7:]
    log_slice = await log.read(RUN, LogPosition("other", 7))
    assert texts(log_slice) == values
    assert log_slice.is_gap


class _InterruptedLog(RedisLog):
    """A log that runs a function of the test between the batches of a read."""

    between: Callable[[int], None]
    batches = 0

    async def _read_batch(self, name: LogName, after: LogPosition | None) -> Any:
        batch = await super()._read_batch(name, after)
        self.batches += 1
        self.between(self.batches)
        return batch


@pytest.fixture
async def interrupted_log(valkey: Valkey) -> AsyncIterator[_InterruptedLog]:
    log = _InterruptedLog(RedisConnection(valkey.url, deadline_seconds=PATIENT_SECONDS), lease_seconds=600)
    log.between = lambda batch: None
    yield log
    await log.close()


async def test_a_log_that_is_trimmed_while_it_is_read_is_read_again(
    interrupted_log: _InterruptedLog, valkey: Valkey
) -> None:
    values = [str(number) for number in range(5 * redis_log.READ_BATCH_ENTRIES)]
    _, epoch = await write_texts(interrupted_log, *values)
    interrupted_log.batches = 0
    interrupted_log.between = lambda batch: valkey.command("XTRIM", NAMES.stream, "MAXLEN", 10) if batch == 1 else None
    log_slice = await interrupted_log.read(RUN, LogPosition(epoch, 0))
    assert texts(log_slice) == values[-10:]
    assert log_slice.is_gap


async def test_a_log_that_is_restarted_while_it_is_read_is_read_again(
    interrupted_log: _InterruptedLog, valkey: Valkey
) -> None:
    await write_texts(interrupted_log, *map(str, range(2 * redis_log.READ_BATCH_ENTRIES)))

    def begin_anew(batch: int) -> None:
        if batch == 1:
            valkey.command("DEL", *NAMES.keys)
            valkey.command("HSET", NAMES.meta, "epoch", "new", "number", 1)
            valkey.command("XADD", NAMES.stream, "1-0", "e", encoded("new"))

    interrupted_log.batches = 0
    interrupted_log.between = begin_anew
    log_slice = await interrupted_log.read(RUN)
    assert texts(log_slice) == ["new"]
    assert log_slice.epoch == "new"


async def test_a_log_that_is_deleted_while_it_is_read_is_lost(interrupted_log: _InterruptedLog, valkey: Valkey) -> None:
    _, epoch = await write_texts(interrupted_log, *map(str, range(2 * redis_log.READ_BATCH_ENTRIES)))
    interrupted_log.batches = 0
    interrupted_log.between = lambda batch: valkey.command("DEL", *NAMES.keys)
    assert await interrupted_log.read(RUN, LogPosition(epoch, 1)) == LogSlice(None, (), is_gap=True)


async def test_a_reader_that_never_catches_up_gets_an_error(interrupted_log: _InterruptedLog, valkey: Valkey) -> None:
    size = redis_log.READ_BATCH_ENTRIES
    await write_texts(interrupted_log, *map(str, range(2 * size)))

    def race(batch: int) -> None:
        first = int(valkey.command("XRANGE", NAMES.stream, "-", "+", "COUNT", 1)[0][0].partition(b"-")[0])
        for number in range(first + 2 * size, first + 4 * size):
            valkey.command("XADD", NAMES.stream, "MAXLEN", "=", 2 * size, f"{number}-0", "e", encoded("more"))
        valkey.command("HSET", NAMES.meta, "number", first + 4 * size - 1)

    interrupted_log.between = race
    with pytest.raises(LogUnavailableError, match="trimmed faster than it is read"):
        await interrupted_log.read(RUN)


@pytest.mark.parametrize("key", list(NAMES[:4]))
@pytest.mark.parametrize("wrong", WRONG)
async def test_garbage_under_a_key_loses_at_most_the_log(
    log: RedisLog, valkey: Valkey, key: str, wrong: tuple[Any, ...]
) -> None:
    lease, epoch = await write_texts(log, "a")
    await log.request_details(RUN)
    valkey.command("DEL", key)
    valkey.command(wrong[0], key, *wrong[1:])
    after = LogPosition(epoch, 1)
    log_slice = await log.read(RUN, after)
    assert log_slice.epoch in {None, epoch}
    assert log_slice.is_gap is (log_slice.epoch is None)
    await log.renew_lease(RUN, lease)
    await log.are_details_requested(RUN)
    await log.request_details(RUN)
    assert await log.are_details_requested(RUN)
    try:
        await log.append(RUN, lease, [text("b")])
    except LeaseLostError:
        lease = await acquire_lease(log)
        await log.append(RUN, lease, [text("b")])
    assert texts(await log.read(RUN, after)) == ["b"]
    await log.release_lease(RUN, lease)
    assert await log.acquire_lease(RUN) is not None


GARBAGE: list[tuple[str, bytes]] = [
    ("e", b""),
    ("e", b"junk"),
    ("e", encoded("x")[:18] + b"j[]"),
    ("e", b"TE" + bytes(8) + encoded("of another version")[10:]),
]


@pytest.mark.parametrize(("name", "data"), GARBAGE)
@pytest.mark.parametrize("place", [1, 2, 3])
async def test_a_log_with_an_unreadable_entry_is_lost_and_restarted(
    log: RedisLog, valkey: Valkey, name: str, data: bytes, place: int
) -> None:
    lease, epoch = await write_texts(log, "a", "b", "c")
    valkey.command("DEL", NAMES.stream)
    for number in (1, 2, 3):
        held = data if number == place else encoded("x")
        valkey.command("XADD", NAMES.stream, f"{number}-0", name, held)
    # A reader behind the entry does not notice.
    if place < 3:
        assert texts(await log.read(RUN, LogPosition(epoch, place))) == ["x"] * (3 - place)
    assert await log.read(RUN, LogPosition(epoch, place - 1)) == LogSlice(None, (), is_gap=True)
    assert await log.read(RUN) == LogSlice(None, ())
    with pytest.raises(LeaseLostError):
        await log.append(RUN, lease, [text("d")])
    fresh = await acquire_lease(log)
    assert fresh.token > lease.token
    await log.append(RUN, fresh, [text("new")])
    log_slice = await log.read(RUN, LogPosition(epoch, 3))
    assert texts(log_slice) == ["new"]
    assert log_slice.entries[0].number == 1
    assert log_slice.epoch != epoch
    assert log_slice.is_gap


async def test_an_entry_with_extra_fields_or_a_missing_neighbour_loses_the_log(log: RedisLog, valkey: Valkey) -> None:
    _, epoch = await write_texts(log, "a", "b", "c", "d")
    valkey.command("XDEL", NAMES.stream, "2-0")
    assert await log.read(RUN, LogPosition(epoch, 1)) == LogSlice(None, (), is_gap=True)
    assert valkey.command("EXISTS", *NAMES.keys) == 1  # the token remains
    await log.append(RUN, await acquire_lease(log), [text("a")])
    valkey.command("DEL", NAMES.stream)
    valkey.command("XADD", NAMES.stream, "1-0", "e", encoded("a"), "f", "g")
    assert await log.read(RUN) == LogSlice(None, ())


async def test_a_lost_log_sends_a_notification(log: RedisLog, valkey: Valkey) -> None:
    await write_texts(log, "a")
    notified = asyncio.Event()
    log.listen(RUN, notified.set)
    async with asyncio.timeout(PATIENT_SECONDS):
        await notified.wait()
        notified.clear()
        valkey.command("DEL", NAMES.stream)
        valkey.command("XADD", NAMES.stream, "1-0", "e", "junk")
        assert (await log.read(RUN)).epoch is None
        await notified.wait()


async def test_an_unencodable_change_is_not_written(log: RedisLog) -> None:
    lease, _ = await write_texts(log, "a")
    with pytest.raises(LogUnavailableError, match="cannot be written"):
        await log.append(RUN, lease, [text("b"), text("\ud800")])
    assert texts(await log.read(RUN)) == ["a"]


async def test_renewing_extends_the_lease(valkey: Valkey) -> None:
    async with open_log(valkey.url, lease_seconds=50) as short, open_log(valkey.url, lease_seconds=600) as long:
        lease = await acquire_lease(short)
        assert lease.lease_seconds == 50
        assert 0 < valkey.command("PTTL", NAMES.lease) <= 50_000
        assert await long.renew_lease(RUN, lease)
        assert valkey.command("PTTL", NAMES.lease) > 50_000


async def test_every_key_expires(valkey: Valkey) -> None:
    async with open_log(valkey.url, lease_seconds=50, retention_seconds=70) as log:
        lease = await acquire_lease(log)
        assert 0 < valkey.command("PTTL", NAMES.meta) <= 70_000
        await log.append(RUN, lease, [text("a")])
        await log.request_details(RUN)
        for key in valkey.command("KEYS", "*"):
            assert 0 < valkey.command("PTTL", key) <= 70_000

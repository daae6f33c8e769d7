import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.run_log.store import event_codec, redis_log
from gateway.run_log.store.event_log import LeaseLostError, LogName, LogPosition, LogSlice, LogUnavailableError
from gateway.run_log.store.redis_log import RedisLog
from gateway.run_log.store.redis_names import redis_names_from_log
from tests.gateway.run_log.store.redis_logs import PATIENT_SECONDS, RUN, led, logging, text, texts, written
from tests.support.valkey import Valkey

NAMES = redis_names_from_log(RUN)
WRONG: list[tuple[Any, ...]] = [("SET", "junk"), ("RPUSH", "junk"), ("HSET", "junk", "junk"), ("XADD", "*", "a", "b")]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_log, "READ_BATCH_ENTRIES", 5)


@pytest.fixture
async def log(valkey: Valkey) -> AsyncIterator[RedisLog]:
    async with logging(valkey.url, lease_seconds=600) as log:
        yield log


def encoded(value: str) -> bytes:
    return event_codec.encode_entry(1.0, *text(value))


async def test_a_long_log_is_read_in_parts(log: RedisLog, valkey: Valkey) -> None:
    values = [str(number) for number in range(3 * redis_log.READ_BATCH_ENTRIES)]
    _, epoch = await written(log, *values)
    assert texts(await log.read(RUN)) == values
    assert texts(await log.read(RUN, LogPosition(epoch, 7))) == values[7:]
    reading = await log.read(RUN, LogPosition("other", 7))
    assert texts(reading) == values
    assert reading.is_gap


class _Trimming(RedisLog):
    """Does something to Redis between the parts of a reading."""

    between: Callable[[int], None]
    parts = 0

    async def _read_batch(self, name: LogName, after: LogPosition | None) -> Any:
        batch = await super()._read_batch(name, after)
        self.parts += 1
        self.between(self.parts)
        return batch


@pytest.fixture
async def trimming(valkey: Valkey) -> AsyncIterator[_Trimming]:
    log = _Trimming(valkey.url, deadline_seconds=PATIENT_SECONDS, lease_seconds=600)
    log.between = lambda part: None
    yield log
    await log.close()


async def test_a_log_that_is_trimmed_while_it_is_read_is_read_again(trimming: _Trimming, valkey: Valkey) -> None:
    values = [str(number) for number in range(5 * redis_log.READ_BATCH_ENTRIES)]
    _, epoch = await written(trimming, *values)
    trimming.parts = 0
    trimming.between = lambda part: valkey.command("XTRIM", NAMES.stream, "MAXLEN", 10) if part == 1 else None
    reading = await trimming.read(RUN, LogPosition(epoch, 0))
    assert texts(reading) == values[-10:]
    assert reading.is_gap


async def test_a_log_that_is_begun_anew_while_it_is_read_is_read_again(trimming: _Trimming, valkey: Valkey) -> None:
    await written(trimming, *map(str, range(2 * redis_log.READ_BATCH_ENTRIES)))

    def begin_anew(part: int) -> None:
        if part == 1:
            valkey.command("DEL", *NAMES.keys)
            valkey.command("HSET", NAMES.meta, "epoch", "new", "number", 1)
            valkey.command("XADD", NAMES.stream, "1-0", "e", encoded("new"))

    trimming.parts = 0
    trimming.between = begin_anew
    reading = await trimming.read(RUN)
    assert texts(reading) == ["new"]
    assert reading.epoch == "new"


async def test_a_log_that_goes_while_it_is_read_is_lost(trimming: _Trimming, valkey: Valkey) -> None:
    _, epoch = await written(trimming, *map(str, range(2 * redis_log.READ_BATCH_ENTRIES)))
    trimming.parts = 0
    trimming.between = lambda part: valkey.command("DEL", *NAMES.keys)
    assert await trimming.read(RUN, LogPosition(epoch, 1)) == LogSlice(None, (), is_gap=True)


async def test_a_reader_that_never_catches_up_is_told_so(trimming: _Trimming, valkey: Valkey) -> None:
    size = redis_log.READ_BATCH_ENTRIES
    await written(trimming, *map(str, range(2 * size)))

    def race(part: int) -> None:
        first = int(valkey.command("XRANGE", NAMES.stream, "-", "+", "COUNT", 1)[0][0].partition(b"-")[0])
        for number in range(first + 2 * size, first + 4 * size):
            valkey.command("XADD", NAMES.stream, "MAXLEN", "=", 2 * size, f"{number}-0", "e", encoded("more"))
        valkey.command("HSET", NAMES.meta, "number", first + 4 * size - 1)

    trimming.between = race
    with pytest.raises(LogUnavailableError, match="trimmed faster than it is read"):
        await trimming.read(RUN)


@pytest.mark.parametrize("key", list(NAMES[:4]))
@pytest.mark.parametrize("wrong", WRONG)
async def test_garbage_under_a_key_costs_the_log_at_most(
    log: RedisLog, valkey: Valkey, key: str, wrong: tuple[Any, ...]
) -> None:
    lease, epoch = await written(log, "a")
    await log.request_details(RUN)
    valkey.command("DEL", key)
    valkey.command(wrong[0], key, *wrong[1:])
    after = LogPosition(epoch, 1)
    reading = await log.read(RUN, after)
    assert reading.epoch in {None, epoch}
    assert reading.is_gap is (reading.epoch is None)
    await log.renew_lease(RUN, lease)
    await log.are_details_requested(RUN)
    await log.request_details(RUN)
    assert await log.are_details_requested(RUN)
    try:
        await log.append(RUN, lease, [text("b")])
    except LeaseLostError:
        lease = await led(log)
        await log.append(RUN, lease, [text("b")])
    assert texts(await log.read(RUN, after)) == ["b"]
    await log.release_lease(RUN, lease)
    assert await log.acquire_lease(RUN) is not None


GARBAGE: list[tuple[str, bytes]] = [
    ("e", b""),
    ("e", b"junk"),
    ("e", event_codec._HEADER + b"j[]"),
    ("e", b"TE" + bytes(8) + encoded("of another version")[10:]),
]


@pytest.mark.parametrize(("name", "data"), GARBAGE)
@pytest.mark.parametrize("place", [1, 2, 3])
async def test_a_log_with_an_entry_that_cannot_be_read_is_lost_and_begun_anew(
    log: RedisLog, valkey: Valkey, name: str, data: bytes, place: int
) -> None:
    lease, epoch = await written(log, "a", "b", "c")
    valkey.command("DEL", NAMES.stream)
    for number in (1, 2, 3):
        held = data if number == place else encoded("x")
        valkey.command("XADD", NAMES.stream, f"{number}-0", name, held)
    # Whoever needs not read it does not notice.
    if place < 3:
        assert texts(await log.read(RUN, LogPosition(epoch, place))) == ["x"] * (3 - place)
    assert await log.read(RUN, LogPosition(epoch, place - 1)) == LogSlice(None, (), is_gap=True)
    assert await log.read(RUN) == LogSlice(None, ())
    with pytest.raises(LeaseLostError):
        await log.append(RUN, lease, [text("d")])
    fresh = await led(log)
    assert fresh.token > lease.token
    await log.append(RUN, fresh, [text("new")])
    reading = await log.read(RUN, LogPosition(epoch, 3))
    assert texts(reading) == ["new"]
    assert reading.entries[0].number == 1
    assert reading.epoch != epoch
    assert reading.is_gap


async def test_an_entry_of_many_fields_or_with_a_neighbour_missing_loses_the_log(log: RedisLog, valkey: Valkey) -> None:
    _, epoch = await written(log, "a", "b", "c", "d")
    valkey.command("XDEL", NAMES.stream, "2-0")
    assert await log.read(RUN, LogPosition(epoch, 1)) == LogSlice(None, (), is_gap=True)
    assert valkey.command("EXISTS", *NAMES.keys) == 1  # the token is still known
    await log.append(RUN, await led(log), [text("a")])
    valkey.command("DEL", NAMES.stream)
    valkey.command("XADD", NAMES.stream, "1-0", "e", encoded("a"), "f", "g")
    assert await log.read(RUN) == LogSlice(None, ())


async def test_a_lost_log_is_news(log: RedisLog, valkey: Valkey) -> None:
    await written(log, "a")
    heard = asyncio.Event()
    log.listen(RUN, heard.set)
    async with asyncio.timeout(PATIENT_SECONDS):
        await heard.wait()
        heard.clear()
        valkey.command("DEL", NAMES.stream)
        valkey.command("XADD", NAMES.stream, "1-0", "e", "junk")
        assert (await log.read(RUN)).epoch is None
        await heard.wait()


async def test_what_cannot_be_written_is_not(log: RedisLog) -> None:
    lease, _ = await written(log, "a")
    with pytest.raises(LogUnavailableError, match="cannot be written"):
        await log.append(RUN, lease, [text("b"), text("\ud800")])
    assert texts(await log.read(RUN)) == ["a"]


async def test_renewing_makes_the_lease_last(valkey: Valkey) -> None:
    async with logging(valkey.url, lease_seconds=50) as short, logging(valkey.url, lease_seconds=600) as long:
        lease = await led(short)
        assert lease.lease_seconds == 50
        assert 0 < valkey.command("PTTL", NAMES.lease) <= 50_000
        assert await long.renew_lease(RUN, lease)
        assert valkey.command("PTTL", NAMES.lease) > 50_000


async def test_all_that_is_kept_goes_by_itself(valkey: Valkey) -> None:
    async with logging(valkey.url, lease_seconds=50, retention_seconds=70) as log:
        lease = await led(log)
        assert 0 < valkey.command("PTTL", NAMES.meta) <= 70_000
        await log.append(RUN, lease, [text("a")])
        await log.request_details(RUN)
        for key in valkey.command("KEYS", "*"):
            assert 0 < valkey.command("PTTL", key) <= 70_000

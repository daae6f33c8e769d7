"""Logs in Redis, for all processes: a stream each, bounded in entries and in age.

What this cannot do: a Redis that loses changes it has confirmed (a restart from an old snapshot, a failover to a
replica that lags) may give numbers out again, so that a reader misses what came second. Run it without persistence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from gateway.run_log.store import event_codec
from gateway.run_log.store.event_log import (
    Draft,
    LeaseLostError,
    LogEntry,
    LogName,
    LogPosition,
    LogSlice,
    LogUnavailableError,
    StopListening,
    WriterLease,
    new_epoch,
)
from gateway.run_log.store.redis_connection import RedisConnection
from gateway.run_log.store.redis_names import names_of
from gateway.run_log.store.redis_notifications import RedisNotifications
from gateway.run_log.store.redis_scripts import APPEND, FORGET, LEAD, READ, RENEW, RESIGN

ENTRIES_AT_ONCE = 256
"""How many entries one command reads, so that none takes long."""

MAX_BEGINNINGS = 5
"""How often one reading begins again because its place was trimmed away meanwhile."""


class RedisLog:
    """The logs of several processes; made inside the running loop, ended by `close`.

    What lies under our keys and is none of ours counts as a log that was lost.
    """

    def __init__(
        self,
        url: str,
        *,
        cluster: bool = False,
        deadline_seconds: float = 0.25,
        lease_seconds: float = 3.0,
        max_entries: int = 10_000,
        retention_seconds: float = 3600.0,
        now_seconds: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._lease_seconds = lease_seconds
        self._lease_ms = max(1, int(lease_seconds * 1000))
        self._retention_ms = max(1, int(retention_seconds * 1000))
        self._max_entries = max_entries
        self._now_seconds = now_seconds
        self._redis = RedisConnection(url, cluster=cluster, deadline_seconds=deadline_seconds)
        self._news = RedisNotifications(self._redis.open_pubsub, sleep=sleep)

    async def connect(self) -> None:
        """Make the first connection; a Redis that is down is left for later."""
        await self._redis.connect()

    async def read(self, name: LogName, after: LogPosition | None = None) -> LogSlice:
        for _ in range(MAX_BEGINNINGS):
            reading = await self._read_all(name, after)
            if reading is not None:
                return reading
        raise LogUnavailableError("the log is trimmed faster than it is read")

    async def append(
        self,
        name: LogName,
        lead: WriterLease,
        drafts: Sequence[Draft],
        *,
        ends: bool = False,
        serial: int | None = None,
    ) -> None:
        if not drafts:
            if ends:
                raise ValueError("expected a change that ends the log")
            return
        at = self._now_seconds()
        try:
            entries = [event_codec.encode(at, *draft) for draft in drafts]
        except event_codec.UnwritableError as error:
            raise LogUnavailableError(f"a change cannot be written: {error}") from error
        names = names_of(name)
        limits = (self._retention_ms, self._max_entries, int(ends), names.channel, serial or 0)
        if not await self._redis.run(APPEND, names.keys, (lead.token, new_epoch(), *limits, *entries)):
            raise LeaseLostError

    async def lead(self, name: LogName, *, preempt: bool = False) -> WriterLease | None:
        arguments = (self._lease_ms, self._retention_ms, int(preempt))
        token = await self._redis.run(LEAD, names_of(name).keys, arguments)
        return None if token is None else WriterLease(int(token), self._lease_seconds)

    async def renew(self, name: LogName, lead: WriterLease) -> bool:
        arguments = (lead.token, self._lease_ms, self._retention_ms)
        return bool(await self._redis.run(RENEW, names_of(name).keys, arguments))

    async def resign(self, name: LogName, lead: WriterLease) -> None:
        names = names_of(name)
        await self._redis.run(RESIGN, names.keys, (lead.token, names.channel))

    async def want(self, name: LogName) -> None:
        await self._redis.command("SET", names_of(name).wish, 1, "PX", self._lease_ms)

    async def is_wanted(self, name: LogName) -> bool:
        return bool(await self._redis.command("EXISTS", names_of(name).wish))

    def listen(self, name: LogName, on_news: Callable[[], None]) -> StopListening:
        return self._news.listen(names_of(name).channel, on_news)

    async def close(self) -> None:
        await self._news.close()
        await self._redis.close()

    async def _read_all(self, name: LogName, after: LogPosition | None) -> LogSlice | None:
        """Read a part at a time; None where the log lost what comes next before it was read."""
        entries: list[LogEntry] = []
        place, is_gap = after, False
        while True:
            some = await self._read_some(name, place)
            if some is None:
                return LogSlice(None, (), is_gap=after is not None)
            if some.is_gap and entries:
                return None
            is_gap = is_gap or (some.is_gap and after is not None)
            entries += some.entries
            if not entries or entries[-1].number >= some.number:
                return LogSlice(some.epoch, tuple(entries), some.has_ended, is_gap)
            place = LogPosition(some.epoch, entries[-1].number)

    async def _read_some(self, name: LogName, after: LogPosition | None) -> _Some | None:
        """Read the next entries; None where the log holds nothing, or nothing that can be read."""
        names = names_of(name)
        place = after or LogPosition("", 0)
        answer = await self._redis.run(READ, names.keys, (*place, ENTRIES_AT_ONCE))
        epoch, number, has_ended, is_gap, found = answer
        if epoch is None:
            return None
        entries = _entries(found, None if is_gap else place.number + 1)
        if entries is None:
            await self._redis.run(FORGET, names.keys, (epoch, names.channel))
            return None
        return _Some(epoch.decode(errors="replace"), number, bool(has_ended), bool(is_gap), entries)


class _Some(NamedTuple):
    """Some entries, and the number of the last that is there."""

    epoch: str
    number: int
    has_ended: bool
    is_gap: bool
    entries: list[LogEntry]


def _entries(found: list[Any], first: int | None) -> list[LogEntry] | None:
    """Decode entries that follow each other; None where one is missing or cannot be read."""
    entries: list[LogEntry] = []
    for item in found:
        number = int(item[0].partition(b"-")[0])
        entry = event_codec.decode(number, item[1][1])
        if entry is None or len(item[1]) != 2 or (first is not None and number != first):
            return None
        entries.append(entry)
        first = number + 1
    return entries

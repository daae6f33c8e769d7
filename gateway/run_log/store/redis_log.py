"""Logs in Redis, shared by all processes: one stream each, bounded in entries and in age.

Limit: a Redis that loses confirmed writes (a restart from an old snapshot, a failover to a lagging replica) may assign
the same entry numbers again, and a reader then misses the second entries. Run it without persistence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, NamedTuple

from gateway.config import DEFAULTS
from gateway.redis.value_codec import UnencodableValueError
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
from gateway.run_log.store.redis_names import redis_names_from_log
from gateway.run_log.store.redis_notifications import RedisNotifications
from gateway.run_log.store.redis_scripts import (
    ACQUIRE_LEASE,
    APPEND_ENTRIES,
    DISCARD_LOG,
    PUBLISH_ENTRIES,
    READ_ENTRIES,
    RELEASE_LEASE,
    RENEW_LEASE,
)

READ_BATCH_ENTRIES = 256
"""Maximum entries for each read command, so that no command is slow."""

MAX_READ_ATTEMPTS = 5
"""How often a read starts again because the log was trimmed meanwhile."""


class RedisLog:
    """The logs of several processes. Create it inside the running loop; `close` ends it.

    Foreign data under one of its keys counts as a lost log.
    """

    def __init__(
        self,
        connection: RedisConnection,
        *,
        lease_seconds: float = DEFAULTS.gateway_run_lease_seconds,
        max_entries: int = DEFAULTS.gateway_run_log_entries,
        retention_seconds: float = DEFAULTS.gateway_run_log_seconds,
        now_seconds: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._lease_seconds = lease_seconds
        self._lease_ms = max(1, int(lease_seconds * 1000))
        self._retention_ms = max(1, int(retention_seconds * 1000))
        self._max_entries = max_entries
        self._now_seconds = now_seconds
        self._connection = connection
        self._notifications = RedisNotifications(self._connection.open_pubsub, sleep=sleep)

    async def connect(self) -> None:
        """Open the first connection. A Redis that is down is tried again later."""
        await self._connection.connect()

    async def read(self, name: LogName, after: LogPosition | None = None) -> LogSlice:
        for _ in range(MAX_READ_ATTEMPTS):
            log_slice = await self._read_all(name, after)
            if log_slice is not None:
                return log_slice
        raise LogUnavailableError("the log is trimmed faster than it is read")

    async def append(
        self,
        name: LogName,
        lease: WriterLease,
        drafts: Sequence[Draft],
        *,
        ends: bool = False,
        serial: int | None = None,
    ) -> None:
        if not drafts:
            if ends:
                raise ValueError("expected a change that ends the log")
            return
        entries = self._encode(drafts)
        names = redis_names_from_log(name)
        limits = (self._retention_ms, self._max_entries, int(ends), names.channel, serial or 0)
        if not await self._connection.run_script(
            APPEND_ENTRIES, names.keys, (lease.token, new_epoch(), *limits, *entries)
        ):
            raise LeaseLostError

    async def publish(self, name: LogName, drafts: Sequence[Draft]) -> None:
        if not drafts:
            return
        names = redis_names_from_log(name)
        arguments: list[str | bytes | int] = [new_epoch(), self._retention_ms, self._max_entries, names.channel]
        await self._connection.run_script(PUBLISH_ENTRIES, names.keys, (*arguments, *self._encode(drafts)))

    async def acquire_lease(self, name: LogName, *, preempt: bool = False) -> WriterLease | None:
        arguments = (self._lease_ms, self._retention_ms, int(preempt))
        token = await self._connection.run_script(ACQUIRE_LEASE, redis_names_from_log(name).keys, arguments)
        return None if token is None else WriterLease(int(token), self._lease_seconds)

    async def discard(self, name: LogName, epoch: str) -> None:
        names = redis_names_from_log(name)
        await self._connection.run_script(DISCARD_LOG, names.keys, (epoch, names.channel))

    async def discard_scope(self, scope: str, names: Collection[LogName]) -> None:  # noqa: ARG002 - it lists no keys
        for name in names:
            await self._connection.execute_command("DEL", *redis_names_from_log(name).keys)

    async def renew_lease(self, name: LogName, lease: WriterLease) -> bool:
        arguments = (lease.token, self._lease_ms, self._retention_ms)
        return bool(await self._connection.run_script(RENEW_LEASE, redis_names_from_log(name).keys, arguments))

    async def release_lease(self, name: LogName, lease: WriterLease) -> None:
        names = redis_names_from_log(name)
        await self._connection.run_script(RELEASE_LEASE, names.keys, (lease.token, names.channel))

    async def request_details(self, name: LogName) -> None:
        await self._connection.execute_command(
            "SET", redis_names_from_log(name).details_request, 1, "PX", self._lease_ms
        )

    async def are_details_requested(self, name: LogName) -> bool:
        return bool(await self._connection.execute_command("EXISTS", redis_names_from_log(name).details_request))

    def listen(self, name: LogName, on_notification: Callable[[], None]) -> StopListening:
        return self._notifications.listen(redis_names_from_log(name).channel, on_notification)

    async def close(self) -> None:
        await self._notifications.close()
        await self._connection.close()

    def _encode(self, drafts: Sequence[Draft]) -> list[bytes]:
        at = self._now_seconds()
        try:
            return [event_codec.encode_entry(at, *draft) for draft in drafts]
        except UnencodableValueError as error:
            raise LogUnavailableError(f"a change cannot be written: {error}") from error

    async def _read_all(self, name: LogName, after: LogPosition | None) -> LogSlice | None:
        """Read batch by batch. Returns None if the log lost the next entries before they were read."""
        entries: list[LogEntry] = []
        position, is_gap = after, False
        while True:
            batch = await self._read_batch(name, position)
            if batch is None:
                return LogSlice(None, (), is_gap=after is not None)
            if batch.is_gap and entries:
                return None
            is_gap = is_gap or (batch.is_gap and after is not None)
            entries += batch.entries
            if not entries or entries[-1].number >= batch.number:
                return LogSlice(batch.epoch, tuple(entries), batch.has_ended, is_gap)
            position = LogPosition(batch.epoch, entries[-1].number)

    async def _read_batch(self, name: LogName, after: LogPosition | None) -> _EntryBatch | None:
        """Read the next entries. Returns None if the log holds no entries, or none that can be decoded."""
        names = redis_names_from_log(name)
        position = after or LogPosition("", 0)
        reply = await self._connection.run_script(READ_ENTRIES, names.keys, (*position, READ_BATCH_ENTRIES))
        epoch, number, has_ended, is_gap, raw_entries = reply
        if epoch is None:
            return None
        entries = _decode_entries(raw_entries, None if is_gap else position.number + 1)
        if entries is None:
            await self.discard(name, epoch)
            return None
        return _EntryBatch(epoch.decode(errors="replace"), number, bool(has_ended), bool(is_gap), entries)


class _EntryBatch(NamedTuple):
    """Some entries, and the number of the log's last entry."""

    epoch: str
    number: int
    has_ended: bool
    is_gap: bool
    entries: list[LogEntry]


def _decode_entries(raw_entries: list[Any], first: int | None) -> list[LogEntry] | None:
    """Decode consecutive entries. Returns None if one is missing or cannot be decoded."""
    entries: list[LogEntry] = []
    for item in raw_entries:
        number = int(item[0].partition(b"-")[0])
        entry = event_codec.decode_entry(number, item[1][1])
        if entry is None or len(item[1]) != 2 or (first is not None and number != first):
            return None
        entries.append(entry)
        first = number + 1
    return entries

"""Versions and values in Redis, shared by all processes.

To change a version, its key is deleted; the next reader that needs it sets another random one (`SET NX`). So an
evicted tag counts as a changed one, and never makes the values stored under it valid again. While a write is in
progress its tags are marked; the mark expires by itself if the writer dies. If Redis does not answer when a version
has to change, the invalidation stays pending: this process does not use values of the tag until Redis has taken it.

The limit: a Redis that loses confirmed changes (a restart from an old snapshot, a failover to a replica that lags) may
bring back values from before a write, until they expire. Run it without persistence.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping

from gateway.background_tasks import end_tasks
from gateway.cache.cache_keys import CacheKey, redis_key
from gateway.cache.entry import WRITE_MARK
from gateway.cache.policy import MAX_LIFETIME_SECONDS
from gateway.cache.redis_link import Command, RedisLink
from gateway.cache.tags import Tag
from gateway.cache.version_store import KnownVersions, StoredValue

WRITE_MARK_MS = 60_000
"""How long tags stay marked after their writer died."""

VERSION_TTL_MS = int(4 * MAX_LIFETIME_SECONDS * 1000)
"""How long a version is stored; one that expires before a value only makes the value a miss."""

RETRY_INTERVAL_SECONDS = 0.25
RETRY_DEADLINE_SECONDS = 2.0
MAX_TAGS_PER_RETRY = 1000

_VERSION = re.compile(rb"[vw][0-9a-f]{16}\Z")


class RedisVersionStore:
    """The store of several processes. Owns one task, which runs while invalidations are pending. Ended by `close`."""

    holds_values = True

    def __init__(self, link: RedisLink, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._link = link
        self._sleep = sleep
        self._pending: dict[tuple[str, Tag], int] = {}  # to the number of the write that invalidated the tag last
        self._write_number = 0
        self._retrying: asyncio.Task[None] | None = None

    @property
    def has_pending_invalidations(self) -> bool:
        """Whether Redis has not yet confirmed every invalidation."""
        return bool(self._pending)

    async def look_up(
        self, scope: str, tags: Collection[Tag], cache_keys: Collection[CacheKey], deadline: float
    ) -> KnownVersions | None:
        """Read versions and values with one MGET; create the versions that are missing in one more round trip."""
        usable_tags = [tag for tag in tags if (scope, tag) not in self._pending]
        found = await self._link.read_keys(scope, {"t": usable_tags, "v": list(cache_keys)}, deadline)
        if found is None:
            return None
        versions = {tag: _parse_version(found["t", tag]) for tag in usable_tags}
        missing = [tag for tag, version in versions.items() if version is None]
        if missing:
            versions |= await self._create_versions(scope, missing, found, deadline)
        values = {cache_key: data for cache_key in cache_keys if (data := found["v", cache_key]) is not None}
        # An invalidation may have become pending meanwhile.
        known = {
            tag: version
            for tag, version in versions.items()
            if version is not None and (scope, tag) not in self._pending
        }
        return KnownVersions(known, values)

    async def _create_versions(
        self, scope: str, tags: list[Tag], found: Mapping[tuple[str, CacheKey], bytes | None], deadline: float
    ) -> dict[Tag, str | None]:
        commands: list[Command] = []
        for tag in tags:
            # A value that is there but is no version is overwritten.
            only_new = ("NX",) if found["t", tag] is None else ()
            key = redis_key(scope, "t", tag)
            commands += [("SET", key, _new_version("v"), "PX", VERSION_TTL_MS, *only_new), ("GET", key)]
        replies = await self._link.send_commands(commands, deadline)
        if replies is None:
            return {}
        return {tag: _parse_version(reply) for tag, reply in zip(tags, replies[1::2], strict=True)}

    async def store_values(self, scope: str, values: Mapping[CacheKey, StoredValue]) -> None:
        """Store values, if Redis takes them in time."""
        commands: list[Command] = [
            ("SET", redis_key(scope, "v", cache_key), value.data, "PX", max(1, int(value.ttl_seconds * 1000)))
            for cache_key, value in values.items()
        ]
        if commands:
            await self._link.send_commands(commands, self._link.new_deadline())

    async def remove_values(self, scope: str, cache_keys: Collection[CacheKey]) -> None:
        """Remove values, if Redis answers in time."""
        commands: list[Command] = [("DEL", redis_key(scope, "v", cache_key)) for cache_key in cache_keys]
        if commands:
            await self._link.send_commands(commands, self._link.new_deadline())

    async def begin_write(self, scope: str, tags: Collection[Tag]) -> None:
        """Mark tags, within half the deadline; the other half is for `end_write`."""
        mark = _new_version(WRITE_MARK)
        commands: list[Command] = [("SET", redis_key(scope, "t", tag), mark, "PX", WRITE_MARK_MS) for tag in tags]
        if commands:
            await self._link.send_commands(commands, self._new_half_deadline())

    async def end_write(self, scope: str, tags: Collection[Tag]) -> None:
        """Delete versions, within half the deadline.

        An invalidation that fails stays pending and is retried; this process acts as if it had succeeded.
        """
        for tag in tags:
            self._write_number += 1
            self._pending[scope, tag] = self._write_number
        try:
            await self._send_invalidations([(scope, tag) for tag in tags], self._new_half_deadline())
        finally:
            if self._pending and (self._retrying is None or self._retrying.done()):
                self._retrying = asyncio.create_task(self._retry_pending())

    async def close(self) -> None:
        """Send the pending invalidations once more, and end."""
        await end_tasks(self._retrying)
        await self._send_invalidations(list(self._pending), self._link.new_deadline())

    async def _retry_pending(self) -> None:
        while self._pending:
            await self._sleep(RETRY_INTERVAL_SECONDS)
            deadline = asyncio.get_running_loop().time() + RETRY_DEADLINE_SECONDS
            await self._send_invalidations(list(self._pending)[:MAX_TAGS_PER_RETRY], deadline)

    async def _send_invalidations(self, scoped_tags: list[tuple[str, Tag]], deadline: float) -> None:
        if not scoped_tags:
            return
        write_numbers = [self._pending[scoped_tag] for scoped_tag in scoped_tags]
        replies = await self._link.send_commands(
            [("DEL", redis_key(scope, "t", tag)) for scope, tag in scoped_tags], deadline, ignore_breaker=True
        )
        if replies is None:
            return
        for scoped_tag, write_number, reply in zip(scoped_tags, write_numbers, replies, strict=True):
            # A later write of the same tag has a pending invalidation of its own.
            if reply is not None and self._pending.get(scoped_tag) == write_number:
                del self._pending[scoped_tag]

    def _new_half_deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._link.deadline_seconds / 2


def _new_version(kind: str) -> str:
    return kind + secrets.token_hex(8)


def _parse_version(data: bytes | None) -> str | None:
    return data.decode() if data is not None and _VERSION.match(data) else None

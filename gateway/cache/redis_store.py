"""Versions and values in Redis, for all processes.

A new version of a tag is made by deleting the key: whoever needs it next sets another random one (`SET NX`), so a
tag that was evicted is as good as a changed one and never revives what was kept under it. While a write is under way
its tags are marked; the mark goes by itself should the writer die. A version that could not be changed because Redis
did not answer is owed: this process does without the tag's values until the debt is paid.

What this cannot do: a Redis that loses changes it has confirmed (a restart from an old snapshot, a failover to a
replica that lags) may bring back values from before a write, until they expire. Run it without persistence.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping

from gateway.cache.cache_keys import CacheKey
from gateway.cache.entry import BEING_WRITTEN
from gateway.cache.policy import MAX_LIFETIME_SECONDS
from gateway.cache.redis_link import Command, RedisLink, redis_key
from gateway.cache.tags import Tag
from gateway.cache.version_store import KnownVersions, StoredValue

MARK_MS = 60_000
"""How long tags stay marked when the writer died."""

TAG_MS = int(4 * MAX_LIFETIME_SECONDS * 1000)
"""How long a version is remembered; one that goes earlier than a value only makes the value a miss."""

RETRY_SECONDS = 0.25
SETTLING_DEADLINE_SECONDS = 2.0
MAX_KEYS_AT_ONCE = 1000

_VERSION = re.compile(rb"[vw][0-9a-f]{16}\Z")


class RedisVersionStore:
    """The store of several processes; owns one task, which lives while a debt does. Ended by `close`."""

    holds_values = True

    def __init__(self, link: RedisLink, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._link = link
        self._sleep = sleep
        self._owed: dict[tuple[str, Tag], int] = {}
        self._serial = 0
        self._settling: asyncio.Task[None] | None = None

    @property
    def owes(self) -> bool:
        """Whether a change could not be told yet."""
        return bool(self._owed)

    async def look_up(
        self, scope: str, tags: Collection[Tag], places: Collection[CacheKey], until: float
    ) -> KnownVersions | None:
        """Read versions and values with one MGET; make the versions that are missing in one more round trip."""
        asked = [tag for tag in tags if (scope, tag) not in self._owed]
        read = await self._link.read(scope, {"t": asked, "v": list(places)}, until)
        if read is None:
            return None
        versions = {tag: _version(read["t", tag]) for tag in asked}
        missing = [tag for tag, version in versions.items() if version is None]
        if missing:
            versions |= await self._make(scope, missing, read, until)
        values = {place: data for place in places if (data := read["v", place]) is not None}
        # A debt may have come up meanwhile.
        known = {tag: one for tag, one in versions.items() if one is not None and (scope, tag) not in self._owed}
        return KnownVersions(known, values)

    async def _make(
        self, scope: str, tags: list[Tag], read: Mapping[tuple[str, CacheKey], bytes | None], until: float
    ) -> dict[Tag, str | None]:
        commands: list[Command] = []
        for tag in tags:
            # What is there and is no version is overwritten.
            only_new = ("NX",) if read["t", tag] is None else ()
            key = redis_key(scope, "t", tag)
            commands += [("SET", key, _new_version("v"), "PX", TAG_MS, *only_new), ("GET", key)]
        answers = await self._link.send(commands, until)
        if answers is None:
            return {}
        return {tag: _version(answer) for tag, answer in zip(tags, answers[1::2], strict=True)}

    async def keep(self, scope: str, values: Mapping[CacheKey, StoredValue]) -> None:
        """Keep values, if Redis takes them in time."""
        commands: list[Command] = [
            ("SET", redis_key(scope, "v", place), value.data, "PX", max(1, int(value.ttl_seconds * 1000)))
            for place, value in values.items()
        ]
        if commands:
            await self._link.send(commands, self._link.deadline())

    async def begin_write(self, scope: str, tags: Collection[Tag]) -> None:
        """Mark tags, within half the deadline; the other half is for the end."""
        mark = _new_version(BEING_WRITTEN)
        commands: list[Command] = [("SET", redis_key(scope, "t", tag), mark, "PX", MARK_MS) for tag in tags]
        if commands:
            await self._link.send(commands, self._half_deadline())

    async def end_write(self, scope: str, tags: Collection[Tag]) -> None:
        """Delete versions, within half the deadline; what fails is owed, and this process acts as if it were done."""
        for tag in tags:
            self._serial += 1
            self._owed[scope, tag] = self._serial
        try:
            await self._pay([(scope, tag) for tag in tags], self._half_deadline())
        finally:
            if self._owed and (self._settling is None or self._settling.done()):
                self._settling = asyncio.create_task(self._settle())

    async def close(self) -> None:
        """Pay what is owed if Redis answers now, and end."""
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.wait([self._settling])
        await self._pay(list(self._owed), self._link.deadline())

    async def _settle(self) -> None:
        while self._owed:
            await self._sleep(RETRY_SECONDS)
            until = asyncio.get_running_loop().time() + SETTLING_DEADLINE_SECONDS
            await self._pay(list(self._owed)[:MAX_KEYS_AT_ONCE], until)

    async def _pay(self, debts: list[tuple[str, Tag]], until: float) -> None:
        if not debts:
            return
        serials = [self._owed[debt] for debt in debts]
        answers = await self._link.send(
            [("DEL", redis_key(scope, "t", tag)) for scope, tag in debts], until, insist=True
        )
        if answers is None:
            return
        for debt, serial, answer in zip(debts, serials, answers, strict=True):
            # A later write of the same tag has its own debt.
            if answer is not None and self._owed.get(debt) == serial:
                del self._owed[debt]

    def _half_deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._link.deadline_seconds / 2


def _new_version(kind: str) -> str:
    return kind + secrets.token_hex(8)


def _version(data: bytes | None) -> str | None:
    return data.decode() if data is not None and _VERSION.match(data) else None

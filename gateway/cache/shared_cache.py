"""What all operations of one process share: the tiers, the store, the reads under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from gateway.cache.ended_runs import EndedRuns
from gateway.cache.leases import Leases
from gateway.cache.memory_tier import MemoryTier
from gateway.cache.page_index import PageIndex
from gateway.cache.redis_link import RedisLink
from gateway.cache.redis_store import RedisVersionStore
from gateway.cache.response_tier import ResponseTier
from gateway.cache.single_flight import SingleFlight
from gateway.cache.version_store import LocalVersionStore, VersionStore

_WEIGHT_OF_THE_LATEST = 0.2

_REPEATS_SHARE = 8
"""One part in so many of the memory is for whole answers."""


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """How much is kept and where.

    Without a `redis_url` the gateway is taken for the only process. `redis_deadline_seconds` bounds what a request
    waits for Redis. Switched off (`enabled`), reads all go to the upstream, but writes still tell other processes.
    `first_guess_seconds` is how long an upstream call is thought to take before the first was measured.
    """

    enabled: bool = True
    memory_bytes: int = 64 << 20
    memory_entries: int = 50_000
    redis_url: str | None = None
    redis_cluster: bool = False
    redis_deadline_seconds: float = 0.05
    first_guess_seconds: float = 0.25


class SharedCache:
    """Built once for each process, inside the running loop; `async with` closes what it holds.

    `now_seconds` gives Unix time; it and `sleep` are arguments for the sake of tests.
    """

    def __init__(
        self,
        options: CacheOptions | None = None,
        *,
        now_seconds: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.options = options = options or CacheOptions()
        self.now_seconds = now_seconds
        for_repeats = options.memory_bytes // _REPEATS_SHARE
        self.memory = MemoryTier(
            max_bytes=options.memory_bytes - for_repeats, max_entries=options.memory_entries, now_seconds=now_seconds
        )
        self.repeats = ResponseTier(for_repeats)
        self.pages = PageIndex(options.memory_entries)
        self.flights: SingleFlight[Any] = SingleFlight()
        self.ended_runs = EndedRuns()
        self.call_seconds = options.first_guess_seconds
        self.store: VersionStore
        self.leases: Leases | None = None
        self._link: RedisLink | None = None
        self._redis_store: RedisVersionStore | None = None
        if options.redis_url is None:
            self.store = LocalVersionStore()
        else:
            self._link = RedisLink(
                options.redis_url, cluster=options.redis_cluster, deadline_seconds=options.redis_deadline_seconds
            )
            self.store = self._redis_store = RedisVersionStore(self._link, sleep=sleep)
            self.leases = Leases(self._link, sleep=sleep)

    async def __aenter__(self) -> Self:
        if self._link is not None:
            await self._link.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def deadline(self) -> float:
        """Tell until when a read that begins now waits for Redis, in the loop's time."""
        return asyncio.get_running_loop().time() + self.options.redis_deadline_seconds

    def note_call(self, seconds: float) -> None:
        """Learn how long asking the upstream takes."""
        self.call_seconds += _WEIGHT_OF_THE_LATEST * (seconds - self.call_seconds)

    async def settled(self) -> None:
        """Wait until all that was read is kept."""
        await self.flights.settled()

    async def close(self) -> None:
        """End the reads under way, tell Redis what is owed, close its connections."""
        await self.flights.close()
        if self._redis_store is not None:
            await self._redis_store.close()
        if self._link is not None:
            await self._link.close()

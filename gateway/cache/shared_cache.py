"""The parts of the cache that all operations of one process share: the stores, the responses, the reads in flight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from gateway.background_tasks import BackgroundTasks
from gateway.cache.entry_store import EntryStore
from gateway.cache.redis_link import RedisLink
from gateway.cache.redis_store import RedisVersionStore
from gateway.cache.response_cache import ResponseCache
from gateway.cache.single_flight import SingleFlight
from gateway.cache.version_store import LocalVersionStore, VersionStore
from gateway.config import DEFAULTS
from gateway.telemetry.metrics import GatewayMetrics

_RESPONSE_MEMORY_DIVISOR = 4
"""The response cache gets one part in so many of the memory. What it holds needs no call and no execution."""


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """The size of the cache, and its Redis.

    Without a `redis_url` the gateway counts as the only process. `redis_deadline_seconds` bounds how long a request
    waits for Redis. With `enabled` false, all reads go to the upstream, but writes still invalidate the values of other
    processes.
    """

    enabled: bool = DEFAULTS.gateway_cache
    memory_bytes: int = DEFAULTS.gateway_cache_bytes
    redis_url: str | None = None
    redis_cluster: bool = DEFAULTS.redis_cluster
    redis_deadline_seconds: float = DEFAULTS.redis_deadline_seconds


class SharedCache:
    """The shared cache of one process; created inside the running loop, closed by `async with`.

    `is_refused` tells whether the upstream refuses a principal now: then no stored entry answers its reads, fresh or
    stale. `now_seconds` returns Unix time; it and `sleep` are arguments so that tests can replace them. Without
    `metrics`, nothing is measured.
    """

    def __init__(
        self,
        options: CacheOptions | None = None,
        *,
        is_refused: Callable[[str], bool] = lambda _: False,
        now_seconds: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        metrics: GatewayMetrics | None = None,
    ) -> None:
        self.options = options = options or CacheOptions()
        self.is_refused = is_refused
        self.metrics = metrics
        self.now_seconds = now_seconds
        response_bytes = options.memory_bytes // _RESPONSE_MEMORY_DIVISOR
        self.memory = EntryStore(options.memory_bytes - response_bytes, now_seconds)
        self.single_flight = SingleFlight()
        self._removals = BackgroundTasks()
        self.store: VersionStore
        self._link: RedisLink | None = None
        self._redis_store: RedisVersionStore | None = None
        if options.redis_url is None:
            self.store = LocalVersionStore()
        else:
            self._link = RedisLink(
                options.redis_url,
                cluster=options.redis_cluster,
                deadline_seconds=options.redis_deadline_seconds,
                metrics=metrics,
            )
            self.store = self._redis_store = RedisVersionStore(self._link, sleep=sleep)
        self.responses = ResponseCache(response_bytes, self.memory, self.store, now_seconds=now_seconds)

    async def __aenter__(self) -> Self:
        if self._link is not None:
            await self._link.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def redis_deadline(self) -> float:
        """Return the time, in the loop's time, until which a read that begins now waits for Redis."""
        return asyncio.get_running_loop().time() + self.options.redis_deadline_seconds

    def remove_caller(self, caller: str) -> None:
        """Remove the entries and responses of a caller from memory, and their values from Redis soon."""
        self.responses.remove_caller(caller)
        cache_keys = self.memory.remove_scope(caller)
        if cache_keys and self.store.holds_values:
            self._removals.start(self.store.remove_values(caller, cache_keys))

    async def wait_until_idle(self) -> None:
        """Wait until no read is in flight, every result is stored, and every removal is done."""
        await self.single_flight.wait_until_idle()
        await self._removals.wait()

    async def close(self) -> None:
        """Cancel the reads in flight, send pending invalidations to Redis, close its connections."""
        await self.single_flight.close()
        await self._removals.wait()
        if self._redis_store is not None:
            await self._redis_store.close()
        if self._link is not None:
            await self._link.close()

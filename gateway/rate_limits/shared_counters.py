"""The counters that count now: those in Redis, or those of this process while Redis does not answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, TypeVar

from gateway.config import DEFAULTS
from gateway.rate_limits.limit_counters import LimitCounters
from gateway.rate_limits.limit_kinds import RateLimitOptions
from gateway.rate_limits.memory_windows import MemoryWindows
from gateway.rate_limits.redis_windows import RedisWindows
from gateway.redis.circuit_breaker import CircuitBreaker
from gateway.redis.client import CONNECT_SECONDS, RedisClient
from gateway.redis.deadline import busy_aware_timeout

OPEN_SECONDS = 1.0
"""How long this process counts for itself after Redis did not answer, before it tries again."""

ResultT = TypeVar("ResultT")
CounterAction: TypeAlias = Callable[[LimitCounters], Awaitable[ResultT]]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """The Redis of the counters, and how long an operation waits for it. The URL may hold a password."""

    url: str = field(repr=False)
    is_cluster: bool = False
    deadline_seconds: float = DEFAULTS.redis_deadline_seconds


class _RedisCounters(NamedTuple):
    client: RedisClient
    counters: LimitCounters
    breaker: CircuitBreaker
    deadline_seconds: float


class SharedCounters:
    """The counters in memory, and those in Redis if there is one. Redis being down or slow is never an error.

    Create it inside the running loop. `clock` never goes back.
    """

    def __init__(
        self,
        options: RateLimitOptions,
        redis: RedisOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._local = LimitCounters(MemoryWindows(clock), options)
        self._redis: _RedisCounters | None = None
        if redis is not None:
            client = RedisClient(redis.url, cluster=redis.is_cluster)
            breaker = CircuitBreaker(asyncio.get_running_loop().time, open_seconds=OPEN_SECONDS)
            shared = LimitCounters(RedisWindows(client), options)
            self._redis = _RedisCounters(client, shared, breaker, redis.deadline_seconds)

    async def connect(self) -> None:
        """Open the first connection, with more time than an operation has."""
        if self._redis is not None:
            await self._try_redis(self._redis, _ping(self._redis.client), CONNECT_SECONDS)

    async def use(self, action: CounterAction[ResultT]) -> tuple[ResultT, LimitCounters]:
        """Do something with the counters that count now. Returns its result, and those counters."""
        redis = self._redis
        if redis is not None and (done := await self._try_redis(redis, action, redis.deadline_seconds)):
            return done[0], redis.counters
        return await action(self._local), self._local

    async def use_same(self, counters: LimitCounters, action: CounterAction[None]) -> None:
        """Do something with the counters that counted before. Nothing is done if they do not answer now."""
        if self._redis is not None and counters is self._redis.counters:
            await self._try_redis(self._redis, action, self._redis.deadline_seconds)
        else:
            await action(counters)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        if self._redis is not None:
            await self._redis.client.close()

    async def _try_redis(
        self, redis: _RedisCounters, action: CounterAction[ResultT], seconds: float
    ) -> tuple[ResultT] | None:
        """Do something with the counters in Redis. Returns its result in a tuple, or None if Redis did not answer."""
        breaker = redis.breaker
        if not breaker.allow_request():
            return None
        try:
            async with busy_aware_timeout(seconds):
                await redis.client.ready()
                result = await action(redis.counters)
        except Exception as error:
            if breaker.is_closed:
                _logger.warning(
                    "redis does not answer, each process limits its callers for itself: %s", type(error).__name__
                )
            breaker.record_failure()
            return None
        except BaseException:
            breaker.record_abandoned()
            raise
        if not breaker.is_closed:
            _logger.warning("redis answers again, processes limit their callers together")
        breaker.record_success()
        return (result,)


def _ping(client: RedisClient) -> CounterAction[None]:
    async def ping(_: LimitCounters) -> None:
        await client.commands.ping()

    return ping

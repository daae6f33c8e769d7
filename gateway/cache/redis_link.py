"""Commands to Redis or Valkey, alone or as a cluster: with a deadline, behind a circuit breaker, never raising."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from gateway.cache.cache_keys import CacheKey, redis_key
from gateway.redis.circuit_breaker import CircuitBreaker
from gateway.redis.client import CONNECT_SECONDS, RedisClient
from gateway.redis.deadline import busy_aware_timeout
from gateway.telemetry.metrics import GatewayMetrics

Command: TypeAlias = tuple[str | bytes | int, ...]

OPEN_SECONDS = 1.0
"""How long the circuit breaker stays open after Redis did not answer."""

STORE_NAME = "redis_cache"
"""The name of this Redis in metrics."""

_logger = logging.getLogger(__name__)


class RedisLink:
    """One client for all principals; created inside the running loop, ended by `close`.

    An error of a single command (out of memory, not allowed) is None in that command's place. If Redis does not
    answer in time, `send_commands` returns None, and then returns None at once while the circuit breaker is open.
    """

    def __init__(
        self, url: str, *, cluster: bool, deadline_seconds: float, metrics: GatewayMetrics | None = None
    ) -> None:
        self.deadline_seconds = deadline_seconds
        self.breaker = CircuitBreaker(asyncio.get_running_loop().time, open_seconds=OPEN_SECONDS)
        self._client = RedisClient(url, cluster=cluster)
        self._metrics = metrics
        self._closed = False

    def new_deadline(self) -> float:
        """Return the time, in the loop's time, until which a caller that begins now waits."""
        return asyncio.get_running_loop().time() + self.deadline_seconds

    async def connect(self) -> None:
        """Open the first connection, with more time than a request has; a Redis that is down is tried again later."""
        deadline = asyncio.get_running_loop().time() + CONNECT_SECONDS
        await self.send_commands([("GET", "tg:hello")], deadline)

    async def send_commands(
        self, commands: Sequence[Command], deadline: float, *, ignore_breaker: bool = False
    ) -> list[Any] | None:
        """Send commands in one round trip (on a cluster, one for each node).

        `ignore_breaker` sends them even while the circuit breaker is open.

        Returns:
            One reply for each command, in order, None for a command that failed; or None if Redis did not answer.
        """
        now = asyncio.get_running_loop().time
        if self._closed or deadline <= now() or not (self.breaker.allow_request() or ignore_breaker):
            return None
        started = 0.0 if self._metrics is None else self._metrics.clock()
        has_answered = False
        try:
            async with busy_aware_timeout(deadline - now()):
                await self._client.ready()
                pipeline = self._client.commands.pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)
                replies = await pipeline.execute(raise_on_error=False)
            has_answered = True
        except Exception as error:
            self._record_failure(error)
            return None
        except BaseException:
            self.breaker.record_abandoned()
            has_answered = True  # nobody waited for the answer
            raise
        finally:
            if self._metrics is not None:
                self._metrics.record_store(STORE_NAME, started, has_answered=has_answered)
        if replies and all(isinstance(reply, Exception) for reply in replies):
            self._record_failure(replies[0])
            return None
        if not self.breaker.is_closed:
            _logger.warning("redis answers again")
        self.breaker.record_success()
        return [None if isinstance(reply, Exception) else reply for reply in replies]

    async def read_keys(
        self, scope: str, cache_keys_by_kind: Mapping[str, Sequence[CacheKey]], deadline: float
    ) -> dict[tuple[str, CacheKey], bytes | None] | None:
        """Read keys of several kinds with one MGET (on a cluster, one for each group).

        Returns:
            The value, or None, by kind and cache key; or None if Redis did not answer.
        """
        batches: dict[str, list[tuple[str, CacheKey]]] = {}
        for kind, cache_keys in cache_keys_by_kind.items():
            for cache_key in cache_keys:
                batches.setdefault(cache_key.group if self._client.is_cluster else "", []).append((kind, cache_key))
        if not batches:
            return {}
        replies = await self.send_commands(
            [("MGET", *(redis_key(scope, kind, cache_key) for kind, cache_key in batch)) for batch in batches.values()],
            deadline,
        )
        if replies is None:
            return None
        values: dict[tuple[str, CacheKey], bytes | None] = {}
        for batch, reply in zip(batches.values(), replies, strict=True):
            values.update(zip(batch, reply or [None] * len(batch), strict=True))
        return values

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        await self._client.close()

    def _record_failure(self, error: Exception) -> None:
        if self.breaker.is_closed:
            _logger.warning("redis does not answer, the cache does without it: %s", type(error).__name__)
        self.breaker.record_failure()

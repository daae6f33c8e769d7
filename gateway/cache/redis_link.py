"""Commands to Redis or Valkey, alone or as a cluster: within a deadline, behind a breaker, never an exception."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from gateway.cache.cache_keys import CacheKey, redis_prefix
from gateway.redis.circuit_breaker import CircuitBreaker
from gateway.redis.client import CONNECT_SECONDS, RedisClient

Command: TypeAlias = tuple[str | bytes | int, ...]

OPEN_SECONDS = 1.0
"""How long nobody asks a Redis that did not answer."""

_logger = logging.getLogger(__name__)


class RedisLink:
    """One client for all principals; made inside the running loop, ended by `close`.

    A command's own error (out of memory, not allowed) is None in its place; when Redis does not answer in time,
    `send` gives None, and for a while it gives None at once.
    """

    def __init__(self, url: str, *, cluster: bool, deadline_seconds: float) -> None:
        self.deadline_seconds = deadline_seconds
        self.breaker = CircuitBreaker(asyncio.get_running_loop().time, open_seconds=OPEN_SECONDS)
        self._client = RedisClient(url, cluster=cluster)
        self._closed = False

    def deadline(self) -> float:
        """Tell until when a caller that begins now waits, in the loop's time."""
        return asyncio.get_running_loop().time() + self.deadline_seconds

    async def connect(self) -> None:
        """Make the first connection, with more time than a request has; a Redis that is down is left for later."""
        until = asyncio.get_running_loop().time() + CONNECT_SECONDS
        await self.send([("GET", "tg:hello")], until)

    async def send(self, commands: Sequence[Command], until: float, *, insist: bool = False) -> list[Any] | None:
        """Send commands in one round trip (on a cluster one for each node), and give their answers in order.

        `insist` tries even while the breaker is open.
        """
        now = asyncio.get_running_loop().time
        if self._closed or until <= now() or not (self.breaker.admits() or insist):
            return None
        try:
            async with asyncio.timeout_at(until):
                await self._client.ready()
                pipeline = self._client.commands.pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)
                answers = await pipeline.execute(raise_on_error=False)
        except Exception as error:
            # A loop that was busy itself for this long says nothing about Redis.
            if isinstance(error, TimeoutError) and now() - until > self.deadline_seconds / 2:
                self.breaker.gave_up()
            else:
                self._failed(error)
            return None
        except BaseException:
            self.breaker.gave_up()
            raise
        if answers and all(isinstance(answer, Exception) for answer in answers):
            self._failed(answers[0])
            return None
        if not self.breaker.is_closed:
            _logger.warning("redis answers again")
        self.breaker.succeeded()
        return [None if isinstance(answer, Exception) else answer for answer in answers]

    async def read(
        self, scope: str, wanted: Mapping[str, Sequence[CacheKey]], until: float
    ) -> dict[tuple[str, CacheKey], bytes | None] | None:
        """Read keys of several kinds (`wanted`: kind to places), with one MGET (on a cluster one for each group)."""
        slots: dict[str, list[tuple[str, CacheKey]]] = {}
        for kind, places in wanted.items():
            for place in places:
                slots.setdefault(place.group if self._client.is_cluster else "", []).append((kind, place))
        asked = list(slots.values())
        if not asked:
            return {}
        answers = await self.send(
            [("MGET", *(redis_key(scope, kind, place) for kind, place in keys)) for keys in asked], until
        )
        if answers is None:
            return None
        read: dict[tuple[str, CacheKey], bytes | None] = {}
        for keys, answer in zip(asked, answers, strict=True):
            read.update(zip(keys, answer or [None] * len(keys), strict=True))
        return read

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        await self._client.close()

    def _failed(self, error: Exception) -> None:
        if self.breaker.is_closed:
            _logger.warning("redis does not answer, the cache does without it: %s", type(error).__name__)
        self.breaker.failed()


def redis_key(scope: str, kind: str, place: CacheKey) -> str:
    """Name the Redis key of something of one principal; `kind` is one letter."""
    return f"{redis_prefix(scope, place.group)}{kind}:{place.name}"

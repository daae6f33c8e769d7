"""Commands to Redis or Valkey, single or cluster, each within a deadline. Every failure is a `LogUnavailableError`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio.client import PubSub
from redis.exceptions import NoScriptError

from gateway.config import DEFAULTS
from gateway.redis.client import CONNECT_SECONDS, RedisClient
from gateway.redis.deadline import busy_aware_timeout
from gateway.run_log.store.event_log import LogUnavailableError
from gateway.run_log.store.redis_scripts import RedisScript
from gateway.telemetry.metrics import GatewayMetrics

DEADLINE_SECONDS = 0.25
"""How long a command may take."""

STORE_NAME = "redis_run_log"
"""The name of this Redis in metrics."""


class RedisConnection:
    """One client for all logs. Create it inside the running loop; `close` ends it.

    No command is retried: a script whose reply was lost may have run.
    """

    def __init__(
        self,
        url: str,
        *,
        cluster: bool = DEFAULTS.redis_cluster,
        deadline_seconds: float = DEADLINE_SECONDS,
        metrics: GatewayMetrics | None = None,
    ) -> None:
        self._deadline_seconds = deadline_seconds
        self._client = RedisClient(url, cluster=cluster)
        self._metrics = metrics
        self._is_closed = False

    async def connect(self) -> None:
        """Open the first connection, with more time than a command has. A Redis that is down is tried again later."""
        with contextlib.suppress(LogUnavailableError):
            await self.execute_command("EXISTS", "te:hello", deadline_seconds=CONNECT_SECONDS)

    async def run_script(
        self, script: RedisScript, keys: Sequence[str], arguments: Sequence[str | bytes | int | float]
    ) -> Any:
        """Run a script and return its reply. Raises `LogUnavailableError`."""
        rest = (len(keys), *keys, *arguments)
        async with self._within_deadline(self._deadline_seconds):
            try:
                return await self._client.commands.execute_command("EVALSHA", script.sha, *rest)
            except NoScriptError:
                return await self._client.commands.execute_command("EVAL", script.text, *rest)

    async def execute_command(self, *words: str | bytes | int, deadline_seconds: float | None = None) -> Any:
        """Send a command and return its reply. Raises `LogUnavailableError`."""
        async with self._within_deadline(deadline_seconds or self._deadline_seconds):
            return await self._client.commands.execute_command(*words)

    async def open_pubsub(self) -> PubSub:
        """Create a pub/sub client. On a cluster, each node receives the messages that any node publishes."""
        async with self._within_deadline(CONNECT_SECONDS):
            client = self._client.commands
            if self._client.is_cluster:
                return client.pubsub(node=client.get_random_node())  # type: ignore[no-any-return]
            return client.pubsub()  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Close every connection."""
        self._is_closed = True
        await self._client.close()

    @asynccontextmanager
    async def _within_deadline(self, deadline_seconds: float) -> AsyncIterator[None]:
        if self._is_closed:
            raise LogUnavailableError("the log was closed")
        started = 0.0 if self._metrics is None else self._metrics.clock()
        has_answered = True
        try:
            async with busy_aware_timeout(deadline_seconds):
                await self._client.ready()
                yield
        except Exception as error:
            has_answered = False
            raise LogUnavailableError(f"{type(error).__name__}: {error}") from error
        finally:
            if self._metrics is not None:
                self._metrics.record_store(STORE_NAME, started, has_answered=has_answered)

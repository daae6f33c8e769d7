"""Commands to Redis or Valkey, alone or as a cluster, each within a deadline; what goes wrong has one name."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from gateway.events.log.port import LogUnavailableError
from gateway.events.log.redis_scripts import Script

CONNECT_SECONDS = 2.0
"""How long the start waits for Redis, and how long finding the nodes of a cluster may take."""

MAX_CONNECTIONS = 64


class RedisConnection:
    """One client for all logs; made inside the running loop, ended by `close`.

    Nothing is tried twice: a script whose answer was lost may have run.
    """

    def __init__(self, url: str, *, cluster: bool, deadline_seconds: float) -> None:
        self._deadline_seconds = deadline_seconds
        self._client: Any = _cluster(url) if cluster else _single(url)
        self._is_cluster = cluster
        self._finding_nodes: asyncio.Task[Any] | None = None
        self._closed = False

    async def connect(self) -> None:
        """Make the first connection, with more time than a command has; a Redis that is down is left for later."""
        with contextlib.suppress(LogUnavailableError):
            await self.command("EXISTS", "te:hello", deadline_seconds=CONNECT_SECONDS)

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes | int | float]) -> Any:
        """Run a script and give its answer; raises `LogUnavailableError`."""
        rest = (len(keys), *keys, *arguments)
        async with self._trying(self._deadline_seconds):
            try:
                return await self._client.execute_command("EVALSHA", script.sha, *rest)
            except NoScriptError:
                return await self._client.execute_command("EVAL", script.text, *rest)

    async def command(self, *words: str | bytes | int, deadline_seconds: float | None = None) -> Any:
        """Send a command and give its answer; raises `LogUnavailableError`."""
        async with self._trying(deadline_seconds or self._deadline_seconds):
            return await self._client.execute_command(*words)

    async def open_pubsub(self) -> PubSub:
        """Make what subscribes to channels; on a cluster every node hears what is published on any."""
        async with self._trying(CONNECT_SECONDS):
            if self._is_cluster:
                return self._client.pubsub(node=self._client.get_random_node())  # type: ignore[no-any-return]
            return self._client.pubsub()  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        if self._finding_nodes is not None:
            self._finding_nodes.cancel()
            await asyncio.wait([self._finding_nodes])
        with contextlib.suppress(Exception):
            await self._client.aclose()

    @asynccontextmanager
    async def _trying(self, deadline_seconds: float) -> AsyncIterator[None]:
        if self._closed:
            raise LogUnavailableError("the log was closed")
        try:
            async with within(deadline_seconds):
                if self._is_cluster:
                    await self._nodes_found()
                yield
        except Exception as error:
            raise LogUnavailableError(f"{type(error).__name__}: {error}") from error

    async def _nodes_found(self) -> None:
        # Finding them takes longer than a command may, so it outlives the command that waits for it.
        finding = self._finding_nodes
        if finding is None or (finding.done() and (finding.cancelled() or finding.exception() is not None)):
            finding = self._finding_nodes = asyncio.create_task(self._find_nodes())
            finding.add_done_callback(_take_note)
        await asyncio.wait([finding])
        if finding.cancelled():
            raise ConnectionError("closed before the nodes were found")
        finding.result()

    async def _find_nodes(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._client.initialize()


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError where the body takes longer.

    A loop that was busy itself for half that time says nothing about what is waited for: then it waits once more.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    timers: list[asyncio.TimerHandle] = []
    async with asyncio.timeout(None) as scope:

        def give_up() -> None:
            if len(timers) == 1 and loop.time() - until > seconds / 2:
                timers.append(loop.call_later(seconds, give_up))
            else:
                scope.reschedule(loop.time())

        timers.append(loop.call_at(until, give_up))
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()


def _take_note(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _single(url: str) -> Redis:
    # The deadline of each command is ours; a pool that is full makes callers wait, within the same deadline.
    pool = BlockingConnectionPool.from_url(
        url, max_connections=MAX_CONNECTIONS, timeout=None, socket_timeout=None, retry=Retry(NoBackoff(), 0)
    )
    return Redis.from_pool(pool)


def _cluster(url: str) -> RedisCluster:
    return RedisCluster.from_url(url, max_connections=MAX_CONNECTIONS, socket_timeout=None, retry=Retry(NoBackoff(), 0))

"""Connections to Redis or Valkey, alone or as a cluster, for whoever brings deadlines of their own."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECT_SECONDS = 2.0
"""How long the start waits for Redis, and how long finding the nodes of a cluster may take."""

MAX_CONNECTIONS = 64


class RedisClient:
    """A pool of connections; made inside the running loop, ended by `close`.

    Nothing is tried twice and nothing has a deadline here: a pool that is full makes callers wait, within their own.
    `commands` is redis-py's client, to be used behind `ready`.
    """

    def __init__(self, url: str, *, cluster: bool) -> None:
        self.is_cluster = cluster
        self.commands: Any = _cluster(url) if cluster else _single(url)
        self._finding_nodes: asyncio.Task[Any] | None = None

    async def ready(self) -> None:
        """Wait until the nodes of a cluster are known; raises what kept them from being found."""
        if not self.is_cluster:
            return
        # Finding them takes longer than a caller may wait, so it outlives the caller.
        finding = self._finding_nodes
        if finding is None or (finding.done() and (finding.cancelled() or finding.exception() is not None)):
            finding = self._finding_nodes = asyncio.create_task(self._find_nodes())
            finding.add_done_callback(_take_note)
        await asyncio.wait([finding])
        if finding.cancelled():
            raise ConnectionError("closed before the nodes were found")
        finding.result()

    async def close(self) -> None:
        """Close every connection."""
        if self._finding_nodes is not None:
            self._finding_nodes.cancel()
            await asyncio.wait([self._finding_nodes])
        with contextlib.suppress(Exception):
            await self.commands.aclose()

    async def _find_nodes(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            await self.commands.initialize()


def _take_note(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _single(url: str) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url, max_connections=MAX_CONNECTIONS, timeout=None, socket_timeout=None, retry=Retry(NoBackoff(), 0)
    )
    return Redis.from_pool(pool)


def _cluster(url: str) -> RedisCluster:
    return RedisCluster.from_url(url, max_connections=MAX_CONNECTIONS, socket_timeout=None, retry=Retry(NoBackoff(), 0))

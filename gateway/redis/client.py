"""Connections to Redis or Valkey, to one server or to a cluster; callers set their own deadlines."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.background_tasks import end_tasks

CONNECT_SECONDS = 2.0
"""How long the program's start waits for Redis, and how long discovering the nodes of a cluster may take."""

MAX_CONNECTIONS = 64


class RedisClient:
    """A pool of connections; created inside the running loop, ended by `close`.

    It has no retries and no deadlines of its own. While the pool is full, callers wait, within their own deadlines.
    `commands` is redis-py's client; await `ready` before each use.
    """

    def __init__(self, url: str, *, cluster: bool) -> None:
        self.is_cluster = cluster
        self.commands: Any = _open_cluster(url) if cluster else _open_pool(url)
        self._discovery: asyncio.Task[Any] | None = None

    async def ready(self) -> None:
        """Wait until the nodes of a cluster are known.

        Raises:
            Exception: the error that made the discovery of the nodes fail.
        """
        if not self.is_cluster:
            return
        # The discovery takes longer than a caller may wait, so it runs on without the caller.
        discovery = self._discovery
        if discovery is None or (discovery.done() and (discovery.cancelled() or discovery.exception() is not None)):
            discovery = self._discovery = asyncio.create_task(self._discover_nodes())
            discovery.add_done_callback(_retrieve_exception)
        await asyncio.wait([discovery])
        if discovery.cancelled():
            raise ConnectionError("closed before the nodes were found")
        discovery.result()

    async def close(self) -> None:
        """Close every connection."""
        await end_tasks(self._discovery)
        with contextlib.suppress(Exception):
            await self.commands.aclose()

    async def _discover_nodes(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            await self.commands.initialize()


def _retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Mark a task's exception as retrieved, so that asyncio does not log it when every caller has left."""
    if not task.cancelled():
        task.exception()


def _open_pool(url: str) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url, max_connections=MAX_CONNECTIONS, timeout=None, socket_timeout=None, retry=Retry(NoBackoff(), 0)
    )
    return Redis.from_pool(pool)


def _open_cluster(url: str) -> RedisCluster:
    return RedisCluster.from_url(url, max_connections=MAX_CONNECTIONS, socket_timeout=None, retry=Retry(NoBackoff(), 0))

"""News of logs from all processes: one subscription connection to Redis, kept up as long as it is needed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from redis.asyncio.client import PubSub

from gateway.redis.client import CONNECT_SECONDS
from gateway.run_log.store.event_log import StopListening
from gateway.run_log.store.listeners import Listeners
from gateway.run_log.store.redis_connection import within

REMINDER_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
ANCHOR = "te:hello"
"""A channel on which nothing is told; subscribed to, so that the connection always is."""

_logger = logging.getLogger(__name__)


class RedisNotifications:
    """Listeners by channel; owns one task from the first listener until `close`.

    A message may be lost, so everybody is reminded every `REMINDER_SECONDS`, and after each new connection.
    """

    def __init__(
        self,
        open_pubsub: Callable[[], Awaitable[PubSub]],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._open_pubsub = open_pubsub
        self._sleep = sleep
        self._listeners: Listeners[str] = Listeners()
        self._changed = asyncio.Event()
        self._heard = False
        self._is_connected = True
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def listen(self, channel: str, on_news: Callable[[], None]) -> StopListening:
        """Call `on_news` soon after something was published on a channel, and now and then besides."""
        if self._closed:
            return lambda: None
        stop = self._listeners.add(channel, on_news)
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())

        def stop_listening() -> None:
            stop()
            self._changed.set()

        return stop_listening

    async def close(self) -> None:
        """Call nobody any more and let go of the connection."""
        self._closed = True
        self._listeners.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._remind())
            tasks.create_task(self._keep_connected())

    async def _remind(self) -> None:
        while True:
            await self._sleep(REMINDER_SECONDS)
            self._listeners.tell_all()

    async def _keep_connected(self) -> None:
        while True:
            try:
                async with self._connected() as pubsub, asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._hear(pubsub))
                    tasks.create_task(self._subscribe(pubsub))
                    tasks.create_task(self._watch(pubsub))
            except Exception as error:
                if self._is_connected:
                    _logger.warning("redis tells no news, trying again: %s", _named(error))
                self._is_connected = False
            await self._sleep(self._pause_seconds)
            self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[PubSub]:
        pubsub = await self._open_pubsub()
        try:
            async with within(CONNECT_SECONDS):
                await pubsub.subscribe(ANCHOR)
            yield pubsub
        finally:
            with contextlib.suppress(Exception):
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _hear(self, pubsub: PubSub) -> None:
        async for message in pubsub.listen():
            self._heard = True
            if message["type"] in {"message", "subscribe"}:
                # What was told before the subscription began was missed.
                self._listeners.tell(message["channel"].decode())
                self._pause_seconds = FIRST_PAUSE_SECONDS
            if not self._is_connected:
                _logger.warning("redis tells news again")
                self._is_connected = True
        raise ConnectionError("the subscription ended")

    async def _subscribe(self, pubsub: PubSub) -> None:
        subscribed: set[str] = set()
        while True:
            self._changed.clear()
            wanted = self._listeners.names
            if new := wanted - subscribed:
                await pubsub.subscribe(*new)
            if old := subscribed - wanted:
                await pubsub.unsubscribe(*old)
            subscribed = wanted
            await self._changed.wait()

    async def _watch(self, pubsub: PubSub) -> None:
        """Raise as soon as the connection is as good as dead."""
        while True:
            self._heard = False
            await pubsub.ping()
            await self._sleep(REMINDER_SECONDS)
            if not self._heard:
                raise ConnectionError("redis does not answer")


def _named(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__

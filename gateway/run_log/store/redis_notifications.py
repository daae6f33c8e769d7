"""Notifications of log changes from all processes, over one subscription connection to Redis."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from redis.asyncio.client import PubSub

from gateway.background_tasks import end_tasks
from gateway.redis.client import CONNECT_SECONDS
from gateway.redis.deadline import busy_aware_timeout
from gateway.run_log.store.event_log import StopListening
from gateway.run_log.store.listeners import Listeners

REMINDER_SECONDS = 2.0
FIRST_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 5.0
ANCHOR_CHANNEL = "te:hello"
"""A channel without messages. A subscription to it keeps the connection in subscriber mode."""

_logger = logging.getLogger(__name__)


class RedisNotifications:
    """Listeners by channel. Owns one task from the first listener until `close`.

    A message may be lost, so every listener is called each `REMINDER_SECONDS`, and after each new connection.
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
        self._channels_changed = asyncio.Event()
        self._has_received = False
        self._is_connected = True
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    def listen(self, channel: str, on_notification: Callable[[], None]) -> StopListening:
        """Call `on_notification` soon after a message on `channel`, and now and then without one."""
        if self._is_closed:
            return lambda: None
        stop = self._listeners.add_listener(channel, on_notification)
        self._channels_changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())

        def stop_listening() -> None:
            stop()
            self._channels_changed.set()

        return stop_listening

    async def close(self) -> None:
        """Call no listener any more and close the connection."""
        self._is_closed = True
        self._listeners.close()
        await end_tasks(self._task)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._remind_listeners())
            tasks.create_task(self._run_connection())

    async def _remind_listeners(self) -> None:
        while True:
            await self._sleep(REMINDER_SECONDS)
            self._listeners.notify_all()

    async def _run_connection(self) -> None:
        while True:
            try:
                async with self._open_connection() as pubsub, asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._receive_messages(pubsub))
                    tasks.create_task(self._sync_subscriptions(pubsub))
                    tasks.create_task(self._check_connection(pubsub))
            except Exception as error:
                # A cancelled task group raises the errors of its tasks, if any, in place of the cancellation.
                if self._is_closed:
                    return
                if self._is_connected:
                    _logger.warning("redis tells no news, trying again: %s", _error_name(error))
                self._is_connected = False
            await self._sleep(self._retry_seconds)
            self._retry_seconds = min(2 * self._retry_seconds, MAX_RETRY_SECONDS)

    @asynccontextmanager
    async def _open_connection(self) -> AsyncIterator[PubSub]:
        pubsub = await self._open_pubsub()
        try:
            async with busy_aware_timeout(CONNECT_SECONDS):
                await pubsub.subscribe(ANCHOR_CHANNEL)
            yield pubsub
        finally:
            with contextlib.suppress(Exception):
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _receive_messages(self, pubsub: PubSub) -> None:
        async for message in pubsub.listen():
            self._has_received = True
            if message["type"] in {"message", "subscribe"}:
                # Messages from before the subscription were missed.
                self._listeners.notify(message["channel"].decode())
                self._retry_seconds = FIRST_RETRY_SECONDS
            if not self._is_connected:
                _logger.warning("redis tells news again")
                self._is_connected = True
        raise ConnectionError("the subscription ended")

    async def _sync_subscriptions(self, pubsub: PubSub) -> None:
        subscribed: set[str] = set()
        while True:
            self._channels_changed.clear()
            wanted = self._listeners.names
            if new := wanted - subscribed:
                await pubsub.subscribe(*new)
            if old := subscribed - wanted:
                await pubsub.unsubscribe(*old)
            subscribed = wanted
            await self._channels_changed.wait()

    async def _check_connection(self, pubsub: PubSub) -> None:
        """Raise as soon as the connection no longer answers."""
        while True:
            self._has_received = False
            await pubsub.ping()
            await self._sleep(REMINDER_SECONDS)
            if not self._has_received:
                raise ConnectionError("redis does not answer")


def _error_name(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__

"""Items that have to reach the ledger: each is tried at once, then again from memory until the ledger answers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from gateway.background_tasks import BackgroundTasks, end_tasks

FIRST_PAUSE_SECONDS = 0.1

ItemT = TypeVar("ItemT", bound=Hashable)


class LedgerRetries(Generic[ItemT]):
    """The items that wait. One worker tries them again, oldest first, with pauses from 0.1 s to `max_pause_seconds`.

    `try_item` returns whether an item needs no further try, and never raises. An item that comes too much is dropped,
    and `on_dropped` is called with it.
    """

    def __init__(
        self,
        try_item: Callable[[ItemT], Awaitable[bool]],
        *,
        max_pause_seconds: float,
        max_waiting: int = sys.maxsize,
        on_dropped: Callable[[ItemT], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Start without an item."""
        self._try_item = try_item
        self._max_pause_seconds = max_pause_seconds
        self._max_waiting = max_waiting
        self._on_dropped = on_dropped
        self._sleep = sleep
        self._waiting: dict[ItemT, None] = {}
        self._first_tries = BackgroundTasks()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        """Count the items that wait."""
        return len(self._waiting)

    async def submit(self, item: ItemT) -> None:
        """Try an item, and return after the first try, which goes on without its caller."""
        await asyncio.shield(self._first_tries.start(self._try_first(item)))

    async def aclose(self) -> None:
        """Try once more the items that wait, until one fails. No further one is tried in the background."""
        self._closed = True
        await self._first_tries.wait()
        await end_tasks(self._worker)
        await self._try_waiting()

    async def _try_first(self, item: ItemT) -> None:
        if await self._try_item(item):
            return
        if len(self._waiting) >= self._max_waiting:
            self._on_dropped(item)
            return
        self._waiting[item] = None
        if (self._worker is None or self._worker.done()) and not self._closed:
            self._worker = asyncio.create_task(self._try_again())

    async def _try_again(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._waiting:
            await self._sleep(pause)
            has_succeeded = await self._try_waiting()
            pause = FIRST_PAUSE_SECONDS if has_succeeded else min(pause * 2, self._max_pause_seconds)

    async def _try_waiting(self) -> bool:
        """Try the items that wait, oldest first, until one fails. Returns whether any succeeded."""
        has_succeeded = False
        while self._waiting and await self._try_item(item := next(iter(self._waiting))):
            del self._waiting[item]
            has_succeeded = True
        return has_succeeded

"""Removals of threads and messages that were deleted upstream: tried at once, then again from memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.background_tasks import BackgroundTasks, end_tasks
from gateway.ledger.ledger_store import LedgerUnavailableError
from gateway.telemetry.rare_warning import RareWarning
from schema.contract.keys import MessageKey, ThreadKey

_logger = logging.getLogger(__name__)

MAX_REMOVALS = 10_000
"""Most removals that wait for the ledger."""

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 2.0

DeletedKey = ThreadKey | MessageKey


class RemovalWriter:
    """The removals that wait. One worker tries them again, oldest first, with growing pauses."""

    def __init__(
        self,
        write_removal: Callable[[DeletedKey], Awaitable[None]],
        *,
        max_removals: int = MAX_REMOVALS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take `write_removal`, which raises `LedgerUnavailableError` if it is to be tried again."""
        self._write_removal = write_removal
        self._max_removals = max_removals
        self._sleep = sleep
        self._waiting: dict[DeletedKey, None] = {}
        self._first_tries = BackgroundTasks()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False
        self._dropped = RareWarning(_logger, "too many removals wait for the ledger: that of %s is forgotten")

    def __len__(self) -> int:
        """Count the removals that wait."""
        return len(self._waiting)

    async def submit(self, key: DeletedKey) -> None:
        """Remove what is kept of an object, and return after the first try. A failed one is tried again later."""
        await asyncio.shield(self._first_tries.start(self._try_first(key)))

    async def aclose(self) -> None:
        """Try once more, then give up what cannot be removed, and log it."""
        self._closed = True
        await self._first_tries.wait()
        await end_tasks(self._worker)
        while self._waiting:
            key = next(iter(self._waiting))
            if not await self._try(key):
                _logger.error("records of deleted objects that could not be removed: %d", len(self._waiting))
                return
            del self._waiting[key]

    async def _try_first(self, key: DeletedKey) -> None:
        if await self._try(key):
            return
        if len(self._waiting) >= self._max_removals:
            self._dropped.give(f"thread {key.thread_id}")
            return
        self._waiting[key] = None
        if (self._worker is None or self._worker.done()) and not self._closed:
            self._worker = asyncio.create_task(self._try_again())

    async def _try_again(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._waiting:
            await self._sleep(pause)
            pause = min(pause * 2, MAX_PAUSE_SECONDS)
            while self._waiting and await self._try(key := next(iter(self._waiting))):
                del self._waiting[key]
                pause = FIRST_PAUSE_SECONDS

    async def _try(self, key: DeletedKey) -> bool:
        """Remove what is kept of an object. Returns False if the ledger did not answer."""
        try:
            await self._write_removal(key)
        except LedgerUnavailableError:
            return False
        except Exception:
            # The ledger refuses it, and would again.
            _logger.exception("what is kept of thread %s cannot be removed", key.thread_id)
        return True

"""Changes that happened upstream and have to reach the ledger: tried at once, then again from memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.background_tasks import BackgroundTasks, end_tasks
from gateway.ledger.ledger_store import LedgerUnavailableError, StoredIntent
from gateway.telemetry.rare_warning import RareWarning

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 1.0
"""Longest pause between two tries, so that a ledger that comes back is used within about a second."""

MAX_UNSAVED = 10_000
"""The number of unsaved changes at which no further create may begin, and no further deletion is remembered."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ThreadCreated:
    """A thread was created upstream, as an intent said."""

    thread_id: str
    intent: StoredIntent


@dataclass(frozen=True, slots=True)
class ThreadDeleted:
    """A thread was deleted upstream."""

    thread_id: str


class UnsavedChanges:
    """The latest unsaved change of each thread. One worker tries again, oldest first, with growing pauses.

    A thread's changes are stored one after another. A full memory refuses no thread that exists: the caller asks
    `is_full` before it creates one. A deletion that comes too much is dropped, because its row then names a thread that
    the upstream does not have.
    """

    def __init__(
        self,
        store_change: Callable[[ThreadCreated | ThreadDeleted], Awaitable[None]],
        *,
        max_unsaved: int = MAX_UNSAVED,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take `store_change`, which raises `LedgerUnavailableError` if the change is to be tried again."""
        self._store_change = store_change
        self._max_unsaved = max_unsaved
        self._sleep = sleep
        self._changes: dict[str, ThreadCreated | ThreadDeleted] = {}
        self._waiting: dict[str, None] = {}
        self._first_tries = BackgroundTasks()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False
        self._dropped = RareWarning(_logger, "too many unsaved changes: the deletion of %s is not recorded")

    def __len__(self) -> int:
        """Count the threads with an unsaved change."""
        return len(self._changes)

    @property
    def is_full(self) -> bool:
        """Whether no further create may begin."""
        return len(self._changes) >= self._max_unsaved

    def find_change(self, thread_id: str) -> ThreadCreated | ThreadDeleted | None:
        """Return the unsaved change of a thread."""
        return self._changes.get(thread_id)

    async def submit(self, change: ThreadCreated | ThreadDeleted) -> None:
        """Store a change, and return after the first try. A failed one is tried again in the background."""
        thread_id = change.thread_id
        is_under_way = thread_id in self._changes
        if isinstance(change, ThreadDeleted) and self.is_full and not is_under_way:
            self._dropped.give(thread_id)
            return
        self._changes[thread_id] = change
        if not is_under_way:
            await asyncio.shield(self._first_tries.start(self._try_first(thread_id)))

    async def aclose(self) -> None:
        """Try once more, then give up what cannot be stored, and log it."""
        self._closed = True
        await self._first_tries.wait()
        await end_tasks(self._worker)
        for thread_id in list(self._waiting):
            if not await self._store_latest(thread_id):
                break
        if self._changes:
            count, listed = len(self._changes), ", ".join(sorted(self._changes)[:20])
            _logger.error("changes of threads that never reached the ledger: %d, among them %s", count, listed)

    async def _try_first(self, thread_id: str) -> None:
        if await self._store_latest(thread_id):
            return
        self._waiting[thread_id] = None
        if (self._worker is None or self._worker.done()) and not self._closed:
            self._worker = asyncio.create_task(self._try_again())

    async def _try_again(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._waiting:
            await self._sleep(pause)
            pause = min(pause * 2, MAX_PAUSE_SECONDS)
            while self._waiting and await self._store_latest(thread_id := next(iter(self._waiting))):
                del self._waiting[thread_id]
                pause = FIRST_PAUSE_SECONDS

    async def _store_latest(self, thread_id: str) -> bool:
        """Store the change of a thread, and those that replace it meanwhile. Returns whether none is left."""
        while (change := self._changes.get(thread_id)) is not None:
            try:
                await self._store_change(change)
            except LedgerUnavailableError:
                return False
            except Exception:
                # The ledger refuses it, and would again.
                _logger.exception("the change of thread %s cannot be stored", thread_id)
            if self._changes[thread_id] is change:
                del self._changes[thread_id]
        return True

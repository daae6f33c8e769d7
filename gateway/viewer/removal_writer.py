"""The ends of deletions, as the upstream told them, on the way to the ledger: tried at once, then again from memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.background_tasks import BackgroundTasks, end_tasks
from gateway.ledger.ledger_store import LedgerUnavailableError
from gateway.ledger.sightings import RecordOwner
from gateway.telemetry.rare_warning import RareWarning
from schema.contract.keys import MessageKey, ThreadKey

_logger = logging.getLogger(__name__)

MAX_REMOVALS = 10_000
"""Most removals that wait for the ledger."""

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 2.0

DeletedKey = ThreadKey | MessageKey


@dataclass(frozen=True, slots=True)
class Removal:
    """The end of a deletion. What is kept of the object is removed, or, if it was not deleted, its mark is.

    `informed` is the owner of a thread who knows of it already.
    """

    key: DeletedKey
    informed: RecordOwner | None = None
    is_withdrawn: bool = False


class RemovalWriter:
    """The removals that wait. One worker tries them again, oldest first, with growing pauses."""

    def __init__(
        self,
        write_removal: Callable[[Removal], Awaitable[None]],
        *,
        max_removals: int = MAX_REMOVALS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take `write_removal`, which raises `LedgerUnavailableError` if it is to be tried again."""
        self._write_removal = write_removal
        self._max_removals = max_removals
        self._sleep = sleep
        self._waiting: dict[Removal, None] = {}
        self._first_tries = BackgroundTasks()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False
        self._dropped = RareWarning(_logger, "too many removals wait for the ledger: that of %s is late")

    def __len__(self) -> int:
        """Count the removals that wait."""
        return len(self._waiting)

    async def submit(self, removal: Removal) -> None:
        """Write a removal, and return after the first try. A failed one is tried again later."""
        await asyncio.shield(self._first_tries.start(self._try_first(removal)))

    async def aclose(self) -> None:
        """Try once more, then give up what cannot be removed, and log it."""
        self._closed = True
        await self._first_tries.wait()
        await end_tasks(self._worker)
        while self._waiting:
            removal = next(iter(self._waiting))
            if not await self._try(removal):
                _logger.error("ends of deletions that another gateway has to find out: %d", len(self._waiting))
                return
            del self._waiting[removal]

    async def _try_first(self, removal: Removal) -> None:
        if await self._try(removal):
            return
        if len(self._waiting) >= self._max_removals:
            self._dropped.give(f"thread {removal.key.thread_id}")
            return
        self._waiting[removal] = None
        if (self._worker is None or self._worker.done()) and not self._closed:
            self._worker = asyncio.create_task(self._try_again())

    async def _try_again(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._waiting:
            await self._sleep(pause)
            pause = min(pause * 2, MAX_PAUSE_SECONDS)
            while self._waiting and await self._try(removal := next(iter(self._waiting))):
                del self._waiting[removal]
                pause = FIRST_PAUSE_SECONDS

    async def _try(self, removal: Removal) -> bool:
        """Write a removal. Returns False if the ledger did not answer."""
        try:
            await self._write_removal(removal)
        except LedgerUnavailableError:
            return False
        except Exception:
            # The ledger refuses it, and would again.
            _logger.exception("what is kept of thread %s cannot be removed", removal.key.thread_id)
        return True

"""The files that runs made, on their way to the ledger: known to this process at once, stored in batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import islice

from cachetools import LRUCache

from gateway.background_tasks import end_tasks
from gateway.identity.principal import Owner
from gateway.ledger.ledger_retries import FIRST_PAUSE_SECONDS
from gateway.ledger.ledger_store import LedgerUnavailableError, MadeFile
from gateway.ledger.unsaved_changes import MAX_PAUSE_SECONDS, MAX_UNSAVED
from gateway.telemetry.rare_warning import RareWarning

BATCH_SIZE = 500

MAX_STORED = 50_000
"""The number of files that are known to be stored. One that is not is stored again, which changes nothing."""

_logger = logging.getLogger(__name__)


class UnsavedFiles:
    """The files that are not stored yet, by id. One worker stores all of them together, again until the ledger answers.

    `store` stores files, and returns those that need no further try, each with its owner or None; it raises
    `LedgerUnavailableError` if all do. A file that comes too much is recorded when what names it is seen again.
    """

    def __init__(
        self,
        store: Callable[[Collection[MadeFile]], Awaitable[Mapping[str, Owner | None]]],
        *,
        max_unsaved: int = MAX_UNSAVED,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._max_unsaved = max_unsaved
        self._sleep = sleep
        self._unsaved: dict[str, MadeFile] = {}
        self._stored: LRUCache[str, None] = LRUCache(MAX_STORED)
        self._next_try: asyncio.Future[None] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._is_failing = False
        self._dropped = RareWarning(_logger, "too many unsaved files of runs: %s is recorded when it is seen again")

    def __len__(self) -> int:
        """Count the files that are not stored yet."""
        return len(self._unsaved)

    def find_owner(self, file_id: str) -> Owner | None:
        """Return the owner of a file that is not stored yet."""
        made = self._unsaved.get(file_id)
        return None if made is None else made.owner

    def add_files(self, files: Collection[MadeFile]) -> Awaitable[None] | None:
        """Add files, whose owners are known from now on. Returns the end of the first try to store them.

        Returns None if all are stored already, or wait for a ledger that did not answer.
        """
        new = [made for made in files if made.file_id not in self._stored and made.file_id not in self._unsaved]
        for made in new:
            if len(self._unsaved) >= self._max_unsaved:
                self._dropped.give(made.file_id)
                break
            self._unsaved.setdefault(made.file_id, made)
        if not self._unsaved or not any(made.file_id in self._unsaved for made in files):
            return None
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        if self._is_failing:
            return None
        if self._next_try is None:
            self._next_try = asyncio.get_running_loop().create_future()
        return asyncio.shield(self._next_try)

    def remove_file(self, file_id: str) -> None:
        """Remove a file that was deleted. What still names it does not record it again."""
        self._unsaved.pop(file_id, None)
        self._stored[file_id] = None

    async def aclose(self) -> None:
        """Try once more, then give up what cannot be stored, and log it."""
        await end_tasks(self._worker)
        while self._unsaved and await self._store_batch():
            pass
        self._end_try()
        if self._unsaved:
            count, listed = len(self._unsaved), ", ".join(sorted(self._unsaved)[:20])
            _logger.error("files of runs that never reached the ledger: %d, among them %s", count, listed)

    async def _work(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._unsaved:
            tried, self._next_try = self._next_try, None
            self._is_failing = not await self._store_batch()
            if tried is not None and not tried.done():
                tried.set_result(None)
            if self._is_failing:
                self._end_try()
                await self._sleep(pause)
                pause = min(pause * 2, MAX_PAUSE_SECONDS)
            else:
                pause = FIRST_PAUSE_SECONDS
        self._end_try()

    def _end_try(self) -> None:
        """Let nobody wait any longer: nothing is left to try, or the ledger does not answer."""
        if self._next_try is not None and not self._next_try.done():
            self._next_try.set_result(None)
        self._next_try = None

    async def _store_batch(self) -> bool:
        """Store the oldest files. Returns whether any need no further try."""
        batch = list(islice(self._unsaved.values(), BATCH_SIZE))
        owners: Mapping[str, Owner | None]
        try:
            owners = await self._store(batch)
        except LedgerUnavailableError:
            return False
        except Exception:
            # The ledger refuses them, and would again.
            _logger.exception("files of runs cannot be stored: %s", ", ".join(made.file_id for made in batch[:20]))
            owners = {made.file_id: None for made in batch}
        for made in batch:
            if made.file_id in owners and self._unsaved.get(made.file_id) is made:
                del self._unsaved[made.file_id]
                if owners[made.file_id] is not None:
                    self._stored[made.file_id] = None
        return bool(owners)

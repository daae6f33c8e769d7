"""Changes that happened upstream and have to reach the ledger: tried at once, then again from memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.ledger.ledger_retries import LedgerRetries
from gateway.ledger.ledger_store import LedgerUnavailableError, OwnedObject, StoredIntent
from gateway.telemetry.rare_warning import RareWarning

MAX_PAUSE_SECONDS = 1.0
"""Longest pause between two tries, so that a ledger that comes back is used within about a second."""

MAX_UNSAVED = 10_000
"""The number of unsaved changes at which no further create may begin, and no further deletion is remembered."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ObjectCreated:
    """An object was created upstream, as an intent said."""

    owned: OwnedObject
    intent: StoredIntent


@dataclass(frozen=True, slots=True)
class ObjectDeleted:
    """An object was deleted upstream."""

    owned: OwnedObject


class UnsavedChanges:
    """The latest unsaved change of each object. What cannot be stored is tried again (`LedgerRetries`).

    An object's changes are stored one after another. A full memory refuses no object that exists: the caller asks
    `is_full` before it creates one. A deletion that comes too much is dropped, because its row then names what the
    upstream does not have.
    """

    def __init__(
        self,
        store_change: Callable[[ObjectCreated | ObjectDeleted], Awaitable[None]],
        *,
        max_unsaved: int = MAX_UNSAVED,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take `store_change`, which raises `LedgerUnavailableError` if the change is to be tried again."""
        self._store_change = store_change
        self._max_unsaved = max_unsaved
        self._changes: dict[OwnedObject, ObjectCreated | ObjectDeleted] = {}
        self._retries = LedgerRetries(self._store_latest, max_pause_seconds=MAX_PAUSE_SECONDS, sleep=sleep)
        self._dropped = RareWarning(_logger, "too many unsaved changes: the deletion of %s is not recorded")

    def __len__(self) -> int:
        """Count the objects with an unsaved change."""
        return len(self._changes)

    @property
    def is_full(self) -> bool:
        """Whether no further create may begin."""
        return len(self._changes) >= self._max_unsaved

    def find_change(self, owned: OwnedObject) -> ObjectCreated | ObjectDeleted | None:
        """Return the unsaved change of an object."""
        return self._changes.get(owned)

    async def submit(self, change: ObjectCreated | ObjectDeleted) -> None:
        """Store a change, and return after the first try. A failed one is tried again in the background."""
        owned = change.owned
        is_under_way = owned in self._changes
        if isinstance(change, ObjectDeleted) and self.is_full and not is_under_way:
            self._dropped.give(owned.object_id)
            return
        self._changes[owned] = change
        if not is_under_way:
            await self._retries.submit(owned)

    async def aclose(self) -> None:
        """Try once more, then give up what cannot be stored, and log it."""
        await self._retries.aclose()
        if self._changes:
            count, listed = len(self._changes), ", ".join(owned.object_id for owned in sorted(self._changes)[:20])
            _logger.error("changes that never reached the ledger: %d, among them of %s", count, listed)

    async def _store_latest(self, owned: OwnedObject) -> bool:
        """Store the change of an object, and those that replace it meanwhile. Returns whether none is left."""
        while (change := self._changes.get(owned)) is not None:
            try:
                await self._store_change(change)
            except LedgerUnavailableError:
                return False
            except Exception:
                # The ledger refuses it, and would again.
                _logger.exception("the change of %s %s cannot be stored", *owned)
            if self._changes[owned] is change:
                del self._changes[owned]
        return True

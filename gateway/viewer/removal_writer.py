"""The ends of deletions, as the upstream told them, on the way to the ledger: tried at once, then again from memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.ledger.ledger_retries import LedgerRetries
from gateway.ledger.ledger_store import LedgerUnavailableError
from gateway.ledger.sightings import RecordOwner
from gateway.telemetry.rare_warning import RareWarning
from schema.contract.keys import MessageKey, ThreadKey

_logger = logging.getLogger(__name__)

MAX_REMOVALS = 10_000
"""Most removals that wait for the ledger."""

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
    """The removals that wait. What cannot be written is tried again (`LedgerRetries`)."""

    def __init__(
        self,
        write_removal: Callable[[Removal], Awaitable[None]],
        *,
        max_removals: int = MAX_REMOVALS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take `write_removal`, which raises `LedgerUnavailableError` if it is to be tried again."""
        self._write_removal = write_removal
        self._dropped = RareWarning(_logger, "too many removals wait for the ledger: that of %s is late")
        self._retries = LedgerRetries(
            self._try,
            max_pause_seconds=MAX_PAUSE_SECONDS,
            max_waiting=max_removals,
            on_dropped=lambda removal: self._dropped.give(f"thread {removal.key.thread_id}"),
            sleep=sleep,
        )

    def __len__(self) -> int:
        """Count the removals that wait."""
        return len(self._retries)

    async def submit(self, removal: Removal) -> None:
        """Write a removal, and return after the first try. A failed one is tried again later."""
        await self._retries.submit(removal)

    async def aclose(self) -> None:
        """Try once more, then give up what cannot be removed, and log it."""
        await self._retries.aclose()
        if self._retries:
            _logger.error("ends of deletions that another gateway has to find out: %d", len(self._retries))

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

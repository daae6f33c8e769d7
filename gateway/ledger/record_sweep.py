"""Removes marks of old removals, leases that ended, and texts that are not to be kept any more."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.ledger_store import LedgerUnavailableError
from gateway.ledger.record_store import KeptTexts

SWEEP_SECONDS = 3600.0

MARK_SECONDS = 24 * 3600.0
"""Age at which the mark of a removal, or an ended lease, goes. No process holds a sighting for so long."""

TEXTS_PER_CALL = 500

_logger = logging.getLogger(__name__)


class RecordSweep:
    """The sweep of one process. `run` must be a task; its owner cancels it."""

    def __init__(
        self,
        link: LedgerLink,
        kept_texts: KeptTexts,
        *,
        unix_seconds: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._link = link
        self._kept_texts = kept_texts
        self._unix_seconds = unix_seconds
        self._sleep = sleep

    async def run(self) -> None:
        """Sweep now and every hour, without end."""
        while True:
            try:
                await self.sweep()
            except LedgerUnavailableError:
                _logger.debug("the records are swept later")
            except Exception:
                _logger.exception("the records could not be swept")
            await self._sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        """Remove what is old.

        Raises:
            LedgerUnavailableError: The ledger does not answer.
        """
        oldest = self._unix_seconds() - MARK_SECONDS
        await self._link.call(lambda store: store.records.remove_marks_before(int(oldest * 1000)))
        await self._link.call(lambda store: store.remove_locks_before(oldest))
        if self._kept_texts is KeptTexts.TITLES:
            while await self._link.call(lambda store: store.records.remove_message_texts(TEXTS_PER_CALL)):
                pass

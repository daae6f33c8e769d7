"""The `Ledger` in a database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.background_tasks import end_tasks
from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.ledger_store import OwnedObject
from gateway.ledger.linked_kept_records import link_kept_records
from gateway.ledger.open_store import make_store, migrate
from gateway.ledger.record_store import KeptTexts
from gateway.ledger.record_sweep import RecordSweep
from gateway.ledger.stored_ownership import StoredOwnership
from gateway.telemetry.metrics import GatewayMetrics

MAX_RECORD_CALLS = 200
"""Most reads and writes of records at once."""


class DatabaseLedger:
    """The owners of objects, the records of threads, and what is kept of their runs, in the database at a URL.

    `on_refused` is that of `StoredOwnership`.
    """

    def __init__(
        self,
        url: str,
        upstream: UpstreamIdentity,
        *,
        deadline_seconds: float,
        kept_texts: KeptTexts = KeptTexts.ALL,
        on_refused: Callable[[OwnedObject], Coroutine[Any, Any, None]] | None = None,
        metrics: GatewayMetrics | None = None,
    ) -> None:
        """Read the URL.

        Raises:
            CannotOpenError: It has an option that cannot be honoured.
        """
        self._url = url
        self._store = make_store(url, upstream, operation_seconds=deadline_seconds, kept_texts=kept_texts)
        self._link = LedgerLink(self._store, deadline_seconds=deadline_seconds, metrics=metrics)
        self.ownership = StoredOwnership(self._link, on_refused=on_refused)
        # A search that takes too long opens no circuit breaker before the owners of threads.
        self.records = LedgerLink(
            self._store, deadline_seconds=deadline_seconds, max_calls=MAX_RECORD_CALLS, metrics=metrics
        )
        # Nor does it before a run that is started.
        self._kept_link = LedgerLink(self._store, deadline_seconds=deadline_seconds, metrics=metrics)
        self.kept = link_kept_records(self._kept_link)
        self._sweep = RecordSweep(self.records, kept_texts)
        self._sweep_task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect to the database, and bring it to the version of this program.

        Raises:
            CannotOpenError: It cannot be used.
        """
        await migrate(self._url)
        self.ownership.start()
        self._sweep_task = asyncio.create_task(self._sweep.run())

    async def check(self) -> bool:
        """Tell whether the database answers."""
        return await self.ownership.check()

    async def aclose(self) -> None:
        """Store what is unsaved, if the database answers, and close all connections."""
        await end_tasks(self._sweep_task)
        await self.ownership.aclose()
        await self.records.aclose()
        await self._kept_link.aclose()
        await self._link.aclose()
        await self._store.aclose()

"""The `Ledger` in a database."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.open_store import make_store, migrate
from gateway.ledger.stored_ownership import StoredOwnership


class DatabaseLedger:
    """The owners of threads in the database at a URL. `on_refused` is that of `StoredOwnership`."""

    def __init__(
        self,
        url: str,
        upstream: UpstreamIdentity,
        *,
        deadline_seconds: float,
        on_refused: Callable[[str], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """Read the URL.

        Raises:
            CannotOpenError: It has an option that cannot be honoured.
        """
        self._url = url
        self._store = make_store(url, upstream, operation_seconds=deadline_seconds)
        self._link = LedgerLink(self._store, deadline_seconds=deadline_seconds)
        self.ownership = StoredOwnership(self._link, on_refused=on_refused)
        self.records: LedgerLink | None = None

    async def open(self) -> None:
        """Connect to the database, and bring it to the version of this program.

        Raises:
            CannotOpenError: It cannot be used.
        """
        await migrate(self._url)
        self.ownership.start()

    async def check(self) -> bool:
        """Tell whether the database answers."""
        return await self.ownership.check()

    async def aclose(self) -> None:
        """Store what is unsaved, if the database answers, and close all connections."""
        await self.ownership.aclose()
        await self._link.aclose()
        await self._store.aclose()

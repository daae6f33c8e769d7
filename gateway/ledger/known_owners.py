"""The owners of one kind of objects as this process knows them: for a minute, and looked up together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from cachetools import TTLCache

from gateway.identity.principal import Owner
from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.ledger_store import ObjectKind
from gateway.ledger.look_up_batches import LookUpBatches

KNOWN_SECONDS = 60.0
"""How long an owner is known without the ledger. So long another gateway's import or deletion may go unnoticed."""

MAX_KNOWN = 50_000


class KnownOwners:
    """The owners of one kind. An object without an owner is looked up each time. Ended by `aclose`."""

    def __init__(self, kind: ObjectKind, link: LedgerLink, *, now_seconds: Callable[[], float]) -> None:
        self._kind = kind
        self._link = link
        self._known: TTLCache[str, Owner] = TTLCache(MAX_KNOWN, KNOWN_SECONDS, timer=now_seconds)
        self._flights: dict[str, asyncio.Task[dict[str, Owner]]] = {}
        self._look_ups = LookUpBatches(self._look_up)

    def get_owner(self, object_id: str) -> Owner | None:
        """Return an owner who is known."""
        return self._known.get(object_id)

    def set_owner(self, object_id: str, owner: Owner) -> None:
        """Know an owner from now on."""
        self._known[object_id] = owner

    def remove_owner(self, object_id: str) -> None:
        """Know an owner no more. What a look-up in flight finds is not remembered."""
        self._known.pop(object_id, None)
        self._flights.pop(object_id, None)

    async def look_up(self, object_ids: Collection[str]) -> dict[str, Owner]:
        """Look owners up in the ledger. Of objects that are being looked up, the same answer is awaited.

        Raises:
            LedgerUnavailableError: The ledger did not answer in time.
        """
        owners: dict[str, Owner] = {}
        if new := [object_id for object_id in object_ids if object_id not in self._flights]:
            self._flights.update(dict.fromkeys(new, self._look_ups.add_objects(new)))
        for flight in {self._flights[object_id] for object_id in object_ids}:
            found = await asyncio.shield(flight)
            owners.update((object_id, found[object_id]) for object_id in object_ids if object_id in found)
        return owners

    async def aclose(self) -> None:
        """End the look-ups."""
        await self._look_ups.aclose()

    async def _look_up(self, object_ids: Collection[str]) -> dict[str, Owner]:
        flight = asyncio.current_task()
        try:
            found = await self._link.call(lambda store: store.find_owners(self._kind, object_ids))
            for object_id, owner in found.items():
                if self._flights.get(object_id) is flight:
                    self._known[object_id] = owner
            return found
        finally:
            for object_id in object_ids:
                if self._flights.get(object_id) is flight:
                    del self._flights[object_id]

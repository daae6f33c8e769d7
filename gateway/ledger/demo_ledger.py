"""The ledger of the demo: in memory, with the demo's threads as one user's."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from gateway.identity.principal import Owner
from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.ledger_store import ObjectKind
from gateway.ledger.memory_store import MemoryStore
from gateway.ledger.ownership import Ownership
from gateway.ledger.stored_ownership import StoredOwnership


@asynccontextmanager
async def running_demo_ledger(
    owner: Owner, thread_ids: Collection[str], *, deadline_seconds: float
) -> AsyncIterator[Ownership]:
    """Run a ledger in memory in which these threads belong to `owner`."""
    store = MemoryStore()
    await store.adopt_objects(ObjectKind.THREAD, dict.fromkeys(thread_ids, owner), int(time.time()))
    link = LedgerLink(store, deadline_seconds=deadline_seconds)
    ownership = StoredOwnership(link)
    ownership.start()
    try:
        yield ownership
    finally:
        await ownership.aclose()
        await link.aclose()

"""The threads of the demo in a ledger, and the ledger in memory that most demos have."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from gateway.identity.principal import Owner
from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.ledger_store import LedgerStore, ObjectKind
from gateway.ledger.memory_store import MemoryStore
from gateway.ledger.ownership import BorrowedLedger
from gateway.ledger.record_store import MAX_SIGHTINGS
from gateway.ledger.sightings import RecordOwner, Sighting
from gateway.ledger.stored_ownership import StoredOwnership


@asynccontextmanager
async def running_memory_ledger(
    owner: RecordOwner, thread_ids: Collection[str], sightings: Sequence[Sighting], *, deadline_seconds: float
) -> AsyncIterator[BorrowedLedger]:
    """Run a ledger in memory with threads of an owner. The holder of a credential needs no record of who owns them."""
    store = MemoryStore()
    await add_demo_threads(store, owner, thread_ids, sightings)
    link, records = (LedgerLink(store, deadline_seconds=deadline_seconds) for _ in range(2))
    ownership = StoredOwnership(link)
    ownership.start()
    try:
        yield BorrowedLedger(ownership if isinstance(owner, Owner) else None, records)
    finally:
        await ownership.aclose()
        await records.aclose()
        await link.aclose()


async def add_demo_threads(
    store: LedgerStore, owner: RecordOwner, thread_ids: Collection[str], sightings: Sequence[Sighting]
) -> None:
    """Let threads belong to a user, unless they are somebody's, and record what was seen of them."""
    if isinstance(owner, Owner):
        await store.adopt_objects(ObjectKind.THREAD, dict.fromkeys(thread_ids, owner), int(time.time()))
    for start in range(0, len(sightings), MAX_SIGHTINGS):
        await store.records.record_sightings(sightings[start : start + MAX_SIGHTINGS])

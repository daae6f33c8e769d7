"""The threads and files of the demo in a ledger, and the ledger in memory that most demos have."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from gateway.identity.principal import Owner
from gateway.ledger.copy_store import ObjectCopy
from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.ledger_store import LedgerStore, ObjectKind
from gateway.ledger.linked_kept_records import link_kept_records
from gateway.ledger.memory_store import MemoryStore
from gateway.ledger.ownership import BorrowedLedger
from gateway.ledger.record_store import MAX_SIGHTINGS
from gateway.ledger.sightings import RecordOwner, Sighting
from gateway.ledger.stored_ownership import StoredOwnership
from gateway.upstream.responses.kept_records import ChainRecord, ItemRecord, KeptRecords
from schema.contract.wire import AssistantObject


@asynccontextmanager
async def running_memory_ledger(
    owner: RecordOwner, *, deadline_seconds: float
) -> AsyncIterator[tuple[LedgerStore, BorrowedLedger]]:
    """Run a ledger in memory. It has owners of objects if the demo has a user."""
    store = MemoryStore()
    link, records, kept = (LedgerLink(store, deadline_seconds=deadline_seconds) for _ in range(3))
    ownership = StoredOwnership(link)
    ownership.start()
    try:
        ledger_ownership = ownership if isinstance(owner, Owner) else None
        yield store, BorrowedLedger(ledger_ownership, records, link_kept_records(kept))
    finally:
        await ownership.aclose()
        await records.aclose()
        await kept.aclose()
        await link.aclose()


async def add_demo_objects(
    store: LedgerStore, owner: RecordOwner, thread_ids: Collection[str], file_ids: Collection[str]
) -> None:
    """Let objects belong to a user, unless they are somebody's. The holder of a credential needs no such record."""
    if isinstance(owner, Owner):
        for kind, object_ids in ((ObjectKind.THREAD, thread_ids), (ObjectKind.FILE, file_ids)):
            await store.adopt_objects(kind, dict.fromkeys(object_ids, owner), int(time.time()))


async def add_demo_runs(
    kept: KeptRecords, chains: Sequence[ChainRecord], items: Mapping[str, Mapping[str, ItemRecord]]
) -> None:
    """Keep runs, and the messages of conversations. Those that are kept already stay as they are."""
    known = await kept.chains.find_chains([chain.run_id for chain in chains])
    for chain in chains:
        if chain.run_id not in known:
            await kept.chains.add_chain(chain)
    for thread_id, its_items in items.items():
        await kept.chains.add_items(thread_id, its_items)


async def add_demo_assistants(kept: KeptRecords, shelf: str, assistants: Sequence[AssistantObject]) -> None:
    """Keep assistants. Those that are kept already stay as they are."""
    known = await kept.assistants.find_assistants(shelf, [assistant.id for assistant in assistants])
    for assistant in assistants:
        if assistant.id not in known:
            await kept.assistants.add_assistant(shelf, assistant)


async def add_demo_aliases(store: LedgerStore, family: str, new_ids: Mapping[str, str]) -> None:
    """Let ids of threads stand for those of conversations that tell the same, as if they had been copied."""
    now = int(time.time())
    for thread_id, new_id in new_ids.items():
        await store.copies.put_copy(family, ObjectKind.THREAD, ObjectCopy(thread_id, new_id, is_done=True), now)


async def add_demo_records(store: LedgerStore, sightings: Sequence[Sighting]) -> None:
    """Record what was seen of threads."""
    for start in range(0, len(sightings), MAX_SIGHTINGS):
        await store.records.record_sightings(sightings[start : start + MAX_SIGHTINGS])

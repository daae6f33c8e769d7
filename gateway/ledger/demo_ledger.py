"""The ledger of the demo, with the demo's threads as one user's: in memory, or in the database of the settings."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from gateway.identity.principal import Owner, UpstreamIdentity
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


async def adopt_demo_threads(url: str, upstream: UpstreamIdentity, owner: Owner, thread_ids: Collection[str]) -> None:
    """Let threads belong to `owner` in the database at a URL, unless they are somebody's.

    Raises:
        CannotOpenError: The database cannot be used.
    """
    from gateway.ledger.open_store import open_store  # noqa: PLC0415 - slow, and few demos have a database

    store = await open_store(url, upstream)
    try:
        await store.adopt_objects(ObjectKind.THREAD, dict.fromkeys(thread_ids, owner), int(time.time()))
    finally:
        await store.aclose()

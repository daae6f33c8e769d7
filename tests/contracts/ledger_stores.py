"""Every ledger store, for the contract tests: in memory, in SQLite, in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest

from gateway.identity.principal import Owner, UpstreamIdentity
from gateway.ledger.ledger_database import connect_database
from gateway.ledger.ledger_store import LedgerStore, ObjectKind, StoredIntent
from gateway.ledger.memory_store import MemoryStore
from gateway.ledger.open_store import PATIENT_SECONDS, open_store
from gateway.ledger.record_store import KeptTexts, RecordStore
from gateway.ledger.sql_store import SqlStore

__all__ = ["open_ledger", "records", "store"]  # fixtures

UPSTREAM = UpstreamIdentity("https://upstream.test/v1")
ALICE = Owner("https://login.example.com", "alice")
BOB = Owner("https://login.example.com", "bob")
THREAD = ObjectKind.THREAD


class OpenLedger(Protocol):
    """Opens the ledger of an upstream, always in the same database."""

    async def __call__(
        self, upstream: UpstreamIdentity = UPSTREAM, kept_texts: KeptTexts = KeptTexts.ALL
    ) -> LedgerStore: ...


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenLedger]:
    url = ""
    in_memory: dict[UpstreamIdentity, MemoryStore] = {}
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/ledger.db"
    elif request.param == "postgresql":
        url = request.getfixturevalue("postgresql").create_database()
    if url:
        await (await open_store(url, UPSTREAM)).aclose()
    async with AsyncExitStack() as stack:

        async def open_one(upstream: UpstreamIdentity = UPSTREAM, kept_texts: KeptTexts = KeptTexts.ALL) -> LedgerStore:
            if not url:
                return in_memory.setdefault(upstream, MemoryStore(kept_texts=kept_texts))
            # The tables are there.
            store = SqlStore(connect_database(url, operation_seconds=PATIENT_SECONDS), upstream, kept_texts=kept_texts)
            stack.push_async_callback(store.aclose)
            return store

        yield open_one


@pytest.fixture
async def store(open_ledger: OpenLedger) -> LedgerStore:
    return await open_ledger()


@pytest.fixture
def records(store: LedgerStore) -> RecordStore:
    return store.records


def intent_of(owner: Owner, intent_id: str = "intent_1", created_at: int = 1000) -> StoredIntent:
    return StoredIntent(intent_id, owner, THREAD, created_at)


async def create(store: LedgerStore, owner: Owner, *thread_ids: str) -> None:
    for thread_id in thread_ids:
        intent = intent_of(owner, uuid4().hex)
        await store.add_intent(intent)
        assert await store.add_created(intent, thread_id)

"""The owners of objects over a ledger that a test makes slow, unreachable or faulty, with a clock of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.ledger_store import ObjectKind, OwnedObject
from gateway.ledger.stored_ownership import SWEEP_SECONDS, StoredOwnership
from tests.gateway.ledger.gated_store import ALICE, PATIENT_SECONDS, GatedStore

THREAD, FILE = ObjectKind.THREAD, ObjectKind.FILE


class Clock:
    """A clock that passes by itself while something sleeps, except in the hour between two sweeps."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0
        self.slept: list[float] = []
        self.sweep = asyncio.Event()

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        if seconds == SWEEP_SECONDS:
            await self.sweep.wait()
            self.sweep.clear()
            return
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> GatedStore:
    return GatedStore()


@asynccontextmanager
async def opened(
    store: GatedStore, clock: Clock, *, deadline_seconds: float = PATIENT_SECONDS, max_unsaved: int = 100
) -> AsyncIterator[StoredOwnership]:
    link = LedgerLink(store, deadline_seconds=deadline_seconds, now_seconds=clock.now)
    refused: list[OwnedObject] = []

    async def on_refused(created: OwnedObject) -> None:
        refused.append(created)

    ownership = StoredOwnership(
        link,
        on_refused=on_refused,
        max_unsaved=max_unsaved,
        now_seconds=clock.now,
        unix_seconds=clock.now,
        sleep=clock.sleep,
    )
    ownership.refused = refused  # type: ignore[attr-defined]
    ownership.start()
    try:
        yield ownership
    finally:
        store.gate.set()
        await ownership.aclose()
        await link.aclose()


@pytest.fixture
async def ownership(store: GatedStore, clock: Clock) -> AsyncIterator[StoredOwnership]:
    async with opened(store, clock) as ownership:
        yield ownership


async def adopt(store: GatedStore, *thread_ids: str) -> None:
    await store.adopt_objects(THREAD, dict.fromkeys(thread_ids, ALICE), 0)

"""A ledger in memory that a test makes slow, unreachable or faulty, and whose calls it counts."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection

from gateway.identity.principal import Owner
from gateway.ledger.ledger_store import LedgerUnavailableError, MadeFile, ObjectKind, StoredIntent
from gateway.ledger.memory_store import MemoryStore

ALICE = Owner("https://login.example.com", "alice")
BOB = Owner("https://login.example.com", "bob")

PATIENT_SECONDS = 10.0
"""A deadline that is long enough on a busy machine."""


class GatedStore(MemoryStore):
    """Waits at `gate` in each call, and fails while `error` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.calls: Counter[str] = Counter()
        self.asked: list[set[str]] = []

    @property
    def thread_owners(self) -> dict[str, Owner]:
        return self._owners_of(ObjectKind.THREAD)

    @property
    def file_owners(self) -> dict[str, Owner]:
        return self._owners_of(ObjectKind.FILE)

    @property
    def intents(self) -> list[StoredIntent]:
        return list(self._intents.values())

    def go_away(self) -> None:
        self.error = LedgerUnavailableError("gone")

    def come_back(self) -> None:
        self.error = None

    async def find_owners(self, kind: ObjectKind, object_ids: Collection[str]) -> dict[str, Owner]:
        self.asked.append(set(object_ids))
        await self._pass("find_owners")
        return await super().find_owners(kind, object_ids)

    async def add_intent(self, intent: StoredIntent) -> None:
        await self._pass("add_intent")
        await super().add_intent(intent)

    async def remove_intent(self, intent: StoredIntent) -> None:
        await self._pass("remove_intent")
        await super().remove_intent(intent)

    async def add_created(self, intent: StoredIntent, object_id: str) -> bool:
        await self._pass("add_created")
        return await super().add_created(intent, object_id)

    async def remove_objects(self, kind: ObjectKind, object_ids: Collection[str]) -> None:
        await self._pass("remove_objects")
        await super().remove_objects(kind, object_ids)

    async def add_made_files(self, files: Collection[MadeFile], created_at: int) -> dict[str, Owner]:
        await self._pass("add_made_files")
        return await super().add_made_files(files, created_at)

    async def check(self) -> None:
        await self._pass("check")

    def _owners_of(self, kind: ObjectKind) -> dict[str, Owner]:
        return {owned.object_id: owner for owned, owner in self._owners.items() if owned.kind is kind}

    async def _pass(self, call: str) -> None:
        self.calls[call] += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_SECONDS):
        while not condition():  # noqa: ASYNC110 - the condition is anything
            await asyncio.sleep(0.001)

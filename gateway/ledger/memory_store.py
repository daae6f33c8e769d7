"""The ledger in memory, for the demo: gone when the process ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from gateway.identity.principal import Owner
from gateway.ledger.ledger_store import Adoption, MadeFile, ObjectKind, OwnedObject, StoredIntent
from gateway.ledger.memory_copy_store import MemoryCopyStore
from gateway.ledger.memory_kept_records import MemoryAssistants, MemoryChains, MemoryLocks
from gateway.ledger.memory_record_store import MemoryRecordStore
from gateway.ledger.record_store import KeptTexts, RecordStore
from gateway.upstream.responses.kept_records import KeptRecords


class MemoryStore:
    """A ledger store without a database. As the demo's data in the emulator, it grows with what is created."""

    def __init__(self, *, kept_texts: KeptTexts = KeptTexts.ALL, unix_seconds: Callable[[], float] = time.time) -> None:
        self._owners: dict[OwnedObject, Owner] = {}
        self._intents: dict[str, StoredIntent] = {}
        self._forgotten: set[Owner] = set()
        self._unix_seconds = unix_seconds
        self._locks = MemoryLocks(unix_seconds)
        self._chains = MemoryChains(self._locks)
        self._assistants = MemoryAssistants()
        self._kept = KeptRecords(self._chains, self._assistants, self._locks)
        self._records = MemoryRecordStore(
            lambda thread_id: self._owners.get(OwnedObject(ObjectKind.THREAD, thread_id)),
            kept_texts=kept_texts,
            chains=self._chains,
        )
        self._copies = MemoryCopyStore()

    @property
    def records(self) -> RecordStore:
        return self._records

    @property
    def copies(self) -> MemoryCopyStore:
        return self._copies

    @property
    def kept(self) -> KeptRecords:
        return self._kept

    async def find_owners(self, kind: ObjectKind, object_ids: Collection[str]) -> dict[str, Owner]:
        return self._find_owners(kind, object_ids)

    async def add_intent(self, intent: StoredIntent) -> None:
        self._intents[intent.intent_id] = intent

    async def remove_intent(self, intent: StoredIntent) -> None:
        self._intents.pop(intent.intent_id, None)

    async def add_created(self, intent: StoredIntent, object_id: str) -> bool:
        known = self._intents.pop(intent.intent_id, None) is not None
        created = OwnedObject(intent.kind, object_id)
        if created not in self._owners and not known and intent.owner in self._forgotten:
            return False
        return self._owners.setdefault(created, intent.owner) == intent.owner

    async def add_made_files(
        self,
        files: Collection[MadeFile],
        created_at: int,  # noqa: ARG002 - kept by databases only
    ) -> dict[str, Owner]:
        for made in files:
            if self._owners.get(OwnedObject(ObjectKind.THREAD, made.thread_id)) == made.owner:
                self._owners.setdefault(OwnedObject(ObjectKind.FILE, made.file_id), made.owner)
        return self._find_owners(ObjectKind.FILE, [made.file_id for made in files])

    async def remove_objects(self, kind: ObjectKind, object_ids: Collection[str]) -> None:
        for object_id in object_ids:
            self._owners.pop(OwnedObject(kind, object_id), None)
        if kind is ObjectKind.THREAD:
            await self._records.remove_threads(object_ids, int(self._unix_seconds() * 1000))

    async def adopt_objects(
        self,
        kind: ObjectKind,
        owners: Mapping[str, Owner],
        created_at: int,  # noqa: ARG002 - kept by databases only
        *,
        reassign: bool = False,
    ) -> Adoption:
        outcome = Adoption()
        adopted_now: dict[str, Owner] = {}
        for object_id, owner in owners.items():
            adopted = OwnedObject(kind, object_id)
            present = self._owners.get(adopted)
            if owner in self._forgotten:
                outcome += Adoption(forgotten=1)
            elif present == owner:
                outcome += Adoption(already_theirs=1)
            elif present is not None and not reassign:
                outcome += Adoption(anothers=1)
            else:
                self._owners[adopted] = adopted_now[object_id] = owner
                outcome += Adoption(adopted=1, reassigned=int(present is not None))
        if kind is ObjectKind.THREAD:
            await self._records.welcome_threads(adopted_now)
        return outcome

    async def list_objects(self, owner: Owner, limit: int, after: OwnedObject | None = None) -> Sequence[OwnedObject]:
        theirs = sorted(owned for owned, present in self._owners.items() if present == owner)
        return [owned for owned in theirs if after is None or owned > after][:limit]

    async def count_objects(self, owner: Owner) -> int:
        return sum(present == owner for present in self._owners.values())

    async def add_tombstone(self, owner: Owner, forgotten_at: int) -> None:  # noqa: ARG002 - kept by databases only
        self._forgotten.add(owner)
        self._intents = {key: intent for key, intent in self._intents.items() if intent.owner != owner}

    async def remove_intents_before(self, created_at: int) -> int:
        old = [key for key, intent in self._intents.items() if intent.created_at < created_at]
        for key in old:
            del self._intents[key]
        return len(old)

    async def move_assistants(self, source: str, target: str) -> int:
        return self._assistants.move_all(source, target)

    async def remove_locks_before(self, until: float) -> int:
        return self._locks.remove_ended(until)

    def _find_owners(self, kind: ObjectKind, object_ids: Collection[str]) -> dict[str, Owner]:
        owners = self._owners
        return {
            object_id: owner
            for object_id in object_ids
            if (owner := owners.get(OwnedObject(kind, object_id))) is not None
        }

    async def check(self) -> None:
        """Do nothing: memory answers."""

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""

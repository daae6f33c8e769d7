"""Random creates, deletions and reads while the ledger fails at any step and gateways are killed.

An owner is right or nobody's, never another's; and of a gateway that lives on, it is right once the ledger is back.
"""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.principal import Owner
from gateway.ledger.ledger_link import OPEN_SECONDS, LedgerLink
from gateway.ledger.ledger_store import LedgerUnavailableError, ObjectKind, StoredIntent
from gateway.ledger.memory_store import MemoryStore
from gateway.ledger.stored_ownership import SWEEP_SECONDS, StoredOwnership
from schema.contract.errors import ErrorCode, GatewayError
from tests.gateway.ledger.gated_store import ALICE, BOB, PATIENT_SECONDS, until
from tests.support.full_runs import examples

ResultT = TypeVar("ResultT")

OWNERS = [ALICE, BOB]


class FailingStore(MemoryStore):
    """Fails as its `faults` say, call by call: before its work, or after it, as if the answer were lost."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    async def find_owners(self, kind: ObjectKind, object_ids: Collection[str]) -> dict[str, Owner]:
        return await self._fail_around(super().find_owners(kind, object_ids))

    async def add_intent(self, intent: StoredIntent) -> None:
        await self._fail_around(super().add_intent(intent))

    async def add_created(self, intent: StoredIntent, object_id: str) -> bool:
        return await self._fail_around(super().add_created(intent, object_id))

    async def remove_objects(self, kind: ObjectKind, object_ids: Collection[str]) -> None:
        await self._fail_around(super().remove_objects(kind, object_ids))

    async def _fail_around(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "before":
            work.close()
            raise LedgerUnavailableError("gone")
        result = await work
        if fault == "after":
            raise LedgerUnavailableError("gone")
        return result


class Gateways:
    """Two gateways over one ledger, whose clocks pass while they sleep, and what is true upstream."""

    def __init__(self, store: FailingStore) -> None:
        self.store = store
        self.seconds = 1_000_000.0
        self.true_owners: dict[str, Owner] = {}
        self.deleted: dict[str, bool] = {}
        self.lost: set[str] = set()
        self.links = [self._link(), self._link()]
        self.alive = [self._ownership(link) for link in self.links]
        self._recorded_by: list[set[str]] = [set(), set()]

    async def create(self, gateway: int, owner: Owner) -> None:
        try:
            intent = await self.alive[gateway].begin_create(owner, ObjectKind.THREAD)
        except GatewayError as error:
            self._expect_unavailable(error)
            return
        thread_id = f"thread_{len(self.true_owners)}"
        self.true_owners[thread_id] = owner
        self._recorded_by[gateway].add(thread_id)
        await intent.record_id(thread_id)
        assert await self.alive[gateway].find_owners(ObjectKind.THREAD, [thread_id]) == {thread_id: owner}

    async def delete(self, gateway: int, number: int) -> None:
        if self.true_owners:
            thread_id = f"thread_{number % len(self.true_owners)}"
            # A gateway that has not stored yet what another one deletes leaves a row that names no thread.
            self.deleted[thread_id] = self.deleted.get(thread_id, False) or thread_id in self._recorded_by[gateway]
            self._recorded_by[gateway].add(thread_id)
            await self.alive[gateway].record_deleted(ObjectKind.THREAD, thread_id)

    async def read(self, gateway: int) -> None:
        for thread_id, owner in self.true_owners.items():
            try:
                found = await self.alive[gateway].find_owners(ObjectKind.THREAD, [thread_id])
            except GatewayError as error:
                self._expect_unavailable(error)
            else:
                assert found.get(thread_id, owner) == owner

    async def kill(self, gateway: int) -> None:
        """End a gateway without a word to the ledger, and start another in its place."""
        self.lost |= self._recorded_by[gateway]
        self._recorded_by[gateway] = set()
        await self.links[gateway].aclose()
        await self.alive[gateway].aclose()
        self.links[gateway] = self._link()
        self.alive[gateway] = self._ownership(self.links[gateway])

    async def close(self) -> None:
        for ownership, link in zip(self.alive, self.links, strict=True):
            await ownership.aclose()
            await link.aclose()

    async def sleep(self, seconds: float) -> None:
        assert seconds < SWEEP_SECONDS
        self.seconds += seconds
        await asyncio.sleep(0)

    def _expect_unavailable(self, error: GatewayError) -> None:
        assert error.code is ErrorCode.LEDGER_UNAVAILABLE
        self.seconds += OPEN_SECONDS

    def _link(self) -> LedgerLink:
        return LedgerLink(self.store, deadline_seconds=PATIENT_SECONDS, now_seconds=lambda: self.seconds)

    def _ownership(self, link: LedgerLink) -> StoredOwnership:
        return StoredOwnership(link, now_seconds=lambda: self.seconds, sleep=self.sleep)


_GATEWAY = st.integers(0, 1)
_FAULTS = st.lists(st.sampled_from(["", "before", "after"]), max_size=4)
_STEPS = st.one_of(
    st.tuples(st.just("create"), _GATEWAY, st.sampled_from(OWNERS)),
    st.tuples(st.just("delete"), _GATEWAY, st.integers(0, 5)),
    st.tuples(st.just("read"), _GATEWAY),
    st.tuples(st.just("kill"), _GATEWAY),
)


@given(steps=st.lists(st.tuples(_STEPS, _FAULTS), max_size=20))
@examples(500)
async def test_an_owner_is_right_or_nobodys(steps: list[tuple[tuple[Any, ...], list[str]]]) -> None:
    store = FailingStore()
    gateways = Gateways(store)
    for (name, *arguments), faults in steps:
        store.faults = list(faults)
        await getattr(gateways, name)(*arguments)
        stored = await MemoryStore.find_owners(store, ObjectKind.THREAD, list(gateways.true_owners))
        assert stored.items() <= gateways.true_owners.items()
    store.faults = []
    await until(lambda: not any(ownership.unsaved_count for ownership in gateways.alive))
    stored = await MemoryStore.find_owners(store, ObjectKind.THREAD, list(gateways.true_owners))
    for thread_id, owner in gateways.true_owners.items():
        if thread_id not in gateways.lost and thread_id not in gateways.deleted:
            assert stored[thread_id] == owner
        elif thread_id not in gateways.lost and gateways.deleted[thread_id]:
            assert thread_id not in stored
    await gateways.close()

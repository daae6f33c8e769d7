import asyncio

import pytest

from gateway.ledger.forgetting import CONCURRENCY, PAGE_SIZE, RETRY_PAUSES, Forgetter
from gateway.ledger.ledger_store import MadeFile, ObjectKind, OwnedObject, StoredIntent
from gateway.ledger.memory_store import MemoryStore
from schema.contract.errors import ErrorCode, GatewayError
from tests.gateway.ledger.gated_store import ALICE, BOB

THREAD, FILE = ObjectKind.THREAD, ObjectKind.FILE


class Upstream:
    """Deletes objects, unless a test has set errors for one, which come one after another."""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.errors: dict[str, list[GatewayError]] = {}
        self.most_at_once = 0
        self.slept: list[float] = []
        self.progress: list[int] = []
        self._at_once = 0

    async def delete(self, owned: OwnedObject) -> None:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        self._at_once -= 1
        if errors := self.errors.get(owned.object_id):
            raise errors.pop(0)
        self.deleted.append(owned.object_id)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def forgetter(self, store: MemoryStore) -> Forgetter:
        return Forgetter(
            store, self.delete, unix_seconds=lambda: 1000.0, on_progress=self.progress.append, sleep=self.sleep
        )


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


async def store_with(*thread_ids: str) -> MemoryStore:
    store = MemoryStore()
    await store.adopt_objects(THREAD, {**dict.fromkeys(thread_ids, ALICE), "thread_of_bob": BOB}, 0)
    return store


async def test_all_threads_are_deleted_a_few_at_once(upstream: Upstream) -> None:
    threads = [f"thread_{number:03}" for number in range(PAGE_SIZE + 10)]
    store = await store_with(*threads)
    forgetter = upstream.forgetter(store)
    await forgetter.forget(ALICE)
    assert sorted(upstream.deleted) == threads
    assert upstream.most_at_once == CONCURRENCY
    assert (forgetter.deleted, forgetter.failures) == ({THREAD: len(threads)}, {})
    assert upstream.progress == [PAGE_SIZE, PAGE_SIZE + 10]
    assert await store.count_objects(ALICE) == 0
    assert await store.count_objects(BOB) == 1


async def test_a_thread_that_is_gone_already_counts_as_deleted(upstream: Upstream) -> None:
    store = await store_with("thread_1")
    upstream.errors["thread_1"] = [GatewayError(ErrorCode.NOT_FOUND, "gone")]
    await upstream.forgetter(store).forget(ALICE)
    assert await store.count_objects(ALICE) == 0


async def test_a_failure_that_may_pass_is_tried_again(upstream: Upstream) -> None:
    store = await store_with("thread_1")
    upstream.errors["thread_1"] = [
        GatewayError(ErrorCode.RATE_LIMITED, "slow down", retry_after_ms=3000),
        GatewayError(ErrorCode.UPSTREAM_FAILED, "oh"),
    ]
    await upstream.forgetter(store).forget(ALICE)
    assert upstream.slept == [3.0, RETRY_PAUSES[1]]
    assert upstream.deleted == ["thread_1"]


async def test_a_thread_that_stays_is_told_and_does_not_keep_the_others(upstream: Upstream) -> None:
    store = await store_with("thread_1", "thread_2", "thread_3")
    refused = GatewayError(ErrorCode.CONFLICT, "busy")
    upstream.errors["thread_1"] = [refused] * 5
    upstream.errors["thread_2"] = [GatewayError(ErrorCode.UPSTREAM_FAILED, "oh")] * 20
    forgetter = upstream.forgetter(store)
    await forgetter.forget(ALICE)
    assert upstream.deleted == ["thread_3"]
    assert set(forgetter.failures) == {OwnedObject(THREAD, "thread_1"), OwnedObject(THREAD, "thread_2")}
    assert forgetter.failures[OwnedObject(THREAD, "thread_1")] is refused
    assert set(await store.find_owners(THREAD, ["thread_1", "thread_2", "thread_3"])) == {"thread_1", "thread_2"}


async def test_the_tombstone_comes_first_and_threads_made_meanwhile_go_too(upstream: Upstream) -> None:
    store = await store_with("thread_1")
    late = StoredIntent("late", ALICE, THREAD, 0)
    new = StoredIntent("new", ALICE, THREAD, 0)
    await store.add_intent(late)
    delete = upstream.delete

    async def delete_and_create(owned: OwnedObject) -> None:
        if not upstream.deleted:
            assert not await store.add_created(late, "thread_late")
            await store.add_intent(new)
            # It sorts before the thread that the list is at.
            assert await store.add_created(new, "thread_0")
        await delete(owned)

    forgetter = Forgetter(store, delete_and_create, unix_seconds=lambda: 1000.0, on_progress=upstream.progress.append)
    await forgetter.forget(ALICE)
    assert upstream.deleted == ["thread_1", "thread_0"]
    assert await store.count_objects(ALICE) == 0


async def test_files_go_before_threads_and_those_that_a_run_makes_meanwhile_go_too(upstream: Upstream) -> None:
    store = await store_with("thread_1")
    await store.adopt_objects(FILE, {"file_1": ALICE, "file_of_bob": BOB}, 0)
    delete = upstream.delete

    async def delete_and_make(owned: OwnedObject) -> None:
        if owned.kind is THREAD:
            made = [MadeFile("file_0", "thread_1", ALICE)]
            assert await store.add_made_files(made, 0) == {"file_0": ALICE}
        await delete(owned)

    forgetter = Forgetter(store, delete_and_make, unix_seconds=lambda: 1000.0, on_progress=upstream.progress.append)
    await forgetter.forget(ALICE)
    assert upstream.deleted == ["file_1", "thread_1", "file_0"]
    assert forgetter.deleted == {FILE: 2, THREAD: 1}
    assert await store.add_made_files([MadeFile("file_2", "thread_1", ALICE)], 0) == {}, "its thread is gone"
    assert await store.find_owners(FILE, ["file_of_bob"]) == {"file_of_bob": BOB}

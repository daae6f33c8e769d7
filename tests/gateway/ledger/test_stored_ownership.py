"""The owners of threads over a ledger that a test makes slow, unreachable or faulty."""

import asyncio
import logging

import pytest

from gateway.ledger.known_owners import KNOWN_SECONDS
from gateway.ledger.ledger_link import OPEN_SECONDS
from gateway.ledger.ledger_store import OwnedObject
from gateway.ledger.stored_ownership import INTENT_SECONDS, StoredOwnership
from schema.contract.errors import ErrorCode, GatewayError
from tests.gateway.ledger.gated_store import ALICE, BOB, GatedStore, until
from tests.gateway.ledger.opened_ownership import THREAD, Clock, adopt, clock, opened, ownership, store

__all__ = ["clock", "ownership", "store"]  # fixtures


async def create(ownership: StoredOwnership, thread_id: str) -> None:
    intent = await ownership.begin_create(ALICE, THREAD)
    await intent.record_id(thread_id)


def assert_unavailable(error: GatewayError) -> None:
    assert error.code is ErrorCode.LEDGER_UNAVAILABLE
    assert error.retryable
    assert error.retry_after_ms is not None


async def test_a_created_thread_is_its_owners_and_stored_before_the_answer(
    ownership: StoredOwnership, store: GatedStore
) -> None:
    intent = await ownership.begin_create(ALICE, THREAD)
    assert store.calls == {"add_intent": 1}
    await intent.record_id("thread_1")
    assert store.thread_owners["thread_1"] == ALICE
    assert await ownership.find_owners(THREAD, ["thread_1"]) == {"thread_1": ALICE}
    assert store.calls["find_owners"] == 0


async def test_a_batch_is_one_look_up_and_then_in_memory_for_a_minute(
    ownership: StoredOwnership, store: GatedStore, clock: Clock
) -> None:
    await adopt(store, "thread_1", "thread_2")
    for _ in range(2):
        owners = await ownership.find_owners(THREAD, ["thread_1", "thread_2", "thread_1"])
        assert owners == {"thread_1": ALICE, "thread_2": ALICE}
    assert store.asked == [{"thread_1", "thread_2"}]
    clock.seconds += KNOWN_SECONDS + 1
    await ownership.find_owners(THREAD, ["thread_1"])
    assert store.asked[1:] == [{"thread_1"}]


async def test_a_thread_of_nobody_is_left_out_and_looked_up_again(
    ownership: StoredOwnership, store: GatedStore
) -> None:
    assert await ownership.find_owners(THREAD, ["thread_1"]) == {}
    await adopt(store, "thread_1")
    assert await ownership.find_owners(THREAD, ["thread_1"]) == {"thread_1": ALICE}


async def test_look_ups_of_the_same_thread_share_a_query(ownership: StoredOwnership, store: GatedStore) -> None:
    await adopt(store, "thread_1", "thread_2")
    store.gate.clear()
    first = asyncio.create_task(ownership.find_owners(THREAD, ["thread_1"]))
    await until(lambda: len(store.asked) == 1)
    second = asyncio.create_task(ownership.find_owners(THREAD, ["thread_1", "thread_2"]))
    await until(lambda: len(store.asked) == 2)
    store.gate.set()
    assert await first == {"thread_1": ALICE}
    assert await second == {"thread_1": ALICE, "thread_2": ALICE}
    assert store.asked == [{"thread_1"}, {"thread_2"}]


async def test_one_who_leaves_does_not_end_the_look_up_of_another(
    ownership: StoredOwnership, store: GatedStore
) -> None:
    await adopt(store, "thread_1")
    store.gate.clear()
    leaving = asyncio.create_task(ownership.find_owners(THREAD, ["thread_1"]))
    await until(lambda: len(store.asked) == 1)
    staying = asyncio.create_task(ownership.find_owners(THREAD, ["thread_1"]))
    await asyncio.sleep(0)
    leaving.cancel()
    store.gate.set()
    assert await staying == {"thread_1": ALICE}
    assert len(store.asked) == 1


async def test_a_ledger_that_is_away_fails_all_but_what_is_known(
    ownership: StoredOwnership, store: GatedStore, clock: Clock
) -> None:
    await adopt(store, "thread_1", "thread_2")
    await ownership.find_owners(THREAD, ["thread_1"])
    store.go_away()
    assert await ownership.find_owners(THREAD, ["thread_1"]) == {"thread_1": ALICE}
    with pytest.raises(GatewayError) as of_read:
        await ownership.find_owners(THREAD, ["thread_1", "thread_2"])
    assert_unavailable(of_read.value)
    with pytest.raises(GatewayError) as of_create:
        await ownership.begin_create(ALICE, THREAD)
    assert_unavailable(of_create.value)
    clock.seconds += KNOWN_SECONDS + 1
    with pytest.raises(GatewayError):
        await ownership.find_owners(THREAD, ["thread_1"])
    store.come_back()
    clock.seconds += OPEN_SECONDS
    assert await ownership.find_owners(THREAD, ["thread_1", "thread_2"]) == {
        "thread_1": ALICE,
        "thread_2": ALICE,
    }


async def test_nobody_waits_longer_than_the_deadline_for_a_ledger_that_hangs(store: GatedStore, clock: Clock) -> None:
    store.gate.clear()
    async with opened(store, clock, deadline_seconds=0.05) as ownership:
        for _ in range(3):
            with pytest.raises(GatewayError) as of_read:
                await ownership.find_owners(THREAD, ["thread_1"])
            assert_unavailable(of_read.value)
        # The circuit breaker spared the second and the third the wait.
        assert len(store.asked) == 1


async def test_an_id_that_cannot_be_stored_is_known_here_and_stored_when_the_ledger_is_back(
    ownership: StoredOwnership, store: GatedStore, clock: Clock
) -> None:
    intents = [await ownership.begin_create(owner, THREAD) for owner in (ALICE, BOB)]
    store.go_away()
    for number, intent in enumerate(intents):
        await intent.record_id(f"thread_{number}")
    clock.seconds += 10 * KNOWN_SECONDS
    assert await ownership.find_owners(THREAD, ["thread_0", "thread_1"]) == {
        "thread_0": ALICE,
        "thread_1": BOB,
    }
    await until(lambda: len(clock.slept) > 8)
    assert clock.slept[:6] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    store.come_back()
    await until(lambda: len(store.thread_owners) == 2)
    assert store.thread_owners["thread_0"] == ALICE
    assert store.thread_owners["thread_1"] == BOB


async def test_a_caller_that_leaves_has_recorded_its_thread(ownership: StoredOwnership, store: GatedStore) -> None:
    intent = await ownership.begin_create(ALICE, THREAD)
    store.gate.clear()
    leaving = asyncio.create_task(intent.record_id("thread_1"))
    await until(lambda: store.calls["add_created"] == 1)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await ownership.find_owners(THREAD, ["thread_1"]) == {"thread_1": ALICE}
    store.gate.set()
    await until(lambda: len(store.thread_owners) == 1)


async def test_no_create_begins_while_too_much_is_unsaved(store: GatedStore, clock: Clock) -> None:
    async with opened(store, clock, max_unsaved=2) as ownership:
        intents = [await ownership.begin_create(ALICE, THREAD) for _ in range(3)]
        store.gate.clear()
        records = [asyncio.create_task(intent.record_id(f"thread_{number}")) for number, intent in enumerate(intents)]
        await until(lambda: store.calls["add_created"] == 3)
        with pytest.raises(GatewayError) as of_create:
            await ownership.begin_create(ALICE, THREAD)
        assert_unavailable(of_create.value)
        # What exists upstream is recorded beyond the bound.
        store.gate.set()
        await asyncio.gather(*records)
        assert len(store.thread_owners) == 3
        await ownership.begin_create(ALICE, THREAD)


async def test_a_deletion_that_comes_too_much_is_dropped_and_logged(
    store: GatedStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(store, clock, max_unsaved=1) as ownership:
        await adopt(store, "thread_1", "thread_2")
        store.gate.clear()
        first = asyncio.create_task(ownership.record_deleted(THREAD, "thread_1"))
        await until(lambda: store.calls["remove_objects"] == 1)
        await ownership.record_deleted(THREAD, "thread_2")
        store.gate.set()
        await first
        assert "thread_1" not in store.thread_owners
        assert store.thread_owners["thread_2"] == ALICE
    assert "the deletion of thread_2 is not recorded" in caplog.text


async def test_a_deleted_thread_is_nobodys(ownership: StoredOwnership, store: GatedStore) -> None:
    await create(ownership, "thread_1")
    await ownership.record_deleted(THREAD, "thread_1")
    assert await ownership.find_owners(THREAD, ["thread_1"]) == {}
    assert "thread_1" not in store.thread_owners


async def test_a_thread_that_is_deleted_before_it_is_stored_stays_deleted(
    ownership: StoredOwnership, store: GatedStore, clock: Clock
) -> None:
    intent = await ownership.begin_create(ALICE, THREAD)
    store.gate.clear()
    recorded = asyncio.create_task(intent.record_id("thread_1"))
    await until(lambda: store.calls["add_created"] == 1)
    await ownership.record_deleted(THREAD, "thread_1")
    assert await ownership.find_owners(THREAD, ["thread_1"]) == {}
    store.gate.set()
    await recorded
    assert store.calls["remove_objects"] == 1
    assert await ownership.find_owners(THREAD, ["thread_1"]) == {}
    assert "thread_1" not in store.thread_owners


async def test_a_look_up_that_ends_after_a_deletion_is_not_kept(ownership: StoredOwnership, store: GatedStore) -> None:
    await adopt(store, "thread_1")
    reading = asyncio.create_task(ownership.find_owners(THREAD, ["thread_1"]))
    await until(lambda: len(store.asked) == 1)
    await ownership.record_deleted(THREAD, "thread_1")
    await reading
    assert await ownership.find_owners(THREAD, ["thread_1"]) == {}


async def test_an_id_that_the_ledger_refuses_for_good_does_not_keep_the_others_waiting(
    ownership: StoredOwnership, store: GatedStore, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = (
        await ownership.begin_create(ALICE, THREAD),
        await ownership.begin_create(ALICE, THREAD),
    )
    store.error = ValueError("too long")
    await bad.record_id("thread_bad")
    store.error = None
    await good.record_id("thread_good")
    assert store.thread_owners["thread_good"] == ALICE
    assert await ownership.find_owners(THREAD, ["thread_bad"]) == {}
    assert "the change of thread thread_bad cannot be stored" in caplog.text


async def test_a_discarded_intent_leaves_nothing(ownership: StoredOwnership, store: GatedStore) -> None:
    discarded, left = [await ownership.begin_create(ALICE, THREAD) for _ in range(2)]
    discarded.discard()
    await until(lambda: len(store.intents) == 1)
    store.go_away()
    left.discard()
    await until(lambda: store.calls["remove_intent"] == 2)
    assert len(store.intents) == 1


async def test_the_thread_of_an_owner_who_was_forgotten_meanwhile_is_refused(
    ownership: StoredOwnership, store: GatedStore
) -> None:
    intent = await ownership.begin_create(ALICE, THREAD)
    await store.add_tombstone(ALICE, 0)
    await intent.record_id("thread_1")
    assert await ownership.find_owners(THREAD, ["thread_1"]) == {}
    await until(lambda: ownership.refused == [OwnedObject(THREAD, "thread_1")])  # type: ignore[attr-defined]


async def test_a_thread_that_another_adopted_while_it_was_created_is_theirs_and_is_not_deleted(
    ownership: StoredOwnership, store: GatedStore, caplog: pytest.LogCaptureFixture
) -> None:
    intent = await ownership.begin_create(ALICE, THREAD)
    await store.adopt_objects(THREAD, {"thread_1": BOB}, 0)
    await intent.record_id("thread_1")
    assert await ownership.find_owners(THREAD, ["thread_1"]) == {"thread_1": BOB}
    assert "thread thread_1 is another's" in caplog.text
    await ownership.aclose()
    assert ownership.refused == []  # type: ignore[attr-defined]


async def test_old_intents_are_swept_at_the_start_and_every_hour(
    store: GatedStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(store, clock) as ownership:
        await ownership.begin_create(ALICE, THREAD)
        clock.seconds += INTENT_SECONDS / 2
        await ownership.begin_create(ALICE, THREAD)
        clock.seconds += INTENT_SECONDS / 2 + 1
        clock.sweep.set()
        await until(lambda: "creates whose outcome is unknown: 1" in caplog.text)
        assert len(store.intents) == 1


async def test_closing_stores_what_is_unsaved_if_the_ledger_is_back(store: GatedStore, clock: Clock) -> None:
    async with opened(store, clock) as ownership:
        intent = await ownership.begin_create(ALICE, THREAD)
        store.go_away()
        await intent.record_id("thread_1")
        store.come_back()
        clock.seconds += OPEN_SECONDS
    assert store.thread_owners["thread_1"] == ALICE


async def test_closing_names_the_threads_that_it_could_not_store(
    store: GatedStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        async with opened(store, clock) as ownership:
            intent = await ownership.begin_create(ALICE, THREAD)
            store.go_away()
            await intent.record_id("thread_1")
    assert "changes that never reached the ledger: 1, among them of thread_1" in caplog.text
    assert "alice" not in caplog.text


async def test_readiness_follows_the_ledger(ownership: StoredOwnership, store: GatedStore, clock: Clock) -> None:
    assert await ownership.check()
    store.go_away()
    assert not await ownership.check()
    store.come_back()
    clock.seconds += OPEN_SECONDS
    assert await ownership.check()

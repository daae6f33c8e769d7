"""One contract for every ledger store."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.principal import Owner, UpstreamIdentity
from gateway.ledger.ledger_store import Adoption, LedgerStore, MadeFile, ObjectKind, OwnedObject, StoredIntent
from gateway.ledger.memory_store import MemoryStore
from tests.contracts.ledger_stores import ALICE, BOB, THREAD, OpenLedger, create, intent_of, open_ledger, store
from tests.support.full_runs import examples

__all__ = ["open_ledger", "store"]  # fixtures

FILE = ObjectKind.FILE
OTHER_UPSTREAM = UpstreamIdentity("https://other.test/v1")


async def list_all(store: LedgerStore, owner: Owner, limit: int = 100) -> list[str]:
    listed: list[OwnedObject] = []
    while page := await store.list_objects(owner, limit, listed[-1] if listed else None):
        assert len(page) <= limit
        listed += page
    return [owned.object_id for owned in listed]


async def test_an_object_belongs_to_the_one_who_created_it(store: LedgerStore) -> None:
    await create(store, ALICE, "thread_1", "thread_2")
    await create(store, BOB, "thread_3")
    found = await store.find_owners(THREAD, ["thread_1", "thread_3", "thread_4"])
    assert found == {"thread_1": ALICE, "thread_3": BOB}
    assert await store.find_owners(THREAD, []) == {}


async def test_issuer_subject_and_tenant_are_all_part_of_an_owner(store: LedgerStore) -> None:
    owners = [Owner("i", "s", "t"), Owner("i", "s"), Owner("i", "t", "s"), Owner("s", "i", "t"), Owner("i", "S", "t")]
    for number, owner in enumerate(owners):
        await create(store, owner, f"thread_{number}")
    found = await store.find_owners(THREAD, [f"thread_{number}" for number in range(len(owners))])
    assert found == {f"thread_{number}": owner for number, owner in enumerate(owners)}
    for number, owner in enumerate(owners):
        assert await list_all(store, owner) == [f"thread_{number}"]
        assert await store.count_objects(owner) == 1


@pytest.mark.parametrize("text", ["nul\0", "\ud800 alone", "back\\slash\\0000", "%27; --", "ÄÖ ❄", ""])
async def test_texts_may_hold_any_character(store: LedgerStore, text: str) -> None:
    owner = Owner(text, text, text)
    await create(store, owner, text)
    assert await store.find_owners(THREAD, [text, text + "x"]) == {text: owner}
    assert await store.list_objects(owner, 10) == [OwnedObject(THREAD, text)]
    await store.remove_objects(THREAD, [text])
    assert await store.find_owners(THREAD, [text]) == {}


async def test_ids_differ_by_case(store: LedgerStore) -> None:
    await create(store, ALICE, "thread_a")
    assert await store.find_owners(THREAD, ["thread_A"]) == {}


async def test_another_upstream_sees_nothing(open_ledger: OpenLedger) -> None:
    here, there = await open_ledger(), await open_ledger(OTHER_UPSTREAM)
    await create(here, ALICE, "thread_1")
    await there.add_tombstone(ALICE, 1000)
    assert await there.find_owners(THREAD, ["thread_1"]) == {}
    assert await list_all(there, ALICE) == []
    await there.remove_objects(THREAD, ["thread_1"])
    assert await there.remove_intents_before(2000) == 0
    assert await here.find_owners(THREAD, ["thread_1"]) == {"thread_1": ALICE}
    assert await here.adopt_objects(THREAD, {"thread_2": ALICE}, 1000) == Adoption(adopted=1)


async def test_what_one_gateway_stores_another_sees(open_ledger: OpenLedger) -> None:
    here, there = await open_ledger(), await open_ledger()
    await create(here, ALICE, "thread_1")
    assert await there.find_owners(THREAD, ["thread_1"]) == {"thread_1": ALICE}


async def test_every_call_may_be_repeated(store: LedgerStore) -> None:
    intent = intent_of(ALICE)
    for _ in range(2):
        await store.add_intent(intent)
    for _ in range(2):
        assert await store.add_created(intent, "thread_1")
    for _ in range(2):
        await store.remove_intent(intent)
    assert await store.find_owners(THREAD, ["thread_1"]) == {"thread_1": ALICE}
    for _ in range(2):
        await store.add_tombstone(ALICE, 1000)
    assert await store.add_created(intent, "thread_1"), "it was recorded before the owner was forgotten"
    for _ in range(2):
        await store.remove_objects(THREAD, ["thread_1"])
    assert not await store.add_created(intent, "thread_1")


async def test_a_second_creator_does_not_get_the_object(store: LedgerStore) -> None:
    await create(store, ALICE, "thread_1")
    intent = intent_of(BOB)
    await store.add_intent(intent)
    assert not await store.add_created(intent, "thread_1")
    assert await store.find_owners(THREAD, ["thread_1"]) == {"thread_1": ALICE}


async def test_an_id_is_recorded_though_its_intent_was_swept(store: LedgerStore) -> None:
    intent = intent_of(ALICE, created_at=1000)
    await store.add_intent(intent)
    assert await store.remove_intents_before(1000) == 0
    assert await store.remove_intents_before(1001) == 1
    assert await store.add_created(intent, "thread_1")


async def test_recording_an_object_ends_its_intent(store: LedgerStore) -> None:
    await create(store, ALICE, "thread_1")
    discarded = intent_of(ALICE, "intent_2")
    await store.add_intent(discarded)
    await store.remove_intent(discarded)
    assert await store.remove_intents_before(10_000) == 0


async def test_nothing_late_comes_back_to_an_owner_who_was_forgotten(store: LedgerStore) -> None:
    before, swept, after = (intent_of(ALICE, name) for name in ("before", "swept", "after"))
    await store.add_intent(before)
    await store.add_tombstone(ALICE, 1000)
    assert not await store.add_created(before, "thread_1")
    assert not await store.add_created(swept, "thread_2")
    assert await store.adopt_objects(THREAD, {"thread_3": ALICE}, 1000) == Adoption(forgotten=1)
    assert await store.adopt_objects(THREAD, {"thread_3": ALICE}, 1000, reassign=True) == Adoption(forgotten=1)
    assert await store.count_objects(ALICE) == 0
    # One who comes back begins anew.
    await store.add_intent(after)
    assert await store.add_created(after, "thread_4")
    assert await list_all(store, ALICE) == ["thread_4"]


async def test_forgetting_one_owner_leaves_the_others(store: LedgerStore) -> None:
    intent = intent_of(BOB)
    await store.add_intent(intent)
    await create(store, ALICE, "thread_1")
    await store.add_tombstone(ALICE, 1000)
    assert await store.add_created(intent, "thread_2")
    assert await store.find_owners(THREAD, ["thread_1", "thread_2"]) == {"thread_1": ALICE, "thread_2": BOB}


async def test_adopting_changes_no_owner_unless_told_to(store: LedgerStore) -> None:
    await create(store, ALICE, "thread_1", "thread_2")
    wanted = {"thread_1": ALICE, "thread_2": BOB, "thread_3": BOB}
    assert await store.adopt_objects(THREAD, wanted, 1000) == Adoption(adopted=1, already_theirs=1, anothers=1)
    assert await store.find_owners(THREAD, wanted) == {"thread_1": ALICE, "thread_2": ALICE, "thread_3": BOB}
    assert await store.adopt_objects(THREAD, wanted, 1000, reassign=True) == Adoption(
        adopted=1, reassigned=1, already_theirs=2
    )
    assert await store.find_owners(THREAD, wanted) == wanted
    assert await list_all(store, ALICE) == ["thread_1"]
    assert await list_all(store, BOB) == ["thread_2", "thread_3"]
    assert await store.adopt_objects(THREAD, {}, 1000) == Adoption()


async def test_an_id_of_one_kind_is_no_id_of_another(store: LedgerStore) -> None:
    await create(store, ALICE, "same")
    assert await store.find_owners(FILE, ["same"]) == {}
    await store.adopt_objects(FILE, {"same": BOB}, 1000)
    await store.remove_objects(THREAD, ["same"])
    assert await store.find_owners(THREAD, ["same"]) == {}
    assert await store.find_owners(FILE, ["same"]) == {"same": BOB}


async def test_a_file_that_a_run_made_is_the_owners_of_the_thread(store: LedgerStore) -> None:
    await create(store, ALICE, "thread_1")
    made = [MadeFile("file_1", "thread_1", ALICE), MadeFile("file_2", "thread_1", ALICE)]
    for _ in range(2):
        assert await store.add_made_files(made, 1000) == {"file_1": ALICE, "file_2": ALICE}
    assert await store.find_owners(FILE, ["file_1", "file_2"]) == {"file_1": ALICE, "file_2": ALICE}
    assert await store.add_made_files([], 1000) == {}


async def test_a_file_of_somebody_does_not_change_its_owner_by_a_run(store: LedgerStore) -> None:
    await create(store, ALICE, "thread_1")
    await store.adopt_objects(FILE, {"file_1": BOB}, 1000)
    made = [MadeFile(name, "thread_1", ALICE) for name in ("file_1", "file_2")]
    assert await store.add_made_files(made, 1000) == {"file_1": BOB, "file_2": ALICE}


async def test_a_file_whose_thread_is_not_its_owners_any_more_stays_nobodys(store: LedgerStore) -> None:
    await create(store, ALICE, "thread_1", "thread_2")
    await create(store, BOB, "thread_3")
    await store.add_tombstone(ALICE, 1000)
    await store.remove_objects(THREAD, ["thread_1"])
    made = [MadeFile(f"file_{number}", f"thread_{number}", ALICE) for number in (1, 2, 3, 4)]
    assert await store.add_made_files(made, 1000) == {"file_2": ALICE}


async def test_files_and_removals_of_the_same_threads_at_once_leave_no_file_without_its_thread(
    open_ledger: OpenLedger,
) -> None:
    """Forgetting relies on it: once the thread is gone, no file of it can be added, so the last pass finds all."""
    stores = [await open_ledger() for _ in range(2)]
    threads = [f"thread_{number}" for number in range(20)]
    await create(stores[0], ALICE, *threads)
    made = [MadeFile(f"file_{thread}", thread, ALICE) for thread in threads]
    added, _ = await asyncio.gather(
        stores[0].add_made_files(made, 1000), stores[1].remove_objects(THREAD, list(reversed(threads)))
    )
    assert await stores[1].find_owners(FILE, [each.file_id for each in made]) == added
    assert added in ({}, {each.file_id: ALICE for each in made})
    assert await stores[1].add_made_files([MadeFile("file_late", "thread_1", ALICE)], 1000) == {}


async def test_a_list_goes_over_all_objects_page_by_page(store: LedgerStore) -> None:
    ids = [f"thread_{number}" for number in range(25)]
    await store.adopt_objects(THREAD, dict.fromkeys(ids, ALICE), 1000)
    await create(store, BOB, "thread_bob")
    assert sorted(await list_all(store, ALICE, limit=7)) == sorted(ids)
    assert await store.count_objects(ALICE) == 25


async def test_a_batch_may_be_large(store: LedgerStore) -> None:
    ids = [f"thread_{number}" for number in range(1000)]
    for start in range(0, 1000, 500):
        await store.adopt_objects(THREAD, dict.fromkeys(ids[start : start + 500], ALICE), 1000)
    assert len(await store.find_owners(THREAD, [*ids, *(f"unknown_{number}" for number in range(40_000))])) == 1000
    await store.remove_objects(THREAD, ids)
    assert await store.count_objects(ALICE) == 0


async def test_many_creates_at_once_are_all_recorded(open_ledger: OpenLedger) -> None:
    stores = [await open_ledger() for _ in range(2)]
    owners = {f"thread_{number}": (ALICE, BOB)[number % 2] for number in range(60)}
    await asyncio.gather(*(create(stores[i % 2], owner, thread) for i, (thread, owner) in enumerate(owners.items())))
    assert await stores[0].find_owners(THREAD, owners) == owners


async def test_only_one_of_those_who_adopt_at_once_gets_an_object(open_ledger: OpenLedger) -> None:
    stores = [await open_ledger() for _ in range(2)]
    ids = [f"thread_{number}" for number in range(50)]
    ours, theirs = await asyncio.gather(
        stores[0].adopt_objects(THREAD, dict.fromkeys(ids, ALICE), 1000),
        stores[1].adopt_objects(THREAD, dict.fromkeys(reversed(ids), BOB), 1000),
    )
    assert ours.adopted + theirs.adopted == 50
    assert ours.anothers + theirs.anothers == 50
    assert await stores[0].count_objects(ALICE) == ours.adopted


async def test_the_ledger_answers_a_check(store: LedgerStore) -> None:
    await store.check()


_OWNERS = [ALICE, BOB, Owner("", "\0"), Owner("\\", "\ud800")]
_IDS = ["thread_1", "thread_2", "thread_3", "\0\\0000", "\ud800"]
_SOME_OWNER, _SOME_ID = st.sampled_from(_OWNERS), st.sampled_from(_IDS)
_STEPS = st.one_of(
    st.tuples(st.just("begin"), _SOME_OWNER),
    st.tuples(st.just("record"), st.integers(0, 3), _SOME_ID),
    st.tuples(st.just("discard"), st.integers(0, 3)),
    st.tuples(st.just("delete"), st.lists(_SOME_ID, max_size=3)),
    st.tuples(st.just("adopt"), st.dictionaries(_SOME_ID, _SOME_OWNER, max_size=4), st.booleans()),
    st.tuples(st.just("make"), st.lists(st.builds(MadeFile, _SOME_ID, _SOME_ID, _SOME_OWNER), max_size=4)),
    st.tuples(st.just("delete file"), st.lists(_SOME_ID, max_size=3)),
    st.tuples(st.just("forget"), _SOME_OWNER),
    st.tuples(st.just("sweep"), st.integers(0, 6)),
)


@given(steps=st.lists(_STEPS, max_size=15))
@examples(100, shared_fixtures=True)
@pytest.mark.parametrize("open_ledger", ["sqlite", pytest.param("postgresql", marks=pytest.mark.full)], indirect=True)
async def test_a_database_does_what_the_memory_does(open_ledger: OpenLedger, steps: list[tuple[Any, ...]]) -> None:
    # Each example has a ledger of its own.
    memory, database = MemoryStore(), await open_ledger(UpstreamIdentity(f"https://{uuid4().hex}.test"))
    begun = [intent_of(ALICE, uuid4().hex)]
    for step in steps:
        if step[0] == "begin":
            begun.append(intent_of(step[1], uuid4().hex, created_at=len(begun)))
        assert await take_step(memory, step, begun) == await take_step(database, step, begun), step
        for kind in (THREAD, FILE):
            assert await memory.find_owners(kind, _IDS) == await database.find_owners(kind, _IDS), step
    for owner in _OWNERS:
        assert await list_all(memory, owner) == sorted(await list_all(database, owner, limit=2))
        assert await memory.count_objects(owner) == await database.count_objects(owner)
    await database.aclose()


async def take_step(store: LedgerStore, step: tuple[Any, ...], begun: list[StoredIntent]) -> object:
    match step:
        case ("begin", _):
            await store.add_intent(begun[-1])
        case ("record", number, thread_id):
            return await store.add_created(begun[number % len(begun)], thread_id)
        case ("discard", number):
            await store.remove_intent(begun[number % len(begun)])
        case ("delete", thread_ids):
            await store.remove_objects(THREAD, thread_ids)
        case ("make", files):
            return await store.add_made_files(files, 1000)
        case ("delete file", file_ids):
            await store.remove_objects(FILE, file_ids)
        case ("adopt", owners, reassign):
            return await store.adopt_objects(THREAD, owners, 1000, reassign=reassign)
        case ("forget", owner):
            await store.add_tombstone(owner, 1000)
        case ("sweep", created_at):
            return await store.remove_intents_before(created_at)
    return None

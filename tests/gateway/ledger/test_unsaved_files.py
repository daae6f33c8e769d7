"""The files that runs made, over a ledger that a test makes slow, unreachable or faulty."""

import pytest

from gateway.ledger.ledger_link import OPEN_SECONDS
from gateway.ledger.ledger_store import LedgerUnavailableError, MadeFile
from gateway.ledger.stored_ownership import StoredOwnership
from tests.gateway.ledger.gated_store import ALICE, BOB, GatedStore, until
from tests.gateway.ledger.opened_ownership import FILE, THREAD, Clock, adopt, clock, opened, ownership, store

__all__ = ["clock", "ownership", "store"]  # fixtures


def made(*file_ids: str, thread_id: str = "thread_1") -> list[MadeFile]:
    return [MadeFile(file_id, thread_id, ALICE) for file_id in file_ids]


async def record_made(ownership: StoredOwnership, files: list[MadeFile]) -> None:
    recording = ownership.record_made_files(files)
    assert recording is not None
    await recording


async def test_a_file_that_a_run_made_is_known_at_once_and_stored_with_the_others_of_its_time(
    ownership: StoredOwnership, store: GatedStore
) -> None:
    await adopt(store, "thread_1")
    store.gate.clear()
    first = ownership.record_made_files(made("file_1", "file_2"))
    assert await ownership.find_owners(FILE, ["file_1", "file_2"]) == {"file_1": ALICE, "file_2": ALICE}
    await until(lambda: store.calls["add_made_files"] == 1)
    later = [ownership.record_made_files(made(f"file_{number}")) for number in range(2, 8)]
    store.gate.set()
    for recording in (first, *later):
        assert recording is not None
        await recording
    assert store.calls["add_made_files"] == 2
    assert store.file_owners == {f"file_{number}": ALICE for number in range(1, 8)}
    assert store.calls["find_owners"] == 0
    assert ownership.record_made_files(made("file_1", "file_7")) is None, "they are stored"


async def test_a_file_of_anothers_stays_theirs(ownership: StoredOwnership, store: GatedStore) -> None:
    await adopt(store, "thread_1")
    await store.adopt_objects(FILE, {"file_1": BOB, "file_2": BOB}, 0)
    assert await ownership.find_owners(FILE, ["file_1"]) == {"file_1": BOB}
    store.gate.clear()
    recording = ownership.record_made_files(made("file_1", "file_2"))
    assert await ownership.find_owners(FILE, ["file_1"]) == {"file_1": BOB}, "whom this process knows"
    store.gate.set()
    assert recording is not None
    await recording
    assert await ownership.find_owners(FILE, ["file_1", "file_2"]) == {"file_1": BOB, "file_2": BOB}


async def test_files_of_runs_are_stored_when_the_ledger_is_back(
    ownership: StoredOwnership, store: GatedStore, clock: Clock
) -> None:
    await adopt(store, "thread_1")
    store.go_away()
    await record_made(ownership, made("file_1"))
    assert ownership.record_made_files(made("file_2")) is None, "nobody waits for a ledger that does not answer"
    assert await ownership.find_owners(FILE, ["file_1", "file_2"]) == {"file_1": ALICE, "file_2": ALICE}
    assert ownership.unsaved_count == 2
    await until(lambda: len(clock.slept) > 8)
    store.come_back()
    await until(lambda: ownership.unsaved_count == 0)
    assert store.file_owners == {"file_1": ALICE, "file_2": ALICE}


async def test_a_file_waits_for_its_thread_to_be_stored(
    ownership: StoredOwnership, store: GatedStore, clock: Clock
) -> None:
    intent = await ownership.begin_create(ALICE, THREAD)
    store.error = LedgerUnavailableError("gone")
    await intent.record_id("thread_1")
    await record_made(ownership, made("file_1"))
    assert store.calls["add_made_files"] == 0, "the thread has no row yet"
    store.come_back()
    await until(lambda: ownership.unsaved_count == 0)
    assert (store.thread_owners, store.file_owners) == ({"thread_1": ALICE}, {"file_1": ALICE})


async def test_a_file_whose_thread_is_gone_is_nobodys(ownership: StoredOwnership, store: GatedStore) -> None:
    await record_made(ownership, made("file_1"))
    assert await ownership.find_owners(FILE, ["file_1"]) == {}
    assert ownership.unsaved_count == 0
    await adopt(store, "thread_1")
    await record_made(ownership, made("file_1"))
    assert await ownership.find_owners(FILE, ["file_1"]) == {"file_1": ALICE}


async def test_a_deleted_file_is_not_recorded_again_by_what_still_names_it(
    ownership: StoredOwnership, store: GatedStore
) -> None:
    await adopt(store, "thread_1")
    await record_made(ownership, made("file_1"))
    await ownership.record_deleted(FILE, "file_1")
    assert ownership.record_made_files(made("file_1")) is None
    assert await ownership.find_owners(FILE, ["file_1"]) == {}
    assert store.file_owners == {}


async def test_a_file_and_a_thread_of_the_same_id_are_two(ownership: StoredOwnership, store: GatedStore) -> None:
    intent = await ownership.begin_create(BOB, FILE)
    await intent.record_id("same")
    await adopt(store, "same")
    assert await ownership.find_owners(THREAD, ["same"]) == {"same": ALICE}
    assert await ownership.find_owners(FILE, ["same"]) == {"same": BOB}
    await ownership.record_deleted(FILE, "same")
    assert await ownership.find_owners(THREAD, ["same"]) == {"same": ALICE}
    assert await ownership.find_owners(FILE, ["same"]) == {}


async def test_too_many_unsaved_files_are_left_for_the_next_time(store: GatedStore, clock: Clock) -> None:
    await adopt(store, "thread_1")
    async with opened(store, clock, max_unsaved=2) as ownership:
        store.go_away()
        await record_made(ownership, made("file_1", "file_2", "file_3"))
        assert ownership.unsaved_count == 2
        store.come_back()
        await until(lambda: ownership.unsaved_count == 0)
        await record_made(ownership, made("file_1", "file_2", "file_3"))
        assert set(store.file_owners) == {"file_1", "file_2", "file_3"}


async def test_unsaved_files_are_tried_once_more_at_the_end(
    store: GatedStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    await adopt(store, "thread_1")
    for is_away in (False, True):
        async with opened(store, clock) as ownership:
            store.go_away()
            await record_made(ownership, made(f"file_{is_away}"))
            if not is_away:
                store.come_back()
                clock.seconds += OPEN_SECONDS
        assert (f"file_{is_away}" in store.file_owners) is not is_away
    assert "files of runs that never reached the ledger: 1, among them file_True" in caplog.text

"""Tests that what waits for the ledger is merged, and bounded in number and in size."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.memory_store import MemoryStore
from gateway.ledger.sightings import CredentialOwner, GivenTitle, RecordKey, SeenMessage, SeenRun, SeenThread, Sighting
from gateway.viewer.pending_sightings import PendingSightings, merge_seen
from gateway.viewer.seen_objects import SeenObject
from schema.contract.statuses import is_terminal
from schema.contract.thread_records import (
    RecordFilter,
    RecordOrder,
    RecordWindow,
    TokenUsage,
    WaitingRunWindow,
)
from tests.support.wire_samples import run

ANN, BOB = CredentialOwner("ann"), CredentialOwner("bob")


def thread(number: int = 1, owner: CredentialOwner = ANN, **values: Any) -> SeenObject:
    return SeenObject(SeenThread(RecordKey(owner, f"thread_{number}"), **{"seen_at_ms": 1} | values))


def message(text: str | None, number: int = 1, **values: Any) -> SeenObject:
    return SeenObject(
        SeenMessage(RecordKey(ANN, "thread_1"), f"msg_{number}", **{"seen_at_ms": 1, "text": text} | values)
    )


def test_an_object_that_is_seen_again_waits_once_with_all_that_was_seen() -> None:
    pending = PendingSightings()
    assert pending.add(thread(opening="Hello"))
    assert pending.add(thread(seen_at_ms=2, created_at_ms=5))
    assert pending.add(message("old"))
    assert pending.add(message(None, seen_at_ms=3, is_first=True))
    batch = pending.take(10)
    assert [one.seen.sighting for one in batch.values()] == [
        SeenThread(RecordKey(ANN, "thread_1"), 2, created_at_ms=5, opening="Hello"),
        SeenMessage(RecordKey(ANN, "thread_1"), "msg_1", 3, text="old", is_first=True),
    ]
    assert (len(pending), pending.size_bytes, pending.has_owner(ANN)) == (0, 0, False)


def test_there_is_room_for_so_many_objects_and_the_oldest_are_taken_first() -> None:
    pending = PendingSightings(max_pending=2)
    assert [pending.add(thread(number)) for number in (1, 2, 3)] == [True, True, False]
    assert pending.add(thread(1, seen_at_ms=9)), "one that waits already needs no room"
    assert [sighting_id.key.thread_id for sighting_id in pending.take(1)] == ["thread_1"]
    assert pending.add(thread(3))
    assert [sighting_id.key.thread_id for sighting_id in pending.take(9)] == ["thread_2", "thread_3"]


def test_there_is_room_for_so_many_bytes() -> None:
    pending = PendingSightings(max_bytes=100_000)
    assert pending.add(message("x" * 90_000))
    assert not pending.add(message("x" * 20_000, 2))
    assert not pending.add(SeenObject(thread(2).sighting, run(instructions="y" * 20_000)))
    assert pending.add(message("x", 1, seen_at_ms=2)), "less than before"
    assert pending.add(message("x" * 20_000, 2))


def test_threads_and_owners_that_are_gone_are_removed() -> None:
    pending = PendingSightings()
    for seen in (thread(1), thread(2), thread(1, BOB), message("x")):
        pending.add(seen)
    pending.remove_thread("thread_1")
    assert [sighting_id.key for sighting_id in pending.take(9)] == [RecordKey(ANN, "thread_2")]
    for seen in (thread(1), thread(2, BOB)):
        pending.add(seen)
    pending.remove_owner(ANN)
    pending.remove_owner(ANN)
    assert [sighting_id.key for sighting_id in pending.take(9)] == [RecordKey(BOB, "thread_2")]
    assert pending.size_bytes == 0


def test_sightings_of_two_objects_are_not_merged() -> None:
    with pytest.raises(TypeError, match="one object"):
        merge_seen(thread(), message("x"))


TIMES = st.none() | st.integers(1, 9)
USAGES = st.none() | st.builds(TokenUsage, st.integers(0, 3), st.integers(0, 3), st.integers(0, 6), TIMES, TIMES)
STATUSES = st.sampled_from(["queued", "in_progress", "requires_action", "cancelling", "completed", "failed"])
KEY = RecordKey(ANN, "thread_1")
RUNS = st.builds(
    SeenRun,
    st.just(KEY),
    st.just("run_1"),
    STATUSES,
    st.integers(6, 9),
    created_at_ms=st.just(3),
    ended_at_ms=st.sampled_from([None, 4]),
    expires_at_ms=TIMES,
    assistant_id=st.just("asst_1"),
    usage=USAGES,
).map(lambda seen: seen if is_terminal(seen.status) else seen._replace(ended_at_ms=None))
THREADS = st.builds(
    SeenThread,
    st.just(KEY),
    st.integers(1, 9),
    created_at_ms=st.just(3),
    title=st.none() | st.integers(1, 9).map(lambda time_ms: GivenTitle(f"Title {time_ms}", time_ms)),
)


async def shown_after(sightings: list[Sighting]) -> object:
    """Return what the graph shows after these sightings, but for the time since when a run waits."""
    store = MemoryStore().records
    await store.record_sightings(sightings)
    waiting = await store.list_waiting_runs(ANN, WaitingRunWindow(9), 0)
    return (
        await store.get_records([KEY]),
        await store.list_records(ANN, RecordFilter(), RecordOrder.CREATED, RecordWindow(9)),
        await store.get_usage(ANN, None, None),
        [run.key for run in waiting.items],
    )


@given(st.lists(RUNS, min_size=1, max_size=4) | st.lists(THREADS, min_size=1, max_size=4))
async def test_what_is_merged_says_as_much_as_each_for_itself(sightings: list[Sighting]) -> None:
    pending = PendingSightings()
    for sighting in sightings:
        pending.add(SeenObject(sighting))
    merged = [one.seen.sighting for one in pending.take(9).values()]
    assert len(merged) == 1
    assert await shown_after(merged) == await shown_after(sightings)


def test_a_merged_run_is_shown_in_its_state() -> None:
    waits, goes_on = run(status="requires_action"), run(status="in_progress")

    def seen(wire: Any, seen_at_ms: int) -> SeenObject:
        return SeenObject(SeenRun(KEY, "run_1", wire.status, seen_at_ms), wire)

    for first, second in itertools.permutations([seen(waits, 1), seen(goes_on, 2)]):
        assert merge_seen(first, second).run is goes_on
    done = run(status="completed")
    for first, second in itertools.permutations([seen(done, 1), seen(goes_on, 2)]):
        assert merge_seen(first, second).run is done

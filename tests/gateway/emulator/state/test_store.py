import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.emulator.bodies.list_query import ListQuery
from gateway.emulator.objects import Message, Step, TextPart, Thread
from gateway.emulator.runs.timeline_events import RunEnded, RunStarted, TimedEvent
from gateway.emulator.state.store import Store
from tests.gateway.emulator.api_client import a_run


def a_message(number: int, created_at: int = 100, run_id: str | None = None) -> Message:
    return Message(id=f"msg_{number}", thread_id="thread_1", created_at=created_at, role="user", run_id=run_id)


def test_a_stored_object_is_returned_only_in_its_partition(store: Store) -> None:
    thread = Thread(id="thread_1", created_at=1, metadata={"é": "🎉"})
    store.threads.add("mine", thread)
    assert store.threads.get("mine", "thread_1") == thread
    assert store.threads.get("yours", "thread_1") is None
    assert store.messages.get("mine", "thread_1") is None


def test_a_failed_transaction_stores_nothing(store: Store) -> None:
    thread = Thread(id="thread_1", created_at=1)

    def add_twice() -> None:
        with store.transaction():
            store.threads.add("mine", thread)
            store.threads.add("mine", thread)

    with pytest.raises(sqlite3.IntegrityError):
        add_twice()
    assert store.threads.get("mine", "thread_1") is None


def test_deleting_a_thread_deletes_all_that_belongs_to_it(store: Store) -> None:
    store.threads.add("mine", Thread(id="thread_1", created_at=1))
    store.messages.add("mine", a_message(1))
    run = a_run()
    store.runs.add("mine", run)
    store.store_timeline("mine", run, (), 0)
    store.steps.add(
        "mine",
        Step(id="step_1", run_id=run.id, thread_id="thread_1", assistant_id="asst_1", created_at=1, expires_at=2),
    )
    store.threads.delete("mine", "thread_1")
    assert store.messages.get("mine", "msg_1") is None
    assert store.runs.get("mine", run.id) is None
    assert store.steps.get("mine", "step_1") is None


def test_a_replaced_object_keeps_its_position(store: Store) -> None:
    store.threads.add("mine", Thread(id="thread_1", created_at=1))
    for number in range(3):
        store.messages.add("mine", a_message(number))
    changed = Message(
        id="msg_1", thread_id="thread_1", created_at=100, role="user", content=(TextPart(value="changed"),)
    )
    store.messages.replace("mine", changed)
    page, _ = store.messages.page("mine", "thread_1", ListQuery(order="asc"))
    assert [message.id for message in page] == ["msg_0", "msg_1", "msg_2"]
    assert page[1] == changed


def test_a_mark_is_new_only_once(store: Store) -> None:
    assert [store.mark_once("x"), store.mark_once("x"), store.mark_once("y")] == [True, False, True]


@given(
    times=st.lists(st.integers(100, 103), max_size=12),
    run_ids=st.lists(st.sampled_from([None, "run_1"]), min_size=12, max_size=12),
    limit=st.integers(1, 14),
    is_ascending=st.booleans(),
    after=st.none() | st.integers(0, 11),
    before=st.none() | st.integers(0, 11),
    filters=st.booleans(),
)
def test_a_page_equals_the_page_of_a_plain_list(
    times: list[int],
    run_ids: list[str | None],
    limit: int,
    is_ascending: bool,
    after: int | None,
    before: int | None,
    filters: bool,
) -> None:
    store = Store(":memory:")
    try:
        store.threads.add("mine", Thread(id="thread_1", created_at=1))
        messages = [a_message(number, at, run_ids[number]) for number, at in enumerate(times)]
        for message in messages:
            store.messages.add("mine", message)
        known = {message.id for message in messages}
        after_id = f"msg_{after}" if f"msg_{after}" in known else None
        before_id = f"msg_{before}" if f"msg_{before}" in known else None

        ordered = sorted(messages, key=lambda message: message.created_at)
        if not is_ascending:
            ordered.reverse()
        ids = [message.id for message in ordered]
        start = ids.index(after_id) + 1 if after_id else 0
        end = ids.index(before_id) if before_id else len(ids)
        between = [message.id for message in ordered[start:end] if not filters or message.run_id == "run_1"]
        expected = between[-limit:] if before_id and not after_id else between[:limit]

        query = ListQuery(limit=limit, order="asc" if is_ascending else "desc", after=after_id, before=before_id)
        positions = [store.messages.position("mine", one, "thread_1") if one else None for one in (after_id, before_id)]
        page, has_more = store.messages.page(
            "mine", "thread_1", query, query.bounds(*positions), "run_1" if filters else None
        )
        assert [message.id for message in page] == expected
        assert has_more == (len(between) > limit)
    finally:
        store.close()


def test_runs_in_flight_are_those_with_pending_events(store: Store) -> None:
    store.threads.add("mine", Thread(id="thread_1", created_at=1))
    for name, applied in (("run_1", 0), ("run_2", 1)):
        run = a_run(id=name)
        store.runs.add("mine", run)
        store.store_timeline("mine", run, (TimedEvent(5.0, RunEnded(status="completed")),), applied)
    assert store.runs_in_flight() == [("mine", "thread_1", "run_1")]


def test_a_cached_timeline_is_never_older_than_the_database(store: Store) -> None:
    store.threads.add("mine", Thread(id="thread_1", created_at=1))
    started, ended = (TimedEvent(5.0, RunStarted()),), (TimedEvent(5.0, RunEnded(status="completed")),)
    runs = [a_run(id=f"run_{number}") for number in range(40)]
    for run in runs:
        store.runs.add("mine", run)
        store.store_timeline("mine", run, started, 0)

    def change_and_fail() -> None:
        with store.transaction():
            store.store_timeline("mine", runs[-1], ended, 1)
            assert store.load_timeline("mine", runs[-1].id) == (ended, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    # More timelines than the cache holds, and one whose change was rolled back.
    assert [store.load_timeline("mine", run.id) for run in runs] == [(started, 0)] * 40
    assert store.load_timeline("yours", "run_1") == ((), 0)

"""A thread's looks become changes: each thing once, oldest first, what ends after what it ends with."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.run_log.thread_state import NO_RUN, PolledThread, ThreadState, diff_thread
from schema.contract.run_events import (
    Change,
    FaultChange,
    MessageCreatedChange,
    MessageFinishedChange,
    SnapshotChange,
    StatusChange,
    is_terminal,
)
from schema.contract.wire import MessageObject, RunObject
from tests.support.run_log_processes import a_message
from tests.support.wire_samples import message, run


def seen(runs: list[RunObject], messages: list[MessageObject]) -> PolledThread:
    """A look at what lies in a thread, oldest first."""
    return PolledThread(runs[::-1], messages[::-1])


def looked(state: ThreadState, runs: list[RunObject], messages: list[MessageObject]) -> list[Change]:
    changes = diff_thread(state, seen(runs, messages))
    for change in changes:
        state.apply(change)
    return changes


def begun(runs: list[RunObject] | None = None, messages: list[MessageObject] | None = None) -> ThreadState:
    state = ThreadState()
    looked(state, runs or [], messages or [])
    return state


def question(id: str = "msg_0", at: int = 1) -> MessageObject:
    return message(id, role="user", created_at=at)


def test_the_first_look_is_a_baseline() -> None:
    state = ThreadState()
    changes = looked(state, [run("run_0"), run(status="in_progress")], [question(), a_message("Hi", None)])
    assert isinstance(changes[0], SnapshotChange)
    assert changes[0].run == NO_RUN
    assert [change.run.id for change in changes[1:] if isinstance(change, StatusChange)] == ["run_0", "run_1"]
    assert [one.id for one in state.active_runs] == ["run_1"]
    assert state.has_message("msg_0")
    assert state.is_finished("msg_0")
    assert not state.is_finished("msg_1")


def test_a_second_look_at_the_same_tells_nothing() -> None:
    look = ([run(status="in_progress")], [question(), a_message("Hi", None)])
    assert looked(begun(*look), *look) == []


def test_what_happens_is_told_in_order() -> None:
    state = begun()
    first = looked(state, [run(status="queued")], [question()])
    assert [type(change) for change in first] == [MessageCreatedChange, StatusChange]
    answer = a_message("Hi", None)
    second = looked(state, [run(status="in_progress")], [question(), answer])
    assert [type(change) for change in second] == [StatusChange, MessageCreatedChange]
    third = looked(state, [run(status="completed")], [question(), answer])
    assert [type(change) for change in third] == [MessageFinishedChange, StatusChange]
    assert isinstance(third[1], StatusChange)
    assert third[1].previous == "in_progress"
    assert looked(state, [run(status="completed")], [question(), answer]) == []


def test_what_happened_between_two_looks_is_told_at_once() -> None:
    changes = looked(begun(), [run(status="completed")], [question(), a_message("Hi", None, created_at=2)])
    assert [type(change) for change in changes] == [
        MessageCreatedChange, MessageCreatedChange, MessageFinishedChange, StatusChange,
    ]  # fmt: skip


def test_a_terminal_run_stays_so() -> None:
    state = begun([run(status="completed")])
    assert looked(state, [run(status="in_progress")], []) == []


def test_a_message_deleted_brings_no_older_one_back() -> None:
    state = begun([], [question("msg_5", at=5), question("msg_6", at=6)])
    assert looked(state, [], [question("msg_4", at=4), question("msg_5", at=5)]) == []
    assert looked(state, [], [question("msg_3", at=3), question("msg_4", at=4)]) == []
    (created,) = looked(state, [], [question("msg_5", at=5), question("msg_7", at=6)])
    assert isinstance(created, MessageCreatedChange)
    assert created.message.id == "msg_7"


def test_a_message_behind_a_known_one_is_new_whatever_its_time() -> None:
    state = begun([], [question("msg_5", at=5)])
    (created,) = looked(state, [], [question("msg_5", at=5), question("msg_6", at=4)])
    assert isinstance(created, MessageCreatedChange)


def test_an_answer_is_finished_by_its_status_or_its_run_or_without_either() -> None:
    for answer, status, is_finished in (
        (a_message("Hi", "completed"), "in_progress", True),
        (a_message("Hi", "in_progress"), "in_progress", False),
        (a_message("Hi", "in_progress"), "failed", True),
        (a_message("Hi", None), "in_progress", False),
        (a_message("Hi", None, run_id=None), "in_progress", True),
        (a_message("Hi", None, run_id="run_of_old"), "in_progress", True),
    ):
        changes = looked(begun([run(status="queued")]), [run(status=status)], [answer])
        assert any(isinstance(change, MessageFinishedChange) for change in changes) is is_finished


def test_the_baseline_makes_the_same_state() -> None:
    state = begun([run("run_0"), run(status="in_progress")], [question(), a_message("Hi", None)])
    again = ThreadState()
    for change in state.baseline():
        again.apply(change)
    look = ([run("run_0"), run(status="completed")], [question(), a_message("Hi", None), question("msg_2", at=2**31)])
    assert looked(again, *look) == looked(state, *look)
    assert ThreadState().baseline() == []
    state.apply(FaultChange("X", "x"))
    assert again.baseline() == state.baseline()


def test_what_is_known_is_bounded() -> None:
    state = begun()
    for number in range(500):
        state.apply(StatusChange(run(f"run_{number}", status="completed" if number else "in_progress")))
        state.apply(MessageCreatedChange(question(f"msg_{number}", at=number)))
    assert [one.id for one in state.active_runs] == ["run_0"]
    assert len(state.baseline()) <= 21
    assert not state.has_message("msg_0")
    assert state.has_message("msg_499")
    assert state.newest_created_at == 499


LIFE = ["queued", "in_progress", "requires_action", "queued", "in_progress", "completed"]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=12))
def test_however_seldom_one_looks_each_thing_is_told_once(looks: list[int]) -> None:
    state = begun()
    told: list[Change] = []
    for now in [*sorted(looks), 12]:
        runs = [run(status=LIFE[min(now - 1, 5)])] if now else []
        messages = [question()] if now else []
        messages += [a_message("Hi", None, created_at=9)] if now >= 5 else []
        told += looked(state, runs, messages)
    assert [change.message.id for change in told if isinstance(change, MessageCreatedChange)] == ["msg_0", "msg_1"]
    assert [change.message.id for change in told if isinstance(change, MessageFinishedChange)] == ["msg_1"]
    statuses = [change.run.status for change in told if isinstance(change, StatusChange)]
    assert sum(map(is_terminal, statuses)) == 1
    rest = iter(LIFE)
    assert all(status in rest for status in statuses)
    assert isinstance(told[-1], StatusChange)


def test_an_old_status_that_comes_late_is_no_news() -> None:
    state = begun([run(status="in_progress")])
    assert looked(state, [run(status="queued")], []) == []
    assert [type(change) for change in looked(state, [run(status="completed")], [])] == [StatusChange]

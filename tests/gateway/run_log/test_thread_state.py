"""Polls of a thread become changes: each comes once, oldest first, and the end of a run after its messages."""

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
)
from schema.contract.statuses import is_terminal
from schema.contract.wire import MessageObject, RunObject
from tests.support.run_log_processes import a_message
from tests.support.wire_samples import message, run


def polled_thread(runs: list[RunObject], messages: list[MessageObject]) -> PolledThread:
    """Return a poll result from lists that are oldest first."""
    return PolledThread(runs[::-1], messages[::-1])


def poll(state: ThreadState, runs: list[RunObject], messages: list[MessageObject]) -> list[Change]:
    changes = diff_thread(state, polled_thread(runs, messages))
    for change in changes:
        state.apply(change)
    return changes


def known_state(runs: list[RunObject] | None = None, messages: list[MessageObject] | None = None) -> ThreadState:
    state = ThreadState()
    poll(state, runs or [], messages or [])
    return state


def user_message(id: str = "msg_0", at: int = 1) -> MessageObject:
    return message(id, role="user", created_at=at)


def test_the_first_poll_gives_a_baseline() -> None:
    state = ThreadState()
    changes = poll(state, [run("run_0"), run(status="in_progress")], [user_message(), a_message("Hi", None)])
    assert isinstance(changes[0], SnapshotChange)
    assert changes[0].run == NO_RUN
    assert [change.run.id for change in changes[1:] if isinstance(change, StatusChange)] == ["run_0", "run_1"]
    assert [one.id for one in state.active_runs] == ["run_1"]
    assert state.has_message("msg_0")
    assert state.is_finished("msg_0")
    assert not state.is_finished("msg_1")


def test_a_second_poll_without_changes_gives_nothing() -> None:
    polled = ([run(status="in_progress")], [user_message(), a_message("Hi", None)])
    assert poll(known_state(*polled), *polled) == []


def test_changes_come_in_order() -> None:
    state = known_state()
    first = poll(state, [run(status="queued")], [user_message()])
    assert [type(change) for change in first] == [MessageCreatedChange, StatusChange]
    answer = a_message("Hi", None)
    second = poll(state, [run(status="in_progress")], [user_message(), answer])
    assert [type(change) for change in second] == [StatusChange, MessageCreatedChange]
    third = poll(state, [run(status="completed")], [user_message(), answer])
    assert [type(change) for change in third] == [MessageFinishedChange, StatusChange]
    assert isinstance(third[1], StatusChange)
    assert third[1].previous == "in_progress"
    assert poll(state, [run(status="completed")], [user_message(), answer]) == []


def test_all_changes_between_two_polls_come_together() -> None:
    changes = poll(known_state(), [run(status="completed")], [user_message(), a_message("Hi", None, created_at=2)])
    assert [type(change) for change in changes] == [
        MessageCreatedChange, MessageCreatedChange, MessageFinishedChange, StatusChange,
    ]  # fmt: skip


def test_a_terminal_run_stays_terminal() -> None:
    state = known_state([run(status="completed")])
    assert poll(state, [run(status="in_progress")], []) == []


def test_a_deletion_does_not_make_an_older_message_new() -> None:
    state = known_state([], [user_message("msg_5", at=5), user_message("msg_6", at=6)])
    assert poll(state, [], [user_message("msg_4", at=4), user_message("msg_5", at=5)]) == []
    assert poll(state, [], [user_message("msg_3", at=3), user_message("msg_4", at=4)]) == []
    (created,) = poll(state, [], [user_message("msg_5", at=5), user_message("msg_7", at=6)])
    assert isinstance(created, MessageCreatedChange)
    assert created.message.id == "msg_7"


def test_a_message_behind_a_known_one_is_new_at_any_creation_time() -> None:
    state = known_state([], [user_message("msg_5", at=5)])
    (created,) = poll(state, [], [user_message("msg_5", at=5), user_message("msg_6", at=4)])
    assert isinstance(created, MessageCreatedChange)


def test_a_message_is_finished_by_its_status_or_its_run_or_without_both() -> None:
    for answer, status, is_finished in (
        (a_message("Hi", "completed"), "in_progress", True),
        (a_message("Hi", "in_progress"), "in_progress", False),
        (a_message("Hi", "in_progress"), "failed", True),
        (a_message("Hi", None), "in_progress", False),
        (a_message("Hi", None, run_id=None), "in_progress", False),
        (a_message("Hi", None, run_id=None), "requires_action", True),
        (a_message("Hi", None, run_id=None), "completed", True),
        (a_message("Hi", None, run_id="run_of_old"), "in_progress", True),
    ):
        changes = poll(known_state([run(status="queued")]), [run(status=status)], [answer])
        assert any(isinstance(change, MessageFinishedChange) for change in changes) is is_finished


def test_the_baseline_rebuilds_the_same_state() -> None:
    state = known_state([run("run_0"), run(status="in_progress")], [user_message(), a_message("Hi", None)])
    again = ThreadState()
    for change in state.baseline():
        again.apply(change)
    polled = (
        [run("run_0"), run(status="completed")],
        [user_message(), a_message("Hi", None), user_message("msg_2", at=2**31)],
    )
    assert poll(again, *polled) == poll(state, *polled)
    assert ThreadState().baseline() == []
    state.apply(FaultChange("X", "x"))
    assert again.baseline() == state.baseline()


def test_the_state_is_bounded() -> None:
    state = known_state()
    for number in range(500):
        state.apply(StatusChange(run(f"run_{number}", status="completed" if number else "in_progress")))
        state.apply(MessageCreatedChange(user_message(f"msg_{number}", at=number)))
    assert [one.id for one in state.active_runs] == ["run_0"]
    assert len(state.baseline()) <= 21
    assert not state.has_message("msg_0")
    assert state.has_message("msg_499")
    assert state.newest_created_at == 499


LIFE = ["queued", "in_progress", "requires_action", "queued", "in_progress", "completed"]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=12))
def test_each_change_comes_once_at_any_poll_rate(poll_times: list[int]) -> None:
    state = known_state()
    all_changes: list[Change] = []
    for now in [*sorted(poll_times), 12]:
        runs = [run(status=LIFE[min(now - 1, 5)])] if now else []
        messages = [user_message()] if now else []
        messages += [a_message("Hi", None, created_at=9)] if now >= 5 else []
        all_changes += poll(state, runs, messages)
    assert [change.message.id for change in all_changes if isinstance(change, MessageCreatedChange)] == [
        "msg_0",
        "msg_1",
    ]
    assert [change.message.id for change in all_changes if isinstance(change, MessageFinishedChange)] == ["msg_1"]
    statuses = [change.run.status for change in all_changes if isinstance(change, StatusChange)]
    assert sum(map(is_terminal, statuses)) == 1
    rest = iter(LIFE)
    assert all(status in rest for status in statuses)
    assert isinstance(all_changes[-1], StatusChange)


def test_a_late_old_status_is_no_change() -> None:
    state = known_state([run(status="in_progress")])
    assert poll(state, [run(status="queued")], []) == []
    assert [type(change) for change in poll(state, [run(status="completed")], [])] == [StatusChange]

"""A poll gives only differences, the end last, and reports lost text."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.run_log.poll_diff import diff_poll
from gateway.run_log.run_state import RunState
from gateway.run_log.stream_diff import diff_stream_event
from schema.contract.run_events import (
    FaultChange,
    MessageCreatedChange,
    MessageFinishedChange,
    Provenance,
    SnapshotChange,
    StatusChange,
    StepChange,
    TextDeltaChange,
)
from schema.contract.statuses import is_terminal
from tests.support.run_log_processes import a_message, a_run, a_step, simple_run
from tests.support.wire_samples import run, run_step

WHOLE = simple_run("a", "b", "c")


def started_state(status: str = "in_progress") -> RunState:
    state = RunState()
    state.apply(SnapshotChange(a_run(status), [], []))
    return state


def poll(state: RunState, *polled: object) -> list[type]:
    changes = diff_poll(state, *polled)  # type: ignore[arg-type]
    for change in changes:
        state.apply(change)
    return [type(change) for change in changes]


def test_the_first_poll_gives_a_snapshot() -> None:
    stranger = a_message(id="msg_2", run_id="run_2")
    (change,) = diff_poll(RunState(), a_run("completed"), [a_step()], [a_message("a", None), stranger])
    assert change == SnapshotChange(a_run("completed"), [a_step()], [a_message("a", None)])
    assert diff_poll(RunState(), a_run("queued")) == [SnapshotChange(a_run("queued"), [], [])]


def test_a_message_without_its_run_is_told_unless_a_user_wrote_it() -> None:
    answer, question = a_message("a", None, run_id=None), a_message("b", None, "msg_2", run_id=None, role="user")
    (change,) = diff_poll(RunState(), a_run("completed"), [a_step()], [question, answer])
    assert change == SnapshotChange(a_run("completed"), [a_step()], [answer])
    assert poll(started_state(), a_run("completed"), [a_step(status="completed")], [question, answer]) == [
        StepChange, MessageCreatedChange, MessageFinishedChange, StatusChange,
    ]  # fmt: skip


def test_a_second_poll_without_changes_gives_nothing() -> None:
    state = started_state()
    polled = (a_run("in_progress"), [a_step()], [a_message("a", None)])
    assert poll(state, *polled) == [StepChange, MessageCreatedChange]
    assert poll(state, *polled) == []
    assert poll(state, a_run("in_progress", metadata={"a": "b"})) == []
    assert poll(state, run("run_2", status="completed")) == []


def test_the_end_comes_last_and_no_change_follows_it() -> None:
    state = started_state()
    polled = (a_run("failed"), [a_step(status="failed")], [a_message("a", "in_progress")])
    assert poll(state, *polled) == [StepChange, MessageCreatedChange, MessageFinishedChange, StatusChange]
    assert poll(state, a_run("completed"), [a_step("step_2")], []) == []


def test_a_message_is_finished_once_its_step_is() -> None:
    state = started_state()
    assert poll(state, a_run("in_progress"), [a_step()], [a_message("a", None)]) == [
        StepChange, MessageCreatedChange,
    ]  # fmt: skip
    polled = (a_run("in_progress"), [a_step(status="completed")], [a_message("ab", None)])
    assert poll(state, *polled) == [StepChange, MessageFinishedChange]
    assert poll(state, *polled) == []
    assert poll(state, a_run("completed"), *polled[1:]) == [StatusChange]


def test_polled_tool_calls_equal_streamed_ones() -> None:
    changes_so_far = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    read = changes_so_far | {"function": {"name": "f", "arguments": "{}", "output": None}}
    state = started_state()
    for call, expected in ((changes_so_far, [StepChange]), (read, [])):
        step = run_step(
            status="in_progress", type="tool_calls", step_details={"type": "tool_calls", "tool_calls": [call]}
        )
        assert poll(state, a_run("in_progress"), [step], []) == expected


@given(st.integers(1, len(WHOLE)), st.sampled_from(["abc", "abX"]), st.booleans())
def test_a_poll_at_the_end_completes_any_part_of_a_stream(stage: int, text: str, has_status: bool) -> None:
    state = RunState()
    changes_so_far = []
    for event in WHOLE[:stage]:
        for change in diff_stream_event(state, event):
            state.apply(change, Provenance.STREAMED)
            changes_so_far.append(change)
    was_over = state.is_over
    was_finished = state.is_finished("msg_1")
    pieces = "".join(change.value for change in changes_so_far if isinstance(change, TextDeltaChange))
    was_created = state.message("msg_1") is not None
    message = a_message(text, "completed" if has_status else None)
    changes = diff_poll(state, a_run("completed"), [a_step(status="completed")], [message])
    changes_so_far += changes
    assert sum(isinstance(change, MessageCreatedChange) for change in changes_so_far) == 1
    assert sum(isinstance(change, MessageFinishedChange) for change in changes_so_far) == 1
    assert sum(isinstance(change, StatusChange) and is_terminal(change.run.status) for change in changes_so_far) == 1
    assert isinstance(changes_so_far[-1], StatusChange)
    assert not any(isinstance(change, TextDeltaChange) for change in changes)
    faults = [change.code for change in changes if isinstance(change, FaultChange)]
    lost = was_created and not was_finished and pieces != text
    assert faults == (["TOKENS_LOST"] if lost else [])
    assert bool(changes) is not was_over

"""What a look tells: differences only, the end last, and what was lost on the way."""

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
    is_terminal,
)
from tests.support.run_log_processes import a_message, a_run, a_step, simple_run
from tests.support.wire_samples import run, run_step

WHOLE = simple_run("a", "b", "c")


def begun(status: str = "in_progress") -> RunState:
    state = RunState()
    state.apply(SnapshotChange(a_run(status), [], []))
    return state


def looked(state: RunState, *look: object) -> list[type]:
    changes = diff_poll(state, *look)  # type: ignore[arg-type]
    for change in changes:
        state.apply(change)
    return [type(change) for change in changes]


def test_the_first_look_shows_the_whole_run() -> None:
    stranger = a_message(id="msg_2", run_id="run_2")
    (change,) = diff_poll(RunState(), a_run("completed"), [a_step()], [a_message("a", None), stranger])
    assert change == SnapshotChange(a_run("completed"), [a_step()], [a_message("a", None)])
    assert diff_poll(RunState(), a_run("queued")) == [SnapshotChange(a_run("queued"), [], [])]


def test_a_second_look_at_the_same_tells_nothing() -> None:
    state = begun()
    look = (a_run("in_progress"), [a_step()], [a_message("a", None)])
    assert looked(state, *look) == [StepChange, MessageCreatedChange]
    assert looked(state, *look) == []
    assert looked(state, a_run("in_progress", metadata={"a": "b"})) == []
    assert looked(state, run("run_2", status="completed")) == []


def test_the_end_comes_last_and_nothing_after_it() -> None:
    state = begun()
    look = (a_run("failed"), [a_step(status="failed")], [a_message("a", "in_progress")])
    assert looked(state, *look) == [StepChange, MessageCreatedChange, MessageFinishedChange, StatusChange]
    assert looked(state, a_run("completed"), [a_step("step_2")], []) == []


def test_a_message_is_finished_once_its_step_is() -> None:
    state = begun()
    assert looked(state, a_run("in_progress"), [a_step()], [a_message("a", None)]) == [
        StepChange, MessageCreatedChange,
    ]  # fmt: skip
    look = (a_run("in_progress"), [a_step(status="completed")], [a_message("ab", None)])
    assert looked(state, *look) == [StepChange, MessageFinishedChange]
    assert looked(state, *look) == []
    assert looked(state, a_run("completed"), *look[1:]) == [StatusChange]


def test_a_look_reads_calls_as_the_stream_told_them() -> None:
    told = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    read = told | {"function": {"name": "f", "arguments": "{}", "output": None}}
    state = begun()
    for call, expected in ((told, [StepChange]), (read, [])):
        step = run_step(
            status="in_progress", type="tool_calls", step_details={"type": "tool_calls", "tool_calls": [call]}
        )
        assert looked(state, a_run("in_progress"), [step], []) == expected


@given(st.integers(1, len(WHOLE)), st.sampled_from(["abc", "abX"]), st.booleans())
def test_after_any_part_of_a_stream_a_look_at_the_end_completes_it(stage: int, text: str, has_status: bool) -> None:
    state = RunState()
    told = []
    for event in WHOLE[:stage]:
        for change in diff_stream_event(state, event):
            state.apply(change, Provenance.STREAMED)
            told.append(change)
    was_over = state.is_over
    was_finished = state.is_finished("msg_1")
    pieces = "".join(change.value for change in told if isinstance(change, TextDeltaChange))
    was_created = state.message("msg_1") is not None
    message = a_message(text, "completed" if has_status else None)
    changes = diff_poll(state, a_run("completed"), [a_step(status="completed")], [message])
    told += changes
    assert sum(isinstance(change, MessageCreatedChange) for change in told) == 1
    assert sum(isinstance(change, MessageFinishedChange) for change in told) == 1
    assert sum(isinstance(change, StatusChange) and is_terminal(change.run.status) for change in told) == 1
    assert isinstance(told[-1], StatusChange)
    assert not any(isinstance(change, TextDeltaChange) for change in changes)
    faults = [change.code for change in changes if isinstance(change, FaultChange)]
    lost = was_created and not was_finished and pieces != text
    assert faults == (["TOKENS_LOST"] if lost else [])
    assert bool(changes) is not was_over

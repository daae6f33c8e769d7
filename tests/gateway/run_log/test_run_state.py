"""The state of a run follows from its log, from any position on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.run_log.partial_content import texts_from_message
from gateway.run_log.run_state import RunState, is_message_finished, message_ids_from_completed_steps
from schema.contract.run_events import (
    Change,
    FaultChange,
    LaggedChange,
    MessageCreatedChange,
    MessageFinishedChange,
    Provenance,
    SnapshotChange,
    StatusChange,
    StepChange,
    TextDeltaChange,
    ToolCallDeltaChange,
)
from schema.contract.wire import RunObject
from tests.support.run_log_processes import a_message, a_run, a_step
from tests.support.wire_samples import run_step

STATUSES = ["queued", "in_progress", "requires_action", "completed", "failed"]
MESSAGE_IDS = st.sampled_from(["msg_1", "msg_2"])
STEP_IDS = st.sampled_from(["step_1", "step_2"])


def changes() -> st.SearchStrategy[Change]:
    words = st.sampled_from(["", "a", "bc"])
    status = st.sampled_from([None, "in_progress", "completed", "incomplete"])
    messages: Any = st.builds(a_message, words, status, MESSAGE_IDS)
    steps: Any = st.builds(a_step, STEP_IDS, st.sampled_from(["in_progress", "completed"]))
    runs: Any = st.sampled_from(STATUSES).map(a_run)
    texts = st.sampled_from([None, "", "x"])
    index = st.integers(0, 2)
    return st.one_of(
        st.builds(StatusChange, runs),
        st.builds(StepChange, steps),
        st.builds(MessageCreatedChange, messages),
        st.builds(MessageFinishedChange, messages),
        st.builds(TextDeltaChange, MESSAGE_IDS, index, words),
        st.builds(ToolCallDeltaChange, STEP_IDS, index, texts, texts, texts, texts),
        st.builds(SnapshotChange, runs, st.lists(steps, max_size=2), st.lists(messages, max_size=2)),
        st.just(FaultChange("X", "x")),
        st.just(LaggedChange(3)),
    )


def state_from_changes(applied: list[Change], state: RunState | None = None) -> RunState:
    state = state or RunState()
    for change in applied:
        state.apply(change, Provenance.STREAMED)
    return state


@given(st.lists(changes(), max_size=12), st.lists(changes(), max_size=12))
def test_a_copy_applies_changes_like_the_original(before: list[Change], after: list[Change]) -> None:
    beginning: list[Change] = [SnapshotChange(a_run("queued"), [], [])]
    # A snapshot holds no deltas of unknown objects, so the objects of all deltas are created first.
    known: list[Change] = [MessageCreatedChange(a_message(id=id)) for id in ("msg_1", "msg_2")]
    known += [StepChange(a_step(id)) for id in ("step_1", "step_2")]
    rest = [change for change in before if not isinstance(change, SnapshotChange)]
    state = state_from_changes([*beginning, *known, *rest])
    copied = state.copy()
    assert copied.snapshot() == state.snapshot()
    assert state_from_changes(after, copied).snapshot() == state_from_changes(after, state).snapshot()


@given(st.lists(changes(), max_size=12))
def test_a_baseline_rebuilds_the_same_state(applied: list[Change]) -> None:
    state = state_from_changes([SnapshotChange(a_run("queued"), [], []), *applied])
    again = state_from_changes(state.baseline())
    assert again.snapshot() == state.snapshot()


def test_a_new_state_knows_nothing() -> None:
    state = RunState()
    assert not state.has_begun
    assert not state.is_over
    assert state.is_settled
    assert state.baseline() == []
    assert state.message("msg_1") is None
    assert state.step("step_1") is None
    with pytest.raises(ValueError, match="something is known"):
        state.snapshot()


def test_a_message_shows_its_partial_text_until_it_is_finished() -> None:
    state = state_from_changes([SnapshotChange(a_run("in_progress"), [], []), MessageCreatedChange(a_message())])
    state.apply(TextDeltaChange("msg_1", 0, "Hel"), Provenance.STREAMED)
    state.apply(TextDeltaChange("msg_1", 0, "lo"), Provenance.STREAMED)
    (shown,) = state.snapshot().messages
    assert texts_from_message(shown) == ["Hello"]
    assert shown.status == "in_progress"
    assert not state.is_settled
    assert state.was_streamed("msg_1")
    state.apply(MessageFinishedChange(a_message("Hello!", None)), Provenance.STREAMED)
    state.apply(TextDeltaChange("msg_1", 0, "late"), Provenance.STREAMED)
    state.apply(MessageCreatedChange(a_message()), Provenance.STREAMED)
    (shown,) = state.snapshot().messages
    assert texts_from_message(shown) == ["Hello!"]
    assert shown.status == "completed"
    assert state.is_settled


def test_deltas_before_their_message_are_kept() -> None:
    state = state_from_changes([SnapshotChange(a_run("in_progress"), [], []), TextDeltaChange("msg_1", 0, "Hel")])
    assert state.snapshot().messages == []
    state.apply(MessageCreatedChange(a_message()))
    (shown,) = state.snapshot().messages
    assert texts_from_message(shown) == ["Hel"]
    whole = state_from_changes([TextDeltaChange("msg_1", 0, "Hel"), MessageCreatedChange(a_message("Hello"))])
    known = whole.message("msg_1")
    assert known is not None
    assert texts_from_message(known) == ["Hello"]


def test_a_final_step_ignores_deltas() -> None:
    state = state_from_changes(
        [StepChange(a_step(status="completed")), ToolCallDeltaChange("step_1", 0, arguments="{}")]
    )
    assert state.step("step_1") == a_step(status="completed")
    assert not state.has_partial_tool_calls("step_1")


def test_a_new_step_object_replaces_its_deltas() -> None:
    state = state_from_changes([StepChange(a_step()), ToolCallDeltaChange("step_1", 0, arguments="{}")])
    assert state.has_partial_tool_calls("step_1")
    state.apply(StepChange(a_step(status="completed")))
    assert not state.has_partial_tool_calls("step_1")


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired", "incomplete"])
def test_a_terminal_run_is_over(status: str) -> None:
    assert state_from_changes([StatusChange(a_run(status))]).is_over


def test_a_message_is_finished_by_its_run_its_step_or_its_own_fields() -> None:
    working = a_run("in_progress")
    assert is_message_finished(a_message(status="completed"), working, ())
    assert is_message_finished(a_message(status="incomplete"), working, ())
    assert is_message_finished(a_message(status=None, completed_at=1), working, ())
    assert is_message_finished(a_message(status=None), working, {"msg_1"})
    assert is_message_finished(a_message(status="in_progress"), a_run("failed"), ())
    assert not is_message_finished(a_message(status=None), working, {"msg_2"})
    assert not is_message_finished(a_message(status="in_progress"), working, {"msg_1"})


def test_message_ids_come_from_completed_steps() -> None:
    odd = run_step("step_3", status="completed", type="message_creation", step_details=[3])
    assert message_ids_from_completed_steps([a_step(status="completed"), odd]) == {"msg_1"}
    assert message_ids_from_completed_steps([a_step()]) == frozenset()


def test_an_unfinished_message_of_a_streamed_snapshot_counts_as_streamed() -> None:
    state = RunState()
    state.apply(SnapshotChange(a_run("in_progress"), [], [a_message("Hel")]), Provenance.STREAMED)
    assert state.was_streamed("msg_1")
    polled = RunState()
    polled.apply(SnapshotChange(a_run("in_progress"), [], [a_message("Hel")]), Provenance.POLLED)
    assert not polled.was_streamed("msg_1")


def test_an_incomplete_message_is_marked_as_incomplete() -> None:
    ended = a_message("Hel", None, incomplete_details={"reason": "max_tokens"})
    state = state_from_changes([SnapshotChange(a_run("in_progress"), [], []), MessageFinishedChange(ended)])
    assert state.snapshot().messages[0].status == "incomplete"


def test_a_run_is_fully_streamed_only_from_its_beginning() -> None:
    working, waiting = StatusChange(a_run("in_progress")), StatusChange(a_run("requires_action"))
    waits: list[Change] = [working, StepChange(a_step()), waiting]
    beginning: list[Change] = [SnapshotChange(a_run("queued"), [], [])]
    assert not state_from_changes(beginning).is_fully_streamed
    assert not state_from_changes([*beginning, working, waiting]).is_fully_streamed
    assert state_from_changes([*beginning, *waits]).is_fully_streamed
    assert state_from_changes([*beginning, *waits]).copy().is_fully_streamed
    assert state_from_changes(
        state_from_changes([*beginning, *waits]).baseline(), state_from_changes([*beginning, *waits])
    ).is_fully_streamed
    assert not state_from_changes([SnapshotChange(a_run("queued", started_at=1), [], []), *waits]).is_fully_streamed
    polled = state_from_changes(beginning)
    polled.apply(waits[0], Provenance.POLLED)
    assert not state_from_changes(waits[1:], polled).is_fully_streamed


def test_the_steps_and_the_end_of_a_run_tell_what_it_wrote() -> None:
    working, written = a_run("in_progress"), MessageFinishedChange(a_message("Hi", "completed"))
    step, called = StepChange(a_step(status="completed")), StepChange(run_step("step_0", status="completed"))

    def has_all(run: RunObject, *changes: Change) -> bool:
        return state_from_changes([SnapshotChange(working, [], []), *changes]).has_all_output(run)

    assert has_all(a_run("completed"), step, written)
    assert not has_all(a_run("completed"), step)
    assert not has_all(a_run("completed"), written)
    assert not has_all(a_run("completed"), called)
    assert not has_all(a_run("completed"), called, written)
    assert not has_all(a_run("completed"), step, MessageCreatedChange(a_message("Hi")))
    assert not has_all(a_run("completed"))
    assert has_all(a_run("incomplete"), called)
    assert not has_all(a_run("incomplete"))
    assert not has_all(a_run("failed"), step)
    assert not has_all(a_run("failed", usage={"completion_tokens": 3}))
    assert has_all(a_run("failed", usage={"completion_tokens": 0}))
    assert has_all(a_run("cancelled", usage=[3]))
    assert has_all(a_run("expired"))

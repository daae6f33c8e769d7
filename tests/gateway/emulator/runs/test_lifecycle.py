from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.emulator.objects import FunctionCall, TextPart, Usage
from gateway.emulator.runs.lifecycle import (
    cancellation_events,
    due_events,
    early_end_events,
    next_event_at,
    timed_events,
    tool_output_events,
    waiting_step_usage,
    with_expiry,
)
from gateway.emulator.runs.progress import Progress, apply_events
from gateway.emulator.runs.schedule import timeline_from_script
from gateway.emulator.runs.script import CallFunctions, Hang, Script, WriteMessage
from gateway.emulator.runs.timeline_events import RunQueued, RunRequiresAction
from tests.gateway.emulator.api_client import START, CountingIds, a_progress

ANSWER = timeline_from_script(
    Script((WriteMessage((TextPart(value="A heron is a bird. " * 8),)),)), START, CountingIds()
)
WAITING = timeline_from_script(Script((CallFunctions((("f", "{}"), ("g", "{}"))),)), START, CountingIds())
STUCK = timeline_from_script(Script((Hang(),)), START, CountingIds())


@given(st.lists(st.floats(0, 5), max_size=8))
def test_events_applied_in_any_steps_give_the_same_end(seconds: list[float]) -> None:
    progress, applied = a_progress(), 0
    for now in [*sorted(START + second for second in seconds), START + 100]:
        events = due_events(ANSWER, applied, now)
        assert all(timed.at <= now for timed in events)
        progress, applied = apply_events(progress, events), applied + len(events)
    assert progress == apply_events(a_progress(), ANSWER)
    assert next_event_at(ANSWER, applied) is None


def test_the_next_event_that_is_not_due_has_its_time() -> None:
    assert due_events(ANSWER, 0, START + 0.9) == ()
    assert next_event_at(ANSWER, 0) == START + 1


@pytest.mark.parametrize("pending", [WAITING, STUCK])
def test_a_run_that_waits_forever_expires_at_its_deadline(pending: Any) -> None:
    bounded = with_expiry(a_progress(), pending)
    ended = apply_events(a_progress(), bounded)
    assert bounded[: len(pending)] == pending
    assert bounded[-1].at == START + 600
    assert (ended.run.status, ended.run.awaited_calls) == ("expired", ())
    assert all(step.status == "expired" for step in ended.steps.values())


def test_a_run_that_ends_in_time_does_not_expire() -> None:
    assert with_expiry(a_progress(), ANSWER) == ANSWER


def test_a_run_that_would_end_too_late_expires_in_the_middle() -> None:
    short = a_progress(expires_at=START + 2)
    ended = apply_events(short, with_expiry(short, ANSWER))
    (message,), (step,) = ended.messages.values(), ended.steps.values()
    assert (ended.run.status, step.status) == ("expired", "expired")
    assert (message.status, message.incomplete_reason, message.incomplete_at) == (
        "incomplete",
        "run_expired",
        START + 2,
    )


@pytest.mark.parametrize("status", ["cancelled", "failed", "expired"])
def test_open_steps_and_messages_end_before_the_run(status: Literal["cancelled", "failed", "expired"]) -> None:
    half = apply_events(a_progress(), due_events(ANSWER, 0, START + 1.6))
    kinds = [event.kind for event in early_end_events(half, status)]
    assert kinds == ["step_ended", "message_ended", "run_ended"]


def test_a_cancelled_run_is_cancelling_for_a_second() -> None:
    half = apply_events(a_progress(), due_events(ANSWER, 0, START + 1.6))
    first, *rest = cancellation_events(half, START + 1.6)
    assert (first.at, apply_events(half, [first]).run.status) == (START + 1.6, "cancelling")
    assert {timed.at for timed in rest} == {START + 2.6}
    assert apply_events(half, [first, *rest]).run.status == "cancelled"


def test_outputs_complete_the_waiting_step_and_queue_the_run() -> None:
    waiting: Progress = apply_events(a_progress(), WAITING)
    outputs = {call.id: f"out of {call.name}" for call in waiting.run.awaited_calls}
    after = apply_events(waiting, tool_output_events(waiting, outputs, Usage(5, 7), START + 20))
    (step,) = after.steps.values()
    calls = [call for call in step.tool_calls if isinstance(call, FunctionCall)]
    assert [call.output for call in calls] == ["out of f", "out of g"]
    assert (step.status, step.completed_at, step.usage) == ("completed", START + 20, Usage(5, 7))
    assert (after.run.status, after.run.awaited_calls, after.run.started_at) == ("queued", (), START + 1)


def test_the_usage_of_a_waiting_step_is_that_of_the_last_answer() -> None:
    first, last = RunRequiresAction(usage=Usage(1, 2)), RunRequiresAction(usage=Usage(3, 4))
    assert waiting_step_usage(timed_events([first, last, RunQueued()], START)) == Usage(3, 4)
    assert waiting_step_usage(timed_events([first, RunRequiresAction()], START)) is None
    assert waiting_step_usage(()) is None

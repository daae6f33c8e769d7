"""The lifecycle of a run: which events are due, and how a request changes the pending ones. Pure.

A run goes queued -> in_progress -> completed | incomplete | failed. If it calls functions, it goes through
requires_action and queued before. A run that has not ended at its `expires_at` expires. One that is cancelled ends a
second later. A late read loses nothing, since each event has its own time.
"""

from collections.abc import Iterable
from typing import Literal

from gateway.emulator.objects import Failure, FunctionCall, McpCall, Usage
from gateway.emulator.runs.progress import Progress, apply_events
from gateway.emulator.runs.timeline_events import (
    Event,
    FunctionOutputGiven,
    MessageEnded,
    RunCancelling,
    RunEnded,
    RunQueued,
    RunRequiresAction,
    StepEnded,
    TimedEvent,
    Timeline,
)

# Seen in recorded traffic: the reply says cancelling, the next read cancelled.
CANCELLATION_SECONDS = 1.0
_STEP_STATUS: dict[str, Literal["cancelled", "failed", "expired"]] = {
    "cancelled": "cancelled",
    "failed": "failed",
    "expired": "expired",
}


def due_events(timeline: Timeline, applied: int, now: float) -> Timeline:
    """Return the events after the first `applied` ones whose time has come."""
    count = applied
    while count < len(timeline) and timeline[count].at <= now:
        count += 1
    return timeline[applied:count]


def next_event_at(timeline: Timeline, applied: int) -> float | None:
    """Return the unix seconds of the first event that has not been applied. None if there is none."""
    return timeline[applied].at if applied < len(timeline) else None


def early_end_events(
    progress: Progress,
    status: Literal["cancelled", "failed", "expired"],
    error: Failure | None = None,
) -> tuple[Event, ...]:
    """Return the events that end a run early: open steps first, then open messages, then the run.

    The official SDKs list this order for a cancelled run. No such stream was recorded.
    """
    messages = [
        MessageEnded(message_id=message.id, incomplete_reason=f"run_{status}")
        for message in progress.messages.values()
        if message.status == "in_progress"
    ]
    steps = [
        StepEnded(step_id=step.id, status=_STEP_STATUS[status], error=error)
        for step in progress.steps.values()
        if step.status == "in_progress"
    ]
    return (*steps, *messages, RunEnded(status=status, error=error))


def with_expiry(progress: Progress, pending: Timeline) -> Timeline:
    """Return the pending events within a run's lifetime, with the run's expiry in place of later ones.

    A run that still waits after its last event (for tool outputs, or forever) expires too.
    """
    deadline = progress.run.expires_at
    in_time = tuple(timed for timed in pending if timed.at < deadline)
    last = apply_events(progress, in_time)
    if last.run.is_terminal:
        return in_time
    return in_time + timed_events(early_end_events(last, "expired"), float(deadline))


def cancellation_events(progress: Progress, now: float) -> Timeline:
    """Return the pending events of a run that is cancelled now: `cancelling` at once, `cancelled` a little later."""
    ending = timed_events(early_end_events(progress, "cancelled"), now + CANCELLATION_SECONDS)
    return (TimedEvent(now, RunCancelling()), *ending)


def tool_output_events(progress: Progress, outputs: dict[str, str], usage: Usage, now: float) -> Timeline:
    """Return the events of submitted tool outputs: the waiting steps complete, and the run is queued again."""
    events: list[Event] = []
    for step in progress.steps.values():
        calls = [call for call in step.tool_calls if isinstance(call, FunctionCall | McpCall)]
        if step.status == "in_progress" and calls:
            events += [FunctionOutputGiven(step_id=step.id, call_id=call.id, output=outputs[call.id]) for call in calls]
            events.append(StepEnded(step_id=step.id, status="completed", usage=usage))
    return timed_events((*events, RunQueued()), now)


def waiting_step_usage(past: Timeline) -> Usage | None:
    """Return the usage of the step that waits for tool outputs. None if it can only be estimated."""
    for timed in reversed(past):
        if isinstance(timed.event, RunRequiresAction):
            return timed.event.usage
    return None


def timed_events(events: Iterable[Event], at: float) -> Timeline:
    """Return the events, all with the same time."""
    return tuple(TimedEvent(at, event) for event in events)

"""Timelines of stored runs: start a run, change its pending events, and apply the events that are due.

No task moves a run forward by itself. Each read or write of a thread first applies the due events of its runs. All
this holds for responses too, whose runs are stored with them; their "thread" is the conversation or the response.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from gateway.emulator.bodies.list_query import ListQuery
from gateway.emulator.ids import has_prefix
from gateway.emulator.objects import Message, Run, Step
from gateway.emulator.response_objects import Response, is_response
from gateway.emulator.runs.lifecycle import due_events, timed_events, with_expiry
from gateway.emulator.runs.progress import Progress, apply_events
from gateway.emulator.runs.response_timeline import end_at_calls
from gateway.emulator.runs.timeline_events import Event, Timeline
from gateway.emulator.state.response_state import progress_of, store_response_progress
from gateway.emulator.state.store import ObjectTable, Store

Changed = TypeVar("Changed", Step, Message)
# No script makes nearly so many messages.
_MAX_RUN_MESSAGES = 1000


def apply_due_events(store: Store, partition: str, thread_id: str, now: float) -> None:
    """Apply every event of the thread's runs whose time has come."""
    for run_id in store.due_run_ids(partition, thread_id, now):
        timeline, applied = store.load_timeline(partition, run_id)
        run = load_run(store, partition, run_id)
        if run is None:
            continue
        before = load_progress(store, partition, run)
        events = due_events(timeline, applied, now)
        after = apply_events(before, events)
        _store_progress(store, partition, before, after)
        store.store_timeline(partition, after.run, timeline, applied + len(events))


def start_run(store: Store, partition: str, run: Run, pending: Timeline) -> None:
    """Store a new run with its pending events."""
    store.runs.add(partition, run)
    _store_first_timeline(store, partition, run, pending)


def start_response(store: Store, partition: str, response: Response, pending: Timeline) -> None:
    """Store a new response with its pending events."""
    store.responses.add(partition, response)
    _store_first_timeline(store, partition, response.run, pending)


def replace_pending_events(store: Store, partition: str, progress: Progress, pending: Timeline, now: float) -> Run:
    """Replace the pending events of a run, and return the run as it is now."""
    timeline, applied = store.load_timeline(partition, progress.run.id)
    store.store_timeline(partition, progress.run, timeline[:applied] + _whole(progress, pending), applied)
    apply_due_events(store, partition, progress.run.thread_id, now)
    return load_run(store, partition, progress.run.id) or progress.run


def append_events(store: Store, partition: str, progress: Progress, events: Iterable[Event], now: float) -> Run:
    """Apply unscheduled events to a run now, and return the run. Its expiry stays as it was."""
    new_events = _ended(progress, timed_events(events, now))
    timeline, applied = store.load_timeline(partition, progress.run.id)
    after = apply_events(progress, new_events)
    pending = with_expiry(after, ())
    _store_progress(store, partition, progress, after)
    store.store_timeline(partition, after.run, timeline[:applied] + new_events + pending, applied + len(new_events))
    return after.run


def load_run(store: Store, partition: str, run_id: str) -> Run | None:
    """Return a run, or the run of a response, as of the last time that due events were applied."""
    if has_prefix(run_id, "resp"):
        response = store.responses.get(partition, run_id)
        return None if response is None else response.run
    return store.runs.get(partition, run_id)


def load_progress(store: Store, partition: str, run: Run) -> Progress:
    """Return a run with its steps and messages, as of the last time that due events were applied."""
    if is_response(run):
        response = store.responses.get(partition, run.id)
        return Progress(run, {}, {}) if response is None else progress_of(response)
    query = ListQuery(limit=_MAX_RUN_MESSAGES, order="asc")
    messages, _ = store.messages.page(partition, run.thread_id, query, run_id=run.id)
    return Progress(
        run,
        {step.id: step for step in store.steps.list_all(partition, run.id)},
        {message.id: message for message in messages},
    )


def _ended(progress: Progress, pending: Timeline) -> Timeline:
    return end_at_calls(progress, pending) if is_response(progress.run) else pending


def _whole(progress: Progress, pending: Timeline) -> Timeline:
    return with_expiry(progress, _ended(progress, pending))


def _store_first_timeline(store: Store, partition: str, run: Run, pending: Timeline) -> None:
    store.store_timeline(partition, run, _whole(Progress(run, {}, {}), pending), 0)


def _store_progress(store: Store, partition: str, before: Progress, after: Progress) -> None:
    if is_response(after.run):
        store_response_progress(store, partition, after)
        return
    _store_changes(store.steps, partition, before.steps, after.steps)
    _store_changes(store.messages, partition, before.messages, after.messages)
    store.runs.replace(partition, after.run)


def _store_changes(
    table: ObjectTable[Changed],
    partition: str,
    before: Mapping[str, Changed],
    after: Mapping[str, Changed],
) -> None:
    for object_id, stored in after.items():
        if object_id not in before:
            table.add(partition, stored)
        elif before[object_id] != stored:
            table.replace(partition, stored)

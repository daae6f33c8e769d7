"""Timelines of stored runs: start a run, change its pending events, and apply the events that are due.

No task moves a run forward by itself. Each read or write of a thread first applies the due events of its runs.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from gateway.emulator.bodies.list_query import ListQuery
from gateway.emulator.objects import Message, Run, Step
from gateway.emulator.runs.lifecycle import due_events, timed_events, with_expiry
from gateway.emulator.runs.progress import Progress, apply_events
from gateway.emulator.runs.timeline_events import Event, Timeline
from gateway.emulator.state.store import ObjectTable, Store

Changed = TypeVar("Changed", Step, Message)
# No script makes nearly so many messages.
_MAX_RUN_MESSAGES = 1000


def apply_due_events(store: Store, partition: str, thread_id: str, now: float) -> None:
    """Apply every event of the thread's runs whose time has come."""
    for run_id in store.due_run_ids(partition, thread_id, now):
        timeline, applied = store.load_timeline(partition, run_id)
        run = store.runs.get(partition, run_id)
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
    store.store_timeline(partition, run, with_expiry(Progress(run, {}, {}), pending), 0)


def replace_pending_events(store: Store, partition: str, progress: Progress, pending: Timeline, now: float) -> Run:
    """Replace the pending events of a run, and return the run as it is now."""
    timeline, applied = store.load_timeline(partition, progress.run.id)
    store.store_timeline(partition, progress.run, timeline[:applied] + with_expiry(progress, pending), applied)
    apply_due_events(store, partition, progress.run.thread_id, now)
    return store.runs.get(partition, progress.run.id) or progress.run


def append_events(store: Store, partition: str, progress: Progress, events: Iterable[Event], now: float) -> Run:
    """Apply unscheduled events to a run now, and return the run. Its expiry stays as it was."""
    new_events = timed_events(events, now)
    timeline, applied = store.load_timeline(partition, progress.run.id)
    after = apply_events(progress, new_events)
    pending = with_expiry(after, ())
    _store_progress(store, partition, progress, after)
    store.store_timeline(partition, after.run, timeline[:applied] + new_events + pending, applied + len(new_events))
    return after.run


def load_progress(store: Store, partition: str, run: Run) -> Progress:
    """Return a run with its steps and messages, as of the last time that due events were applied."""
    query = ListQuery(limit=_MAX_RUN_MESSAGES, order="asc")
    messages, _ = store.messages.page(partition, run.thread_id, query, run_id=run.id)
    return Progress(
        run,
        {step.id: step for step in store.steps.list_all(partition, run.id)},
        {message.id: message for message in messages},
    )


def _store_progress(store: Store, partition: str, before: Progress, after: Progress) -> None:
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

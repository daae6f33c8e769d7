"""Brings the store's runs up to the present: whoever reads or writes a thread first applies what has become due."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from gateway.emulator.bodies.list_query import ListQuery
from gateway.emulator.objects import Message, Run, Step
from gateway.emulator.runs.lifecycle import due_events, timed_events, with_expiry
from gateway.emulator.runs.progress import Progress, apply_events
from gateway.emulator.runs.timeline_events import Event, Timeline
from gateway.emulator.state.store import ObjectTable, Store

Changed = TypeVar("Changed", Step, Message)
# No script makes nearly as many messages.
_MAX_RUN_MESSAGES = 1000


def apply_due_events(store: Store, partition: str, thread_id: str, now: float) -> None:
    """Apply every event of the thread's runs whose instant has come."""
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
    """Keep a new run and all that will happen to it."""
    store.runs.add(partition, run)
    bounded = with_expiry(Progress(run, {}, {}), pending)
    store.store_timeline(partition, run, bounded, 0)


def replace_pending_events(store: Store, partition: str, progress: Progress, pending: Timeline, now: float) -> Run:
    """Put another future in the place of what was still to come, and return the run as it is now."""
    timeline, applied = store.load_timeline(partition, progress.run.id)
    bounded = with_expiry(progress, pending)
    store.store_timeline(partition, progress.run, timeline[:applied] + bounded, applied)
    apply_due_events(store, partition, progress.run.thread_id, now)
    return store.runs.get(partition, progress.run.id) or progress.run


def append_events(store: Store, partition: str, progress: Progress, events: Iterable[Event], now: float) -> Run:
    """Let something happen to a run now that nobody could foresee, and return the run; it will expire as before."""
    new_events = timed_events(events, now)
    timeline, applied = store.load_timeline(partition, progress.run.id)
    after = apply_events(progress, new_events)
    pending = with_expiry(after, ())
    _store_progress(store, partition, progress, after)
    store.store_timeline(partition, after.run, timeline[:applied] + new_events + pending, applied + len(new_events))
    return after.run


def load_progress(store: Store, partition: str, run: Run) -> Progress:
    """Return a run with its steps and messages, as they were when it was last brought up to date."""
    everything = ListQuery(limit=_MAX_RUN_MESSAGES, order="asc")
    messages, _ = store.messages.page(partition, run.thread_id, everything, run_id=run.id)
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

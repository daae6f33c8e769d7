"""Brings the store's runs up to the present: whoever reads or writes a thread first applies what has become due."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from gateway.emulator.bodies.list_query import ListQuery
from gateway.emulator.objects import Message, Run, Step
from gateway.emulator.runs.lifecycle import at_once, bounded_by_expiry, due
from gateway.emulator.runs.progress import Progress, apply_all
from gateway.emulator.runs.timeline_events import Event, Timeline
from gateway.emulator.state.store import ObjectTable, Store

Changed = TypeVar("Changed", Step, Message)
# No script makes nearly as many messages.
_MAX_RUN_MESSAGES = 1000


def catch_up(store: Store, partition: str, thread_id: str, now: float) -> None:
    """Apply every event of the thread's runs whose instant has come."""
    for run_id in store.runs_due(partition, thread_id, now):
        timeline, applied = store.timeline(partition, run_id)
        run = store.runs.get(partition, run_id)
        if run is None:
            continue
        before = progress_of(store, partition, run)
        events = due(timeline, applied, now)
        after = apply_all(before, events)
        _keep(store, partition, before, after)
        store.keep_timeline(partition, after.run, timeline, applied + len(events))


def begin(store: Store, partition: str, run: Run, future: Timeline) -> None:
    """Keep a new run and all that will happen to it."""
    store.runs.add(partition, run)
    bounded = bounded_by_expiry(Progress(run, {}, {}), future)
    store.keep_timeline(partition, run, bounded, 0)


def intervene(store: Store, partition: str, progress: Progress, future: Timeline, now: float) -> Run:
    """Put another future in the place of what was still to come, and return the run as it is now."""
    timeline, applied = store.timeline(partition, progress.run.id)
    bounded = bounded_by_expiry(progress, future)
    store.keep_timeline(partition, progress.run, timeline[:applied] + bounded, applied)
    catch_up(store, partition, progress.run.thread_id, now)
    return store.runs.get(partition, progress.run.id) or progress.run


def append(store: Store, partition: str, progress: Progress, events: Iterable[Event], now: float) -> Run:
    """Let something happen to a run now that nobody could foresee, and return the run; it will expire as before."""
    happening = at_once(events, now)
    timeline, applied = store.timeline(partition, progress.run.id)
    after = apply_all(progress, happening)
    future = bounded_by_expiry(after, ())
    _keep(store, partition, progress, after)
    store.keep_timeline(partition, after.run, timeline[:applied] + happening + future, applied + len(happening))
    return after.run


def progress_of(store: Store, partition: str, run: Run) -> Progress:
    """Return a run with its steps and messages, as they were when it was last brought up to date."""
    everything = ListQuery(limit=_MAX_RUN_MESSAGES, order="asc")
    messages, _ = store.messages.page(partition, run.thread_id, everything, run_id=run.id)
    return Progress(
        run,
        {step.id: step for step in store.steps.all_of(partition, run.id)},
        {message.id: message for message in messages},
    )


def _keep(store: Store, partition: str, before: Progress, after: Progress) -> None:
    _keep_changes(store.steps, partition, before.steps, after.steps)
    _keep_changes(store.messages, partition, before.messages, after.messages)
    store.runs.replace(partition, after.run)


def _keep_changes(
    shelf: ObjectTable[Changed],
    partition: str,
    before: Mapping[str, Changed],
    after: Mapping[str, Changed],
) -> None:
    for object_id, stored in after.items():
        if object_id not in before:
            shelf.add(partition, stored)
        elif before[object_id] != stored:
            shelf.replace(partition, stored)

import pytest

from gateway.emulator.objects import TextPart, Thread
from gateway.emulator.runs.lifecycle import cancellation_events
from gateway.emulator.runs.progress import Progress
from gateway.emulator.runs.schedule import timeline_from_script
from gateway.emulator.runs.script import Script, WriteMessage
from gateway.emulator.runs.timeline_events import RunEnded, RunStarted
from gateway.emulator.state.run_timelines import (
    append_events,
    apply_due_events,
    load_progress,
    replace_pending_events,
    start_run,
)
from gateway.emulator.state.store import Store
from tests.gateway.emulator.api_client import START, a_run

SCRIPT = Script((WriteMessage((TextPart(value="A heron is a bird. " * 8),)),))


@pytest.fixture
def running(store: Store) -> Store:
    store.threads.add("mine", Thread(id="thread_1", created_at=START))
    start_run(store, "mine", a_run(), timeline_from_script(SCRIPT, START, store.new_id))
    return store


def status(store: Store) -> str | None:
    run = store.runs.get("mine", "run_1")
    return run.status if run else None


def test_nothing_happens_before_it_is_due(running: Store) -> None:
    apply_due_events(running, "mine", "thread_1", START + 0.5)
    assert status(running) == "queued"
    assert running.active_run_id("mine", "thread_1") == "run_1"


def test_a_late_read_applies_every_event_with_its_own_time(running: Store) -> None:
    apply_due_events(running, "mine", "thread_1", START + 10_000)
    run = running.runs.get("mine", "run_1")
    assert run is not None
    assert (run.status, run.started_at, run.completed_at) == ("completed", START + 1, START + 2)
    progress = load_progress(running, "mine", run)
    assert [step.created_at for step in progress.steps.values()] == [START + 1]
    assert [message.content for message in progress.messages.values()] == [SCRIPT.actions[0].parts]  # type: ignore[union-attr]
    assert running.active_run_id("mine", "thread_1") is None


def test_another_partition_is_left_alone(running: Store) -> None:
    apply_due_events(running, "yours", "thread_1", START + 10_000)
    assert status(running) == "queued"


def test_replacing_pending_events_leaves_applied_events_unchanged(running: Store) -> None:
    apply_due_events(running, "mine", "thread_1", START + 1.6)
    run = running.runs.get("mine", "run_1")
    assert run is not None
    progress = load_progress(running, "mine", run)
    changed = replace_pending_events(running, "mine", progress, cancellation_events(progress, START + 1.6), START + 1.6)
    assert changed.status == "cancelling"
    timeline, applied = running.load_timeline("mine", "run_1")
    assert [timed.event.kind for timed in timeline[applied:]] == ["step_ended", "message_ended", "run_ended"]
    apply_due_events(running, "mine", "thread_1", START + 3)
    assert status(running) == "cancelled"


def test_a_message_deleted_while_it_is_written_stays_deleted(running: Store) -> None:
    apply_due_events(running, "mine", "thread_1", START + 1.6)
    run = running.runs.get("mine", "run_1")
    assert run is not None
    (message_id,) = load_progress(running, "mine", run).messages
    running.messages.delete("mine", message_id)
    apply_due_events(running, "mine", "thread_1", START + 10)
    assert status(running) == "completed"
    assert running.messages.get("mine", message_id) is None


def test_appended_events_follow_applied_ones_and_the_run_still_expires(store: Store) -> None:
    store.threads.add("mine", Thread(id="thread_1", created_at=START))
    start_run(store, "mine", a_run(), ())
    started = append_events(store, "mine", Progress(a_run(), {}, {}), [RunStarted()], START + 3.5)
    assert (started.status, started.started_at) == ("in_progress", START + 3)
    assert store.runs.get("mine", "run_1") == started
    timeline, applied = store.load_timeline("mine", "run_1")
    assert ([timed.event.kind for timed in timeline], applied) == (["run_started", "run_ended"], 1)
    apply_due_events(store, "mine", "thread_1", START + 600)
    assert status(store) == "expired"


def test_an_appended_end_leaves_no_pending_events(store: Store) -> None:
    store.threads.add("mine", Thread(id="thread_1", created_at=START))
    start_run(store, "mine", a_run(), ())
    append_events(store, "mine", Progress(a_run(), {}, {}), [RunStarted(), RunEnded(status="completed")], START + 3.5)
    assert store.active_run_id("mine", "thread_1") is None
    assert len(store.load_timeline("mine", "run_1")[0]) == 2

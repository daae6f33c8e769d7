from dataclasses import replace

import pytest

from gateway.emulator.objects import ImageFilePart, SearchCall, TextPart, Usage
from gateway.emulator.runs.progress import apply_event, apply_events
from gateway.emulator.runs.timeline_events import (
    MessageStarted,
    PartAdded,
    RunEnded,
    RunQueued,
    RunStarted,
    StepEnded,
    StepStarted,
    TextGrown,
    TimedEvent,
    ToolCallGrown,
    ToolCallStarted,
)
from tests.gateway.emulator.api_client import START, a_progress


def test_a_time_is_the_time_of_its_event_in_whole_seconds() -> None:
    assert apply_event(a_progress(), TimedEvent(START + 1.9, RunStarted())).run.started_at == START + 1


def test_a_run_that_is_queued_again_keeps_its_old_start_until_it_starts() -> None:
    progress = apply_events(a_progress(), [TimedEvent(START + 1, RunStarted()), TimedEvent(START + 9, RunQueued())])
    assert (progress.run.status, progress.run.started_at) == ("queued", START + 1)
    assert apply_event(progress, TimedEvent(START + 10, RunStarted())).run.started_at == START + 10


def test_the_usage_of_a_run_is_the_sum_of_its_steps() -> None:
    progress = a_progress()
    for number in (1, 2):
        progress = apply_event(progress, TimedEvent(START, StepStarted(step_id=f"step_{number}")))
        ended = StepEnded(step_id=f"step_{number}", status="completed", usage=Usage(10, number))
        progress = apply_event(progress, TimedEvent(START, ended))
    assert progress.run.usage is None
    ended_run = apply_event(progress, TimedEvent(START, RunEnded(status="completed"))).run
    assert ended_run.usage == Usage(20, 3)
    assert ended_run.completed_at == START


@pytest.mark.parametrize(
    ("status", "times"),
    [
        ("completed", (START, None, None)),
        ("incomplete", (START, None, None)),
        ("failed", (None, START, None)),
        ("cancelled", (None, None, START)),
        ("expired", (None, None, None)),
    ],
)
def test_each_terminal_status_sets_its_own_time(status: str, times: tuple[int | None, ...]) -> None:
    run = apply_event(a_progress(), TimedEvent(START, RunEnded(status=status))).run  # type: ignore[arg-type]
    assert (run.completed_at, run.failed_at, run.cancelled_at) == times


def test_a_message_that_a_client_deleted_meanwhile_stays_deleted() -> None:
    progress = apply_event(a_progress(), TimedEvent(START, MessageStarted(message_id="msg_1")))
    gone = replace(progress, messages={})
    assert apply_event(gone, TimedEvent(START, TextGrown(message_id="msg_1", index=0, text="x"))) == gone


def test_only_text_parts_can_be_extended() -> None:
    progress = apply_event(a_progress(), TimedEvent(START, MessageStarted(message_id="msg_1")))
    parts = (TextPart(value="a"), ImageFilePart(file_id="file-1"))
    for part in parts:
        progress = apply_event(progress, TimedEvent(START, PartAdded(message_id="msg_1", part=part)))
    grown = apply_event(progress, TimedEvent(START, TextGrown(message_id="msg_1", index=0, text="b")))
    assert grown.messages["msg_1"].content == (TextPart(value="ab"), parts[1])
    with pytest.raises(TypeError, match="expected a text part to grow, got image_file"):
        apply_event(progress, TimedEvent(START, TextGrown(message_id="msg_1", index=1, text="b")))


def test_a_search_call_cannot_be_extended() -> None:
    events = [
        TimedEvent(START, StepStarted(step_id="step_1")),
        TimedEvent(START, ToolCallStarted(step_id="step_1", call=SearchCall(id="call_1"))),
    ]
    progress = apply_events(a_progress(), events)
    with pytest.raises(TypeError, match="file_search call can take, got tool_call_grown"):
        apply_event(progress, TimedEvent(START, ToolCallGrown(step_id="step_1", call_id="call_1", text="x")))

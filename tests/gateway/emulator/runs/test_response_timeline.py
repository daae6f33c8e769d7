"""The items and the usage of a response, made of a run's script and timeline."""

from gateway.emulator.objects import (
    FileCitation,
    FilePath,
    FunctionCall,
    ImageFilePart,
    RefusalPart,
    TextPart,
    Usage,
)
from gateway.emulator.runs.progress import apply_events
from gateway.emulator.runs.response_timeline import end_at_calls, script_for_response
from gateway.emulator.runs.schedule import timeline_from_script
from gateway.emulator.runs.script import CallFunctions, Script, WriteMessage
from gateway.emulator.runs.timeline_events import (
    RunEnded,
    RunRequiresAction,
    StepEnded,
    StepStarted,
    TimedEvent,
    ToolCallStarted,
)
from tests.gateway.emulator.api_client import START, CountingIds, a_progress


def response_message(*parts: TextPart | ImageFilePart | RefusalPart) -> WriteMessage:
    (action,) = script_for_response(Script((WriteMessage(parts),))).actions
    assert isinstance(action, WriteMessage)
    return action


def test_a_response_ends_with_its_calls() -> None:
    timeline = timeline_from_script(Script((CallFunctions((("f", "{}"), ("g", "{}"))),)), START, CountingIds())
    ended = end_at_calls(a_progress(), timeline)
    assert ended[: len(timeline) - 1] == timeline[:-1]
    assert [timed.event.kind for timed in ended[len(timeline) - 1 :]] == ["step_ended", "run_ended"]
    assert {timed.at for timed in ended[-2:]} == {timeline[-1].at}
    after = apply_events(a_progress(), ended)
    assert (after.run.status, after.run.awaited_calls) == ("completed", ())
    assert after.run.usage == Usage(0, 2)
    (step,) = after.steps.values()
    assert (step.status, len(step.tool_calls)) == ("completed", 2)


def test_only_the_steps_that_wait_are_ended() -> None:
    before = apply_events(
        a_progress(),
        [
            TimedEvent(START, StepStarted(step_id="step_1")),
            TimedEvent(START, StepEnded(step_id="step_1", status="completed")),
            TimedEvent(START, StepStarted(step_id="step_2")),
            TimedEvent(START, ToolCallStarted(step_id="step_2", call=FunctionCall(id="call_1", name="f"))),
        ],
    )
    usage = Usage(5, 6)
    pending = (TimedEvent(START + 1, RunRequiresAction(usage=usage)),)
    assert end_at_calls(before, pending) == (
        TimedEvent(START + 1, StepEnded(step_id="step_2", status="completed", usage=usage)),
        TimedEvent(START + 1, RunEnded(status="completed")),
    )


def test_other_timelines_stay_as_they_are() -> None:
    timeline = timeline_from_script(Script((WriteMessage((TextPart(value="Hi"),)),)), START, CountingIds())
    assert end_at_calls(a_progress(), timeline) == timeline
    actions = (CallFunctions((("f", "{}"),)),)
    assert script_for_response(Script(actions, pace=3.0, prompt_tokens=7)) == Script(actions, 3.0, 7)


def test_citation_marks_are_cut_out_and_other_annotations_keep_their_places() -> None:
    text = "A【0】b【1】 see sandbox:/x.csv."
    path = text.index("sandbox")
    part = TextPart(
        value=text,
        annotations=(
            FileCitation(text="【1】", start_index=5, end_index=8, file_id="file-2"),
            FileCitation(text="【0】", start_index=1, end_index=4, file_id="file-1"),
            FilePath(text="sandbox:/x.csv", start_index=path, end_index=path + 14, file_id="file-3"),
        ),
    )
    (plain,) = response_message(part).parts
    assert isinstance(plain, TextPart)
    assert plain.value == "Ab see sandbox:/x.csv."
    places = [(note.file_id, note.start_index, note.end_index) for note in plain.annotations]
    assert places == [("file-1", 1, 1), ("file-2", 2, 2), ("file-3", 7, 21)]
    assert plain.value[7:21] == "sandbox:/x.csv"


def test_images_become_annotations_of_the_first_text() -> None:
    image = FilePath(text="sandbox:/mnt/data/chart.png", start_index=0, end_index=0, file_id="file-1")
    first, second = TextPart(value="One"), TextPart(value="Two")
    assert response_message(ImageFilePart(file_id="file-1"), first, second).parts == (
        TextPart(value="One", annotations=(image,)),
        second,
    )
    assert response_message(ImageFilePart(file_id="file-1")).parts == (TextPart(value="", annotations=(image,)),)


def test_a_refusal_and_the_reason_of_a_message_stay() -> None:
    refusal = RefusalPart(refusal="No.")
    assert response_message(refusal).parts == (refusal,)
    cut = WriteMessage((TextPart(value="Half"),), incomplete_reason="max_completion_tokens")
    assert script_for_response(Script((cut,))).actions == (cut,)

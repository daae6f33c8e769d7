"""The differences between a run and a response that come from the same script. Pure.

- A response that calls functions is complete with its calls. A run waits for their outputs.
- A response is cancelled at once. A run is `cancelling` for a moment.
- A response's text holds no citation marks. Its images and files are annotations of its text.
"""

from dataclasses import replace

from gateway.emulator.objects import ContentPart, FilePath, ImageFilePart, RefusalPart, TextAnnotation, TextPart
from gateway.emulator.runs.progress import Progress, apply_event
from gateway.emulator.runs.script import Script, WriteMessage
from gateway.emulator.runs.timeline_events import (
    Event,
    RunEnded,
    RunRequiresAction,
    StepEnded,
    TimedEvent,
    Timeline,
)

_IMAGE_PATH = "sandbox:/mnt/data/chart.png"


def end_at_calls(progress: Progress, pending: Timeline) -> Timeline:
    """Return the pending events of a response: it ends where a run would begin to wait for its client."""
    changed: list[TimedEvent] = []
    for timed in pending:
        replacement: list[Event] = [timed.event]
        if isinstance(timed.event, RunRequiresAction):
            waiting = [step.id for step in progress.steps.values() if step.status == "in_progress"]
            ended = [StepEnded(step_id=one, status="completed", usage=timed.event.usage) for one in waiting]
            replacement = [*ended, RunEnded(status="completed")]
        for event in replacement:
            changed.append(TimedEvent(timed.at, event))
            progress = apply_event(progress, changed[-1])
    return tuple(changed)


def script_for_response(script: Script) -> Script:
    """Return the script with its messages in the form that a response writes."""
    return replace(
        script,
        actions=tuple(
            _response_message(action) if isinstance(action, WriteMessage) else action for action in script.actions
        ),
    )


def _response_message(action: WriteMessage) -> WriteMessage:
    images: tuple[TextAnnotation, ...] = tuple(
        FilePath(text=_IMAGE_PATH, start_index=0, end_index=0, file_id=part.file_id)
        for part in action.parts
        if isinstance(part, ImageFilePart)
    )
    parts: list[ContentPart] = []
    for part in action.parts:
        if isinstance(part, TextPart):
            plain = _unmarked_text(part)
            parts.append(replace(plain, annotations=(*images, *plain.annotations)))
            images = ()
        elif isinstance(part, RefusalPart):
            parts.append(part)
    if images:
        parts.append(TextPart(value="", annotations=images))
    return replace(action, parts=tuple(parts))


def _unmarked_text(part: TextPart) -> TextPart:
    """Return the text without the marks of its citations. Each annotation keeps its place in what remains."""
    value, annotations, position = "", list[TextAnnotation](), 0
    for annotation in sorted(part.annotations, key=lambda one: one.start_index):
        value += part.value[position : annotation.start_index]
        start = len(value)
        if isinstance(annotation, FilePath):
            value += part.value[annotation.start_index : annotation.end_index]
        annotations.append(replace(annotation, start_index=start, end_index=len(value)))
        position = annotation.end_index
    return replace(part, value=value + part.value[position:], annotations=tuple(annotations))

"""The state of a run, its steps and its messages, and the events that change it. Pure.

A stream applies the same events to its own copy, which may be older than the state in the store.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from gateway.emulator.objects import (
    Attachment,
    CodeCall,
    ContentPart,
    FilePath,
    FunctionCall,
    McpCall,
    Message,
    Run,
    Step,
    TextPart,
    ToolCall,
    Usage,
)
from gateway.emulator.runs.timeline_events import (
    AnnotationAdded,
    CodeOutputAdded,
    FunctionOutputGiven,
    MessageEnded,
    MessageStarted,
    PartAdded,
    RunCancelling,
    RunEnded,
    RunQueued,
    RunRequiresAction,
    RunStarted,
    StepEnded,
    StepStarted,
    TextGrown,
    TimedEvent,
    ToolCallGrown,
    ToolCallStarted,
)


@dataclass(frozen=True, slots=True)
class Progress:
    """A run with its steps and messages at one point in time."""

    run: Run
    steps: Mapping[str, Step]
    messages: Mapping[str, Message]


def apply_events(progress: Progress, events: Iterable[TimedEvent]) -> Progress:
    """Return the progress after all the events, in order."""
    for timed in events:
        progress = apply_event(progress, timed)
    return progress


def apply_event(progress: Progress, timed: TimedEvent) -> Progress:
    """Return the progress after one event. All times that it sets are the event's own time.

    An event of a message that a client has deleted changes nothing.
    """
    at = int(timed.at)
    match timed.event:
        case RunQueued() | RunStarted() | RunRequiresAction() | RunCancelling() | RunEnded() as event:
            return replace(progress, run=_changed_run(progress, event, at))
        case StepStarted() as event:
            return _with_step(progress, _new_step(progress.run, event, at))
        case (ToolCallStarted() | ToolCallGrown() | CodeOutputAdded() | FunctionOutputGiven() | StepEnded()) as event:
            return _with_step(progress, _changed_step(progress.steps[event.step_id], event, at))
        case MessageStarted() as event:
            return _with_message(progress, _new_message(progress.run, event.message_id, at))
        case PartAdded() | TextGrown() | AnnotationAdded() | MessageEnded() as event:
            message = progress.messages.get(event.message_id)
            return progress if message is None else _with_message(progress, _changed_message(message, event, at))
        case unknown:
            assert_never(unknown)


def open_calls(progress: Progress) -> tuple[FunctionCall | McpCall, ...]:
    """Return the calls of the open steps that a client has to answer: those without outputs."""
    return tuple(
        call
        for step in progress.steps.values()
        if step.status == "in_progress"
        for call in step.tool_calls
        if isinstance(call, FunctionCall | McpCall)
    )


def _changed_run(
    progress: Progress,
    event: RunQueued | RunStarted | RunRequiresAction | RunCancelling | RunEnded,
    at: int,
) -> Run:
    run = progress.run
    match event:
        case RunQueued():
            # The old started_at stays until the run starts again: seen in recorded traffic.
            return replace(run, status="queued", awaited_calls=())
        case RunStarted():
            return replace(run, status="in_progress", started_at=at)
        case RunRequiresAction():
            return replace(run, status="requires_action", awaited_calls=open_calls(progress))
        case RunCancelling():
            return replace(run, status="cancelling", awaited_calls=())
        case RunEnded():
            usage = sum((step.usage for step in progress.steps.values() if step.usage), Usage(0, 0))
            return replace(
                run,
                status=event.status,
                awaited_calls=(),
                last_error=event.error,
                incomplete_reason=event.incomplete_reason,
                usage=usage,
                # An incomplete run has a completed_at too: seen in recorded traffic. An expired one has no time.
                completed_at=at if event.status in {"completed", "incomplete"} else None,
                failed_at=at if event.status == "failed" else None,
                cancelled_at=at if event.status == "cancelled" else None,
            )


def _new_step(run: Run, event: StepStarted, at: int) -> Step:
    return Step(
        id=event.step_id,
        run_id=run.id,
        thread_id=run.thread_id,
        assistant_id=run.assistant_id,
        created_at=at,
        expires_at=run.expires_at,
        message_id=event.message_id,
    )


def _changed_step(
    step: Step,
    event: ToolCallStarted | ToolCallGrown | CodeOutputAdded | FunctionOutputGiven | StepEnded,
    at: int,
) -> Step:
    match event:
        case ToolCallStarted(call=call):
            return replace(step, tool_calls=(*step.tool_calls, call))
        case StepEnded(status=status):
            return replace(
                step,
                status=status,
                usage=event.usage,
                last_error=event.error,
                completed_at=at if status == "completed" else None,
                failed_at=at if status == "failed" else None,
                cancelled_at=at if status == "cancelled" else None,
            )
        case _:
            calls = tuple(_extended_call(call, event) if call.id == event.call_id else call for call in step.tool_calls)
            return replace(step, tool_calls=calls)


def _new_message(run: Run, message_id: str, at: int) -> Message:
    return Message(
        id=message_id,
        thread_id=run.thread_id,
        created_at=at,
        role="assistant",
        assistant_id=run.assistant_id,
        run_id=run.id,
        status="in_progress",
    )


def _changed_message(
    message: Message,
    event: PartAdded | TextGrown | AnnotationAdded | MessageEnded,
    at: int,
) -> Message:
    match event:
        case PartAdded(part=part):
            return replace(message, content=(*message.content, part))
        case MessageEnded(incomplete_reason=None):
            return replace(message, status="completed", completed_at=at, attachments=_made_attachments(message.content))
        case MessageEnded(incomplete_reason=reason):
            return replace(message, status="incomplete", incomplete_at=at, incomplete_reason=reason)
        case _:
            parts = (
                _extended_part(part, event) if index == event.index else part
                for index, part in enumerate(message.content)
            )
            return replace(message, content=tuple(parts))


def _made_attachments(content: tuple[ContentPart, ...]) -> tuple[Attachment, ...]:
    """Return the files that a message links to as attachments too, as printed answers of the real service have them."""
    annotations = [annotation for part in content if isinstance(part, TextPart) for annotation in part.annotations]
    paths = dict.fromkeys(annotation.file_id for annotation in annotations if isinstance(annotation, FilePath))
    return tuple(Attachment(file_id, ("code_interpreter",)) for file_id in paths)


def _extended_part(part: ContentPart, event: TextGrown | AnnotationAdded) -> ContentPart:
    if not isinstance(part, TextPart):
        message = f"expected a text part to grow, got {part.kind}"
        raise TypeError(message)
    if isinstance(event, TextGrown):
        return replace(part, value=part.value + event.text)
    return replace(part, annotations=(*part.annotations, event.annotation))


def _extended_call(call: ToolCall, event: ToolCallGrown | CodeOutputAdded | FunctionOutputGiven) -> ToolCall:
    match call, event:
        case FunctionCall(), ToolCallGrown():
            return replace(call, arguments=call.arguments + event.text)
        case CodeCall(), ToolCallGrown():
            return replace(call, input=call.input + event.text)
        case CodeCall(), CodeOutputAdded():
            return replace(call, outputs=(*call.outputs, event.output))
        case ((FunctionCall() | McpCall()), FunctionOutputGiven()):
            return replace(call, output=event.output)
    message = f"expected an event that a {call.kind} call can take, got {event.kind}"
    raise TypeError(message)


def _with_step(progress: Progress, step: Step) -> Progress:
    return replace(progress, steps={**progress.steps, step.id: step})


def _with_message(progress: Progress, message: Message) -> Progress:
    return replace(progress, messages={**progress.messages, message.id: message})

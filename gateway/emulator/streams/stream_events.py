"""The server-sent events that a stream shows for each event of a run's timeline, and their frames. Pure.

Inside a stream, objects have keys that REST leaves out: a message has its status, a thread and a run have the files of
the code interpreter. A frame is the name, one line of compact JSON, LF, and nothing else: there are no ids, comments or
heartbeats, so no client can resume a stream. Source: recorded streams.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

import orjson

from gateway.emulator.bodies import reply_objects
from gateway.emulator.bodies.api_errors import not_found
from gateway.emulator.objects import ApiVersion, JsonObject, Message, Run, Thread
from gateway.emulator.runs.progress import Progress
from gateway.emulator.runs.timeline_events import (
    AnnotationAdded,
    CodeOutputAdded,
    Event,
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
    ToolCallGrown,
    ToolCallStarted,
)
from gateway.emulator.streams.deltas import message_delta, step_delta

CONTENT_TYPE = "text/event-stream; charset=utf-8"
DONE_FRAME = b"event: done\ndata: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event of a stream."""

    name: str
    data: JsonObject

    def to_frame(self) -> bytes:
        """Return the event as bytes of the stream."""
        try:
            line = orjson.dumps(self.data)
        except TypeError:
            # orjson takes integers of 64 bits only. A client's JSON schema, which is echoed, may hold longer ones.
            line = json.dumps(self.data, separators=(",", ":"), ensure_ascii=False).encode()
        return b"event: " + self.name.encode() + b"\ndata: " + line + b"\n\n"


class StreamForm(Protocol):
    """The form in which a stream shows the events of a timeline."""

    @property
    def done_frame(self) -> bytes:
        """Return the last frame of the stream."""
        ...

    def render_event(self, before: Progress, event: Event, after: Progress) -> Sequence[ServerSentEvent]:
        """Return the stream's events for a timeline event that led from the progress `before` to `after`."""
        ...

    def render_missing(self, run_id: str) -> ServerSentEvent:
        """Return the event of a run that was deleted while its stream was open."""
        ...


@dataclass(frozen=True, slots=True)
class RunStream:
    """The form of a run's stream in a version of the API."""

    version: ApiVersion
    with_search_content: bool = False
    done_frame: bytes = DONE_FRAME

    def render_event(self, before: Progress, event: Event, after: Progress) -> Sequence[ServerSentEvent]:
        """Return the stream's events for a timeline event that led from the progress `before` to `after`."""
        return events_to_stream(before, event, after, self.version, with_search_content=self.with_search_content)

    def render_missing(self, run_id: str) -> ServerSentEvent:
        """Return the event of a run that was deleted with its thread (assumed)."""
        return ServerSentEvent("error", not_found("run", run_id).body())


@dataclass(frozen=True, slots=True)
class StreamReply:
    """A reply that is a stream: its first events, and the run whose later events it shows.

    Attributes:
        opening_events: The first events.
        progress: The run as it was before the events that follow.
        applied: The number of the timeline's events that `progress` already contains.
        form: The form of the events.
        ends_when_dropped: Whether the run ends if the client leaves before the stream's end.
    """

    opening_events: Sequence[ServerSentEvent]
    progress: Progress
    applied: int
    form: StreamForm
    ends_when_dropped: bool = False


def opening_events(run: Run, version: ApiVersion, thread: Thread | None = None) -> tuple[ServerSentEvent, ...]:
    """Return the first events of a new run's stream. `thread` is set if it was made together with the run."""
    created = () if thread is None else (ServerSentEvent("thread.created", _thread(thread, version)),)
    shown = _run(run, version)
    return (*created, ServerSentEvent("thread.run.created", shown), ServerSentEvent("thread.run.queued", shown))


def events_to_stream(
    before: Progress, event: Event, after: Progress, version: ApiVersion, *, with_search_content: bool = False
) -> Sequence[ServerSentEvent]:
    """Return the stream's events for a timeline event that led from the progress `before` to `after`."""
    match event:
        case RunQueued() | RunStarted() | RunRequiresAction() | RunCancelling() | RunEnded():
            return (ServerSentEvent(_run_event_name(after.run, version), _run(after.run, version)),)
        case StepStarted(step_id=step_id):
            step = reply_objects.render_step(after.steps[step_id], version)
            return (
                ServerSentEvent("thread.run.step.created", step),
                ServerSentEvent("thread.run.step.in_progress", step),
            )
        case StepEnded(step_id=step_id, status=status):
            step = reply_objects.render_step(after.steps[step_id], version, with_search_content=with_search_content)
            return (ServerSentEvent(f"thread.run.step.{status}", step),)
        case ToolCallStarted() | ToolCallGrown() | CodeOutputAdded():
            return (ServerSentEvent("thread.run.step.delta", step_delta(before.steps[event.step_id], event, version)),)
        case FunctionOutputGiven():
            # Shown with the completed step, which follows at once.
            return ()
        case MessageStarted() | MessageEnded() | PartAdded() | TextGrown() | AnnotationAdded():
            return _message_events(before, event, after, version)
        case unknown:
            assert_never(unknown)


def ends_stream(event: Event) -> bool:
    """Return whether a stream ends with this event: the run has ended, or waits for its client."""
    return isinstance(event, RunEnded | RunRequiresAction)


def _message_events(
    before: Progress,
    event: MessageStarted | MessageEnded | PartAdded | TextGrown | AnnotationAdded,
    after: Progress,
    version: ApiVersion,
) -> Sequence[ServerSentEvent]:
    message = after.messages.get(event.message_id)
    if message is None:
        return ()
    match event:
        case MessageStarted():
            shown = _message(message, version)
            return (
                ServerSentEvent("thread.message.created", shown),
                ServerSentEvent("thread.message.in_progress", shown),
            )
        case MessageEnded():
            return (ServerSentEvent(f"thread.message.{message.status}", _message(message, version)),)
        case _:
            delta = message_delta(before.messages[event.message_id], event, version)
            return () if delta is None else (ServerSentEvent("thread.message.delta", delta),)


def _run_event_name(run: Run, version: ApiVersion) -> str:
    # Version 1 has no event of this name and sends `completed` instead, by its specification and a recorded stream.
    if run.status == "incomplete" and version == "v1":
        return "thread.run.completed"
    return f"thread.run.{run.status}"


def _run(run: Run, version: ApiVersion) -> JsonObject:
    return _with_interpreter_files(reply_objects.render_run(run, version))


def _thread(thread: Thread, version: ApiVersion) -> JsonObject:
    return _with_interpreter_files(reply_objects.render_thread(thread, version))


def _with_interpreter_files(rendered: JsonObject) -> JsonObject:
    """Return the object with the empty list of files that REST leaves out."""
    if rendered.get("tool_resources") == {}:
        rendered["tool_resources"] = {"code_interpreter": {"file_ids": []}}
    return rendered


def _message(message: Message, version: ApiVersion) -> JsonObject:
    """Return a message with its status in the position that a stream has it: before the role."""
    status: JsonObject = {
        "status": message.status,
        "incomplete_details": None if message.incomplete_reason is None else {"reason": message.incomplete_reason},
        "incomplete_at": message.incomplete_at,
        "completed_at": message.completed_at,
    }
    shown: JsonObject = {}
    for key, value in reply_objects.render_message(message, version).items():
        if key == "role":
            shown |= status
        shown[key] = value
    return shown

"""What subscriptions send: the types of events, and changes of a run log made into them. Pure.

An event's nodes come with their wire objects, so their own fields cost no call; whatever is selected below them is
loaded when the event is rendered, and shows what is so by then.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, TypeAlias

import strawberry

from schema.contract.keys import MessageKey, RunKey, RunStepKey, ThreadKey, to_global_id
from schema.contract.run_events import (
    Change,
    FaultChange,
    LaggedChange,
    MessageCreatedChange,
    MessageFinishedChange,
    RunEvent,
    SnapshotChange,
    StatusChange,
    StepChange,
    TextDeltaChange,
    ToolCallDeltaChange,
)
from schema.contract.wire import MessageObject, RawList, RunObject
from schema.engine.loaders import Loaders
from schema.graph.documented_field import documented_field, enum_member, plain_field
from schema.graph.enums import RunStatus, recognize, recognize_optional
from schema.graph.leaf_types import Annotation, TextContent
from schema.graph.message_node import Message
from schema.graph.run_node import Run
from schema.graph.run_step_node import RunStep
from schema.graph.scalars import DateTime


@strawberry.enum(description="How the gateway came to know of what happened.")
class Provenance(Enum):
    """As `run_events.Provenance`."""

    SNAPSHOT = enum_member("SNAPSHOT", "It was so when this gateway first looked.")
    STREAMED = enum_member("STREAMED", "The upstream said so while it happened.")
    POLLED = enum_member("POLLED", "The gateway asked, and found it changed; it may have happened a little earlier.")


@strawberry.type
class _Event:
    """What every event has."""

    cursor: str = plain_field("The place behind this event: `after` it, a subscription goes on with the next.")
    at: DateTime = plain_field("When the gateway came to know of it.")


@strawberry.type(description="A run as it stands: what a subscription to it begins with.")
class RunSnapshot(_Event):
    """Made of `SnapshotChange`."""

    run: Run = plain_field("The run.")
    messages: list[Message] = plain_field("What it has written so far, oldest first.")
    steps: list[RunStep] = plain_field("What it has done so far, oldest first.")


@strawberry.type(description="A run in another status than before.")
class RunStatusChange(_Event):
    """Made of `StatusChange`."""

    previous: RunStatus | None = plain_field("The status before; null where none was known.")
    status: RunStatus = plain_field("The status now.")
    run: Run = plain_field("The run, as it was at this moment.")
    provenance: Provenance = plain_field("How this became known.")


@strawberry.type(description="A step that is new, or not as it was.")
class StepChanged(_Event):
    """Made of `StepChange`."""

    step: RunStep = plain_field("The step, as it was at this moment.")
    provenance: Provenance = plain_field("How this became known.")


@strawberry.type(description="A piece of a tool call that the model is writing.")
class ToolCallDelta(_Event):
    """Made of `ToolCallDeltaChange`."""

    step_id: strawberry.ID = plain_field("The global ID of the step.")
    index: int = plain_field("Which of the step's tool calls, from 0.")
    call_id: str | None = plain_field("The call's id, with its first piece.")
    name: str | None = plain_field("The function's name, with its first piece.")
    arguments_delta: str | None = plain_field("To be appended to a function's arguments.")
    code_delta: str | None = plain_field("To be appended to the code interpreter's input.")


@strawberry.type(description="A message that is new; one that a run is writing has no content yet.")
class MessageCreated(_Event):
    """Made of `MessageCreatedChange`."""

    message: Message = plain_field("The message, as it was at this moment.")
    provenance: Provenance = plain_field("How this became known.")


@strawberry.type(description="A piece of text that the model is writing.")
class TextDelta(_Event):
    """Made of `TextDeltaChange`."""

    message_id: strawberry.ID = plain_field("The global ID of the message.")
    index: int = plain_field("Which of the message's parts, from 0.")
    value: str = plain_field("To be appended.")
    raw_annotations: strawberry.Private[RawList]

    @documented_field
    def annotations(self) -> list[Annotation]:
        """The annotations that came with this piece; their indices count from the beginning of the whole text."""
        found: list[Annotation] = TextContent(text=self.value, raw_annotations=self.raw_annotations).annotations()
        return found


@strawberry.type(description="A message that nothing is added to any more.")
class MessageFinished(_Event):
    """Made of `MessageFinishedChange`."""

    message: Message = plain_field("The message, whole.")
    provenance: Provenance = plain_field("How this became known.")


@strawberry.type(description="Something went wrong while a run or a thread was followed.")
class StreamError(_Event):
    """Made of `FaultChange`."""

    code: str = plain_field(
        "What happened, for a program: such as `CURSOR_EXPIRED`, `STREAM_INTERRUPTED`, `TOKENS_LOST`."
    )
    message: str = plain_field("What happened, for a person.")
    final: bool = plain_field("False when what was lost can still be read.")


@strawberry.type(description="The subscriber was too slow; the present state follows.")
class Lagged(_Event):
    """Made of `LaggedChange`."""

    skipped: int = plain_field("How many events were skipped.")


AnyRunEvent: TypeAlias = Annotated[
    RunSnapshot
    | RunStatusChange
    | StepChanged
    | ToolCallDelta
    | MessageCreated
    | TextDelta
    | MessageFinished
    | StreamError
    | Lagged,
    strawberry.union("RunEvent", description="Something that happened in a run."),
]

AnyThreadEvent: TypeAlias = Annotated[
    MessageCreated | MessageFinished | RunStatusChange | StreamError | Lagged,
    strawberry.union("ThreadEvent", description="Something that happened on a thread."),
]


def run_event_from_log(event: RunEvent, key: RunKey) -> AnyRunEvent:
    """Type an event of a run's log."""
    change, cursor, at = event.change, event.cursor, DateTime(event.at)
    match change:
        case SnapshotChange():
            return RunSnapshot(
                cursor=cursor,
                at=at,
                run=_run(key.thread_id, change.run),
                messages=[_message(key.thread_id, message) for message in change.messages],
                steps=[RunStep(key=RunStepKey(*key, step.id), wire=step) for step in change.steps],
            )
        case StepChange():
            step = RunStep(key=RunStepKey(*key, change.step.id), wire=change.step)
            return StepChanged(cursor=cursor, at=at, step=step, provenance=Provenance(event.provenance.value))
        case ToolCallDeltaChange():
            return ToolCallDelta(
                cursor=cursor,
                at=at,
                step_id=strawberry.ID(to_global_id(RunStepKey(*key, change.step_id))),
                index=change.index,
                call_id=change.call_id,
                name=change.name,
                arguments_delta=change.arguments,
                code_delta=change.code,
            )
        case TextDeltaChange():
            return TextDelta(
                cursor=cursor,
                at=at,
                message_id=strawberry.ID(to_global_id(MessageKey(key.thread_id, change.message_id))),
                index=change.index,
                value=change.value,
                raw_annotations=change.annotations,
            )
        case _:
            return thread_event_from_log(event, ThreadKey(key.thread_id))


def thread_event_from_log(event: RunEvent, key: ThreadKey) -> AnyThreadEvent:
    """Type an event of a thread's log; raises for a change that no such log holds."""
    change, cursor, at = event.change, event.cursor, DateTime(event.at)
    match change:
        case StatusChange():
            return RunStatusChange(
                cursor=cursor,
                at=at,
                previous=recognize_optional(RunStatus, change.previous),
                status=recognize(RunStatus, change.run.status),
                run=_run(key.thread_id, change.run),
                provenance=Provenance(event.provenance.value),
            )
        case MessageCreatedChange():
            created = _message(key.thread_id, change.message)
            return MessageCreated(cursor=cursor, at=at, message=created, provenance=Provenance(event.provenance.value))
        case MessageFinishedChange():
            whole = _message(key.thread_id, change.message)
            return MessageFinished(cursor=cursor, at=at, message=whole, provenance=Provenance(event.provenance.value))
        case FaultChange():
            return StreamError(cursor=cursor, at=at, code=change.code, message=change.message, final=change.final)
        case LaggedChange():
            return Lagged(cursor=cursor, at=at, skipped=change.skipped)
        case _:
            raise TypeError(f"expected a change of a thread, got {type(change).__name__}")


def prime_loaders(change: Change, thread_id: str, loaders: Loaders) -> None:
    """Let loaders know the objects that came with a change: what leads back to one of them needs no call."""
    match change:
        case StatusChange():
            loaders.runs.prime(RunKey(thread_id, change.run.id), change.run)
        case MessageCreatedChange() | MessageFinishedChange():
            loaders.messages.prime(MessageKey(thread_id, change.message.id), change.message)
        case SnapshotChange():
            loaders.runs.prime(RunKey(thread_id, change.run.id), change.run)
            for message in change.messages:
                loaders.messages.prime(MessageKey(thread_id, message.id), message)


def _run(thread_id: str, wire: RunObject) -> Run:
    return Run(key=RunKey(thread_id, wire.id), wire=wire)


def _message(thread_id: str, wire: MessageObject) -> Message:
    return Message(key=MessageKey(thread_id, wire.id), wire=wire)

"""The GraphQL types of events, and the conversion of run log events to them. Pure.

The nodes of an event come with their wire objects, so their own fields cost no call. Selections below them are loaded
when the event is rendered, and show the state of that moment.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, TypeAlias

import strawberry

from schema.contract.keys import MessageKey, RunKey, RunStepKey, ThreadKey, to_global_id
from schema.contract.run_events import (
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
from schema.contract.thread_records import ThreadRecord
from schema.contract.wire import MessageObject, RawList, RunObject
from schema.engine.context import Context
from schema.graph.documented_field import documented_field, enum_member, plain_field
from schema.graph.enums import RunStatus, recognize, recognize_optional
from schema.graph.leaf_types import Annotation, TextContent
from schema.graph.message_node import Message
from schema.graph.node import Node
from schema.graph.run_node import Run
from schema.graph.run_step_node import RunStep
from schema.graph.scalars import DateTime
from schema.graph.stream_error_code import StreamErrorCode

_OFFSET = "The number of UTF-16 units (JavaScript's `length`) of"


@strawberry.enum(description="The way that the gateway learned of an event.")
class Provenance(Enum):
    """Source: `Provenance` in `schema/contract/run_events.py`."""

    SNAPSHOT = enum_member("SNAPSHOT", "The state when the gateway first read the run.")
    STREAMED = enum_member("STREAMED", "The upstream streamed the event when it happened.")
    POLLED = enum_member(
        "POLLED", "The gateway polled the upstream and found the change. It may have happened earlier."
    )


@strawberry.interface(description="The fields of every event of a run or a thread.")
class RunLogEvent:
    """The place of an event in its log."""

    cursor: str = plain_field(
        "The cursor of this event. With it as `after`, a subscription continues with the next event."
    )
    at: DateTime = plain_field("The time when the gateway learned of the event.")


@strawberry.type(description="The present state of a run. A subscription to a run begins with it.")
class RunSnapshot(RunLogEvent):
    """Made of `SnapshotChange`."""

    run: Run = plain_field("The run.")
    messages: list[Message] = plain_field("The messages that the run has written so far, oldest first.")
    steps: list[RunStep] = plain_field("The steps of the run so far, oldest first.")


@strawberry.type(description="A change of a run's status.")
class RunStatusChange(RunLogEvent):
    """Made of `StatusChange`."""

    previous: RunStatus | None = plain_field("The status before the change. Null if it is not known.")
    status: RunStatus = plain_field("The new status.")
    run: Run = plain_field("The run at the time of the event.")
    provenance: Provenance = plain_field("The way that the gateway learned of the event.")


@strawberry.type(description="A new step, or a change of a step.")
class StepChanged(RunLogEvent):
    """Made of `StepChange`."""

    step: RunStep = plain_field("The step at the time of the event.")
    provenance: Provenance = plain_field("The way that the gateway learned of the event.")


@strawberry.type(description="The next part of a tool call that the model is writing.")
class ToolCallDelta(RunLogEvent):
    """Made of `ToolCallDeltaChange`."""

    step_id: strawberry.ID = plain_field("The global ID of the step.")
    index: int = plain_field("The index of the tool call in the step, from 0.")
    call_id: str | None = plain_field("The upstream id of the call; only in its first part.")
    name: str | None = plain_field("The name of the function; only in the first part.")
    arguments_delta: str | None = plain_field("Text to append to the arguments of the function.")
    arguments_offset: int | None = plain_field(f"{_OFFSET} the arguments before this text. Null without such a text.")
    code_delta: str | None = plain_field("Text to append to the input of the code interpreter.")
    code_offset: int | None = plain_field(f"{_OFFSET} the input before this text. Null without such a text.")


@strawberry.type(description="A new message. If a run is writing it, it has no content yet.")
class MessageCreated(RunLogEvent):
    """Made of `MessageCreatedChange`."""

    message: Message = plain_field("The message at the time of the event.")
    provenance: Provenance = plain_field("The way that the gateway learned of the event.")


@strawberry.type(description="The next part of a text that the model is writing.")
class TextDelta(RunLogEvent):
    """Made of `TextDeltaChange`."""

    message_id: strawberry.ID = plain_field("The global ID of the message.")
    index: int = plain_field("The index of the part in the message's `content`, from 0.")
    value: str = plain_field("Text to append.")
    offset: int = plain_field(
        f"{_OFFSET} this part's text before this piece. So `text.slice(0, offset) + value` is right, however often a "
        "piece is applied."
    )
    raw_annotations: strawberry.Private[RawList]

    @documented_field
    def annotations(self) -> list[Annotation]:
        """The annotations that came with this part. Their indexes count from the beginning of the whole text."""
        annotations: list[Annotation] = TextContent(text=self.value, raw_annotations=self.raw_annotations).annotations()
        return annotations


@strawberry.type(description="A message that is finished: nothing is added to it any more.")
class MessageFinished(RunLogEvent):
    """Made of `MessageFinishedChange`."""

    message: Message = plain_field("The whole message.")
    provenance: Provenance = plain_field("The way that the gateway learned of the event.")


@strawberry.type(description="A fault while the gateway was reading the events of a run or a thread.")
class StreamError(RunLogEvent):
    """Made of `FaultChange`."""

    code: StreamErrorCode = plain_field("The code of the fault.")
    detail: str = plain_field("The description of the fault for people.")
    final: bool = plain_field("False if the lost data can still be read.")


@strawberry.type(
    description="The subscriber was too slow and missed events. The present state follows. `viewerEvents` without "
    "`after` begins with one of 0 skipped events: the list that is queried from then on lacks nothing that is not told."
)
class Lagged(RunLogEvent):
    """Made of `LaggedChange`."""

    skipped: int = plain_field("The number of skipped events.")


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
    strawberry.union("RunEvent", description="An event of a run."),
]

AnyThreadEvent: TypeAlias = Annotated[
    MessageCreated | MessageFinished | RunStatusChange | StreamError | Lagged,
    strawberry.union("ThreadEvent", description="An event of a thread."),
]


def run_event_from_log(event: RunEvent, key: RunKey) -> AnyRunEvent:
    """Convert an event of a run's log to its GraphQL type."""
    change, cursor, at = event.change, event.cursor, DateTime(event.at)
    match change:
        case SnapshotChange():
            return RunSnapshot(
                cursor=cursor,
                at=at,
                run=_to_run(key.thread_id, change.run),
                messages=[_to_message(key.thread_id, message) for message in change.messages],
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
                arguments_offset=None if change.arguments is None else change.arguments_offset,
                code_delta=change.code,
                code_offset=None if change.code is None else change.code_offset,
            )
        case TextDeltaChange():
            return TextDelta(
                cursor=cursor,
                at=at,
                message_id=strawberry.ID(to_global_id(MessageKey(key.thread_id, change.message_id))),
                index=change.index,
                value=change.value,
                offset=change.offset,
                raw_annotations=change.annotations,
            )
        case _:
            return thread_event_from_log(event, ThreadKey(key.thread_id))


def thread_event_from_log(event: RunEvent, key: ThreadKey) -> AnyThreadEvent:
    """Convert an event of a thread's log to its GraphQL type.

    Raises:
        TypeError: No thread's log contains a change of this type.
    """
    change, cursor, at = event.change, event.cursor, DateTime(event.at)
    match change:
        case StatusChange():
            return RunStatusChange(
                cursor=cursor,
                at=at,
                previous=recognize_optional(RunStatus, change.previous),
                status=recognize(RunStatus, change.run.status),
                run=_to_run(key.thread_id, change.run),
                provenance=Provenance(event.provenance.value),
            )
        case MessageCreatedChange():
            created = _to_message(key.thread_id, change.message)
            return MessageCreated(cursor=cursor, at=at, message=created, provenance=Provenance(event.provenance.value))
        case MessageFinishedChange():
            whole = _to_message(key.thread_id, change.message)
            return MessageFinished(cursor=cursor, at=at, message=whole, provenance=Provenance(event.provenance.value))
        case FaultChange():
            return StreamError(
                cursor=cursor,
                at=at,
                code=recognize(StreamErrorCode, change.code),
                detail=change.message,
                final=change.final,
            )
        case LaggedChange():
            return Lagged(cursor=cursor, at=at, skipped=change.skipped)
        case _:
            raise TypeError(f"expected a change of a thread, got {type(change).__name__}")


def prime_loaders(event: object, context: Context) -> None:
    """Prime the loaders with the nodes and the record of an event, so that references back to them need no call."""
    for value in vars(event).values():
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, Node):
                context.loaders.objects(node.KIND).prime(node.key, node.wire)
        if isinstance(value, ThreadRecord) and (viewer := context.read_viewer()) is not None:
            viewer.records.prime(ThreadKey(value.thread_id), value)


def _to_run(thread_id: str, wire: RunObject) -> Run:
    return Run(key=RunKey(thread_id, wire.id), wire=wire)


def _to_message(thread_id: str, wire: MessageObject) -> Message:
    return Message(key=MessageKey(thread_id, wire.id), wire=wire)

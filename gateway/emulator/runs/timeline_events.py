"""The small events of a run's timeline. Each change that a stream shows is one of them.

A timeline is a tuple of events with their times, in order. Applied events never change. A request (tool outputs, a
cancellation) replaces the pending ones. The database holds timelines as JSON, so a change of an event's `kind` or of a
field needs a new `SCHEMA_VERSION`.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from gateway.emulator.objects import CodeOutput, ContentPart, Failure, StepStatus, TextAnnotation, ToolCall, Usage

EndStatus: TypeAlias = Literal["cancelled", "failed", "completed", "incomplete", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQueued:
    """The run is queued again, after its tool outputs were submitted."""

    kind: Literal["run_queued"] = "run_queued"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The run started, or started again."""

    kind: Literal["run_started"] = "run_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequiresAction:
    """The run waits for the outputs or approvals of its open step's calls. `usage` belongs to that step, at its end."""

    kind: Literal["run_requires_action"] = "run_requires_action"
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelling:
    """A client requested the run's cancellation."""

    kind: Literal["run_cancelling"] = "run_cancelling"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The run reached a terminal status."""

    kind: Literal["run_ended"] = "run_ended"
    status: EndStatus
    error: Failure | None = None
    incomplete_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """A step began. It writes a message if `message_id` is set. Otherwise it calls tools."""

    kind: Literal["step_started"] = "step_started"
    step_id: str
    message_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallStarted:
    """A tool call was added to a step."""

    kind: Literal["tool_call_started"] = "tool_call_started"
    step_id: str
    call: ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallGrown:
    """A piece was added to a function's arguments or to the interpreter's code."""

    kind: Literal["tool_call_grown"] = "tool_call_grown"
    step_id: str
    call_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeOutputAdded:
    """An output was added to the interpreter's code."""

    kind: Literal["code_output_added"] = "code_output_added"
    step_id: str
    call_id: str
    output: CodeOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionOutputGiven:
    """The client submitted a function's output, or decided on the call of an MCP server's tool."""

    kind: Literal["function_output_given"] = "function_output_given"
    step_id: str
    call_id: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """A step reached a terminal status."""

    kind: Literal["step_ended"] = "step_ended"
    step_id: str
    status: StepStatus
    usage: Usage | None = None
    error: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStarted:
    """An assistant's message was created, still empty."""

    kind: Literal["message_started"] = "message_started"
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartAdded:
    """A content part was added to a message."""

    kind: Literal["part_added"] = "part_added"
    message_id: str
    part: ContentPart


@dataclass(frozen=True, slots=True, kw_only=True)
class TextGrown:
    """A piece was added to a text part."""

    kind: Literal["text_grown"] = "text_grown"
    message_id: str
    index: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationAdded:
    """An annotation was added to a text part."""

    kind: Literal["annotation_added"] = "annotation_added"
    message_id: str
    index: int
    annotation: TextAnnotation


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEnded:
    """A message is complete, or stays incomplete for `incomplete_reason`."""

    kind: Literal["message_ended"] = "message_ended"
    message_id: str
    incomplete_reason: str | None = None


Event: TypeAlias = Annotated[
    RunQueued
    | RunStarted
    | RunRequiresAction
    | RunCancelling
    | RunEnded
    | StepStarted
    | ToolCallStarted
    | ToolCallGrown
    | CodeOutputAdded
    | FunctionOutputGiven
    | StepEnded
    | MessageStarted
    | PartAdded
    | TextGrown
    | AnnotationAdded
    | MessageEnded,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event and its time, in unix seconds with their fraction."""

    at: float
    event: Event


Timeline: TypeAlias = tuple[TimedEvent, ...]

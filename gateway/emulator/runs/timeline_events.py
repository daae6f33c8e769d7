"""The small events a run's life is made of; everything that a stream would show is one of them.

A timeline is a tuple of events with their instants, in order. Events of the past never change; an intervention
(tool outputs, a cancellation) replaces those that have not happened yet.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from gateway.emulator.objects import CodeOutput, ContentPart, Failure, StepStatus, TextAnnotation, ToolCall, Usage

EndStatus: TypeAlias = Literal["cancelled", "failed", "completed", "incomplete", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQueued:
    """The run waits for its turn again, after its tool outputs came."""

    kind: Literal["run_queued"] = "run_queued"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The run is being worked on."""

    kind: Literal["run_started"] = "run_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequiresAction:
    """The run waits for the outputs of the function calls of its open step, whose ``usage`` shows when it ends."""

    kind: Literal["run_requires_action"] = "run_requires_action"
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelling:
    """Someone asked to cancel the run."""

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
    """A step began: it writes a message if ``message_id`` is set, else it calls tools."""

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
    """The interpreter put something out."""

    kind: Literal["code_output_added"] = "code_output_added"
    step_id: str
    call_id: str
    output: CodeOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionOutputGiven:
    """The client gave a function's output."""

    kind: Literal["function_output_given"] = "function_output_given"
    step_id: str
    call_id: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """A step reached a status that cannot change."""

    kind: Literal["step_ended"] = "step_ended"
    step_id: str
    status: StepStatus
    usage: Usage | None = None
    error: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStarted:
    """An assistant's message appeared, still empty."""

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
    """A message is complete, or will stay incomplete for the reason given."""

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
    """An event and the instant it happens, in unix seconds with their fraction."""

    at: float
    event: Event


Timeline: TypeAlias = tuple[TimedEvent, ...]

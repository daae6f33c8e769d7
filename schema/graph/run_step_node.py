"""The node type `RunStep` and the types of its details."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias

import strawberry

from schema.contract.keys import AssistantKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.kinds import RUN_STEPS
from schema.contract.wire import RunStepObject
from schema.contract.wire_parts import STEP_DETAILS_DECODER, StepDetailsObject
from schema.graph.assistant_node import Assistant
from schema.graph.documented_field import documented_field, plain_field
from schema.graph.enums import RunStepStatus, RunStepType, recognize
from schema.graph.from_wire import run_error_from_wire, tool_calls_from_wire, usage_from_wire
from schema.graph.leaf_types import RunError, ToolCall, Usage
from schema.graph.lenient_parts import part_kind, unknown_part
from schema.graph.node import NOT_LOADED, Node
from schema.graph.references import key_reference, refer_to, reference
from schema.graph.scalars import JSON, DateTime, Metadata, to_date_time, to_metadata


@strawberry.type(description="Details of a step that wrote a message.")
class MessageCreationDetails:
    """Source: schema `RunStepDetailsMessageCreationObject`."""

    thread_id: strawberry.Private[str]
    message_id: strawberry.Private[str]

    @reference
    def message(self) -> Message | None:
        """The message. Null if it no longer exists."""
        return refer_to(Message, MessageKey(self.thread_id, self.message_id))


@strawberry.type(description="Details of a step that called tools.")
class ToolCallsDetails:
    """Source: schema `RunStepDetailsToolCallsObject`."""

    tool_calls: list[ToolCall] = plain_field("The tool calls, in order.")


@strawberry.type(description="Details of a kind that this gateway does not know yet.")
class UnknownStepDetails:
    """Fallback of `StepDetails`."""

    type: str = plain_field("The upstream's name of the kind. Empty if it sends none.")
    raw: JSON = plain_field("The details as the upstream sent them.")


StepDetails: TypeAlias = Annotated[
    MessageCreationDetails | ToolCallsDetails | UnknownStepDetails,
    strawberry.union("StepDetails", description="The work of a step."),
]


@strawberry.type(description="One step of a run: it wrote a message, or it called tools.")
class RunStep(Node):
    """Source: schema `RunStepObject`."""

    KIND: ClassVar = RUN_STEPS
    TYPE_NAME: ClassVar = KIND.type_name

    key: strawberry.Private[RunStepKey]
    wire: strawberry.Private[RunStepObject] = NOT_LOADED

    @documented_field
    def upstream_id(self) -> str:
        """The upstream's id of the step, such as `step_abc123`."""
        return self.key.step_id

    @documented_field
    def created_at(self) -> DateTime | None:
        """The time when the step began. Null if the upstream does not send it."""
        return to_date_time(self.wire.created_at or None)

    @key_reference
    def thread(self) -> Thread | None:
        """The thread of the step's run. Null if it could not be read."""
        return refer_to(Thread, ThreadKey(self.key.thread_id))

    @key_reference
    def run(self) -> Run | None:
        """The run of the step. Null if it could not be read."""
        return refer_to(Run, RunKey(self.key.thread_id, self.key.run_id))

    @reference
    def assistant(self) -> Assistant | None:
        """The run's assistant. Null if it no longer exists."""
        assistant_id = self.wire.assistant_id
        return refer_to(Assistant, AssistantKey(assistant_id)) if assistant_id else None

    @documented_field
    def type(self) -> RunStepType:
        """The kind of the step: it wrote a message, or it called tools."""
        return recognize(RunStepType, self.wire.type)

    @documented_field
    def status(self) -> RunStepStatus:
        """The status of the step."""
        return recognize(RunStepStatus, self.wire.status)

    @documented_field
    def details(self) -> StepDetails:
        """The message that the step wrote, or the tool calls that it made."""
        raw = self.wire.step_details
        details = STEP_DETAILS_DECODER.decode_part(raw)
        match part_kind(details, "message_creation", "tool_calls"), details:
            case "message_creation", StepDetailsObject(message_creation=created) if created is not None:
                return MessageCreationDetails(message_id=created.message_id, thread_id=self.key.thread_id)
            case "tool_calls", StepDetailsObject(tool_calls=calls):
                return ToolCallsDetails(tool_calls=tool_calls_from_wire(calls))
            case _:
                kind, value = unknown_part(raw)
                return UnknownStepDetails(type=kind, raw=value)

    @documented_field
    def last_error(self) -> RunError | None:
        """The error of a step that failed. Null for any other step."""
        return run_error_from_wire(self.wire.last_error)

    @documented_field
    def expires_at(self) -> DateTime | None:
        """The time when the step expires unless it is finished before. Most servers leave it when the step is."""
        return to_date_time(self.wire.expires_at)

    @documented_field
    def expired_at(self) -> DateTime | None:
        """The time when the step expired. Null if it did not."""
        return to_date_time(self.wire.expired_at)

    @documented_field
    def cancelled_at(self) -> DateTime | None:
        """The time when the step was cancelled. Null if it was not."""
        return to_date_time(self.wire.cancelled_at)

    @documented_field
    def failed_at(self) -> DateTime | None:
        """The time when the step failed. Null if it did not."""
        return to_date_time(self.wire.failed_at)

    @documented_field
    def completed_at(self) -> DateTime | None:
        """The time when the step was completed. Null before that."""
        return to_date_time(self.wire.completed_at)

    @documented_field
    def usage(self) -> Usage | None:
        """The tokens that the step used. Null until it is completed."""
        return usage_from_wire(self.wire.usage)

    @documented_field
    def metadata(self) -> Metadata:
        """Key-value pairs that the client stores with the step. Most servers send none."""
        return to_metadata(self.wire.metadata)


from schema.graph.message_node import Message  # noqa: E402 - the types form a circle, see node.py
from schema.graph.run_node import Run  # noqa: E402 - the types form a circle, see node.py
from schema.graph.thread_node import Thread  # noqa: E402 - the types form a circle, see node.py

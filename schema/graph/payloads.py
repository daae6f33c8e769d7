"""The payloads of the mutations: the object, the `userErrors`, and the client's own `clientMutationId`.

If the mutation was refused, the object is null and `userErrors` contain the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, cast

import strawberry

from schema.contract.keys import ThreadKey
from schema.contract.paging import PagingLimits
from schema.contract.wire import MessageObject, Page
from schema.graph.assistant_node import Assistant
from schema.graph.connections import ConnectionPlan, list_field
from schema.graph.field_loads import AgainLoad
from schema.graph.from_wire import text_from_content
from schema.graph.message_node import Message, plan_newest_messages
from schema.graph.references import loaded_later, refer_to, reference
from schema.graph.run_node import Run
from schema.graph.thread_node import Thread
from schema.graph.user_errors import UserError


def _result_field(description: str, load: AgainLoad | None = None) -> Any:
    description = f"{description} Null if the mutation was refused."
    return strawberry.field(default=None, description=description, metadata={"load": load})


class AddedMessage(NamedTuple):
    """An additional message of a run: its author, and its texts joined by newlines."""

    role: str
    text: str


_DELETED = "The global ID of the deleted object."


@strawberry.interface(name="MutationPayload", description="The fields of the payload of every mutation.")
class Payload:
    """The refusals, and the client's own text."""

    FROM_INPUT: ClassVar[Mapping[str, str]] = {}
    """The attributes that the prediction of calls takes from the input, each with the name of the input's field."""

    user_errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="The reasons why the mutation was refused, if the client can act on them. Empty on success. After "
        "`NOT_KEPT` the object is there: all else has taken place.",
    )
    client_mutation_id: str | None = strawberry.field(
        default=None, description="The `clientMutationId` of the input, unchanged."
    )


@strawberry.type
class _InThreadPayload(Payload):
    """The fields of the payload of a mutation that changes a part of a thread."""

    thread_id: strawberry.Private[str | None] = None

    @reference
    def thread(self) -> Thread | None:
        """The thread of the changed object, in its new state. Null if the mutation was refused."""
        return refer_to(Thread, ThreadKey(self.thread_id)) if self.thread_id else None


@strawberry.type(description="The payload of createThread.")
class CreateThreadPayload(Payload):
    """Contains the new thread."""

    thread: Thread | None = _result_field("The new thread.")


@strawberry.type(description="The payload of updateThread.")
class UpdateThreadPayload(Payload):
    """Contains the thread. It lacks the upstream's object if nothing was sent upstream."""

    updated: strawberry.Private[Thread | None] = None

    @loaded_later
    def thread(self) -> Thread | None:
        """The thread in its new state. Null if the mutation was refused."""
        return self.updated


@strawberry.type(description="The payload of deleteThread.")
class DeleteThreadPayload(Payload):
    """Contains the ID of the deleted object."""

    deleted_id: strawberry.ID | None = _result_field(_DELETED)


@strawberry.type(description="The payload of createMessage.")
class CreateMessagePayload(_InThreadPayload):
    """Contains the new message."""

    message: Message | None = _result_field("The new message.")


@strawberry.type(description="The payload of updateMessage.")
class UpdateMessagePayload(Payload):
    """Contains the message."""

    message: Message | None = _result_field("The message in its new state.", AgainLoad("lacks_attachments"))


@strawberry.type(description="The payload of deleteMessage.")
class DeleteMessagePayload(_InThreadPayload):
    """Contains the ID of the deleted object."""

    deleted_id: strawberry.ID | None = _result_field(_DELETED)


@strawberry.type(description="The payload of createRun.")
class CreateRunPayload(_InThreadPayload):
    """Contains the new run and its additional messages."""

    FROM_INPUT: ClassVar = {"added": "additionalMessages"}

    run: Run | None = _result_field("The new run.")
    added: strawberry.Private[Sequence[AddedMessage]] = ()

    @list_field
    def messages(self, _: PagingLimits) -> list[Message] | None:
        """The additional messages that the run added, in order. It costs a call if there are any.

        Null if the mutation was refused, or if they could not be read.
        """
        if self.thread_id is None or not self.added:
            return None if self.thread_id is None else []
        return cast("list[Message]", replace(plan_newest_messages(self.thread_id), to_result=self._find_added))

    def _find_added(self, plan: ConnectionPlan[Message], page: Page[MessageObject]) -> list[Message] | None:
        """Find the newest messages in a row that have these authors and texts, the oldest first."""
        wires = page.data[::-1]
        shown = [AddedMessage(wire.role, text_from_content(wire.content).strip()) for wire in wires]
        for start in range(len(shown) - len(self.added), -1, -1):
            if shown[start : start + len(self.added)] == list(self.added):
                return [plan.make_node(wire) for wire in wires[start : start + len(self.added)]]
        return None


@strawberry.type(description="The payload of createThreadAndRun.")
class CreateThreadAndRunPayload(_InThreadPayload):
    """Contains the new run, and with it the new thread."""

    run: Run | None = _result_field("The new run.")


@strawberry.type(description="The payload of updateRun.")
class UpdateRunPayload(Payload):
    """Contains the run."""

    run: Run | None = _result_field("The run in its new state.")


@strawberry.type(description="The payload of cancelRun.")
class CancelRunPayload(Payload):
    """Contains the run."""

    run: Run | None = _result_field("The run in its new state. It stops a moment later.")


@strawberry.type(description="The payload of submitToolOutputs.")
class SubmitToolOutputsPayload(Payload):
    """Contains the run."""

    run: Run | None = _result_field("The run in its new state. It continues a moment later.")


@strawberry.type(description="The payload of submitToolApprovals.")
class SubmitToolApprovalsPayload(Payload):
    """Contains the run."""

    run: Run | None = _result_field("The run in its new state. It continues a moment later.")


@strawberry.type(description="The payload of createAssistant.")
class CreateAssistantPayload(Payload):
    """Contains the new assistant."""

    assistant: Assistant | None = _result_field("The new assistant.")


@strawberry.type(description="The payload of updateAssistant.")
class UpdateAssistantPayload(Payload):
    """Contains the assistant."""

    assistant: Assistant | None = _result_field("The assistant in its new state.")


@strawberry.type(description="The payload of deleteAssistant.")
class DeleteAssistantPayload(Payload):
    """Contains the ID of the deleted object."""

    deleted_id: strawberry.ID | None = _result_field(_DELETED)


@strawberry.type(description="The payload of deleteFile.")
class DeleteFilePayload(Payload):
    """Contains the ID of the deleted object."""

    deleted_id: strawberry.ID | None = _result_field(_DELETED)

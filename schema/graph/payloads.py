"""Payloads: what a mutation answers. Each has its object, the refusals as data, and the caller's own mark.

An object is null where the mutation was refused; `userErrors` then say why.
"""

from __future__ import annotations

from typing import Any

import strawberry

from schema.contract.keys import ThreadKey
from schema.engine.context import Info
from schema.graph.assistant_node import Assistant
from schema.graph.documented_field import documented_field
from schema.graph.message_node import Message
from schema.graph.references import follow_reference
from schema.graph.run_node import Run
from schema.graph.thread_node import Thread
from schema.graph.user_errors import UserError


def _object(description: str) -> Any:
    return strawberry.field(default=None, description=f"{description} Null where it was refused.")


_DELETED = "The global ID of what is no longer there."


@strawberry.type
class Payload:
    """What every mutation answers."""

    user_errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it was refused, as far as the caller can act on it; empty on success."
    )
    client_mutation_id: str | None = strawberry.field(
        default=None, description="The `clientMutationId` of the input, as it came."
    )


@strawberry.type
class _InThreadPayload(Payload):
    """What a mutation answers that changes something within a thread."""

    thread_key: strawberry.Private[ThreadKey | None] = None

    @documented_field
    def thread(self, info: Info) -> Thread | None:
        """The thread that it belongs to, as it is now. Null where it was refused."""
        return follow_reference(info, Thread, self.thread_key) if self.thread_key else None


@strawberry.type(description="The answer of createThread.")
class CreateThreadPayload(Payload):
    """Carries the new thread."""

    thread: Thread | None = _object("The new thread.")


@strawberry.type(description="The answer of updateThread.")
class UpdateThreadPayload(Payload):
    """Carries the thread."""

    thread: Thread | None = _object("The thread as it is now.")


@strawberry.type(description="The answer of deleteThread.")
class DeleteThreadPayload(Payload):
    """Carries the id of what is gone."""

    deleted_id: strawberry.ID | None = _object(_DELETED)


@strawberry.type(description="The answer of createMessage.")
class CreateMessagePayload(_InThreadPayload):
    """Carries the new message."""

    message: Message | None = _object("The new message.")


@strawberry.type(description="The answer of updateMessage.")
class UpdateMessagePayload(Payload):
    """Carries the message."""

    message: Message | None = _object("The message as it is now.")


@strawberry.type(description="The answer of deleteMessage.")
class DeleteMessagePayload(_InThreadPayload):
    """Carries the id of what is gone."""

    deleted_id: strawberry.ID | None = _object(_DELETED)


@strawberry.type(description="The answer of createRun.")
class CreateRunPayload(_InThreadPayload):
    """Carries the new run."""

    run: Run | None = _object("The new run.")


@strawberry.type(description="The answer of createThreadAndRun.")
class CreateThreadAndRunPayload(_InThreadPayload):
    """Carries the new run, which leads to the new thread."""

    run: Run | None = _object("The new run.")


@strawberry.type(description="The answer of updateRun.")
class UpdateRunPayload(Payload):
    """Carries the run."""

    run: Run | None = _object("The run as it is now.")


@strawberry.type(description="The answer of cancelRun.")
class CancelRunPayload(Payload):
    """Carries the run."""

    run: Run | None = _object("The run as it is now; it stops a moment later.")


@strawberry.type(description="The answer of submitToolOutputs.")
class SubmitToolOutputsPayload(Payload):
    """Carries the run."""

    run: Run | None = _object("The run as it is now; it goes on a moment later.")


@strawberry.type(description="The answer of createAssistant.")
class CreateAssistantPayload(Payload):
    """Carries the new assistant."""

    assistant: Assistant | None = _object("The new assistant.")


@strawberry.type(description="The answer of updateAssistant.")
class UpdateAssistantPayload(Payload):
    """Carries the assistant."""

    assistant: Assistant | None = _object("The assistant as it is now.")


@strawberry.type(description="The answer of deleteAssistant.")
class DeleteAssistantPayload(Payload):
    """Carries the id of what is gone."""

    deleted_id: strawberry.ID | None = _object(_DELETED)

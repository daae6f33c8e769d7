"""Inputs: what a caller gives to a mutation, in GraphQL's names. What they are made of is in `input_parts.py`.

An explicit null is sent by updates alone, where it clears a text or a number.
"""

from __future__ import annotations

import strawberry

from schema.graph.documented_field import plain_field
from schema.graph.input_parts import (
    METADATA,
    NewMessageInput,
    NewThreadInput,
    ReasoningEffortInput,
    ResponseFormatInput,
    ToolChoiceInput,
    ToolInput,
    ToolResourcesInput,
    TruncationStrategyInput,
    optional,
)
from schema.graph.scalars import Metadata

_ASSISTANT_FILES = "Version 1 of the API; use toolResources."
_CLIENT_MUTATION_ID = "Comes back in the payload as it is."
_TEMPERATURE = "How freely the model words its answer, from 0 to 2."
_TOP_P = "The share of likely words that the model chooses from, from 0 to 1."


@strawberry.input(description="A thread to be created.")
class CreateThreadInput(NewThreadInput):
    """Source: createThread."""

    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)


@strawberry.input(description="Changes to a thread.")
class UpdateThreadInput:
    """Source: modifyThread."""

    thread_id: strawberry.ID = plain_field("The thread: its global ID or upstream id.")
    tool_resources: ToolResourcesInput | None = optional("What the tools may use from now on.")
    metadata: Metadata | None = optional(f"The metadata from now on. {METADATA}")
    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)


@strawberry.input(description="A thread to be deleted, with all that is in it.")
class DeleteThreadInput:
    """Source: deleteThread."""

    thread_id: strawberry.ID = plain_field("The thread: its global ID or upstream id.")
    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)


@strawberry.input(description="A message to be added to a thread.")
class CreateMessageInput(NewMessageInput):
    """Source: createMessage."""

    thread_id: strawberry.ID = plain_field("The thread: its global ID or upstream id.")
    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)


@strawberry.input(description="Changes to a message.")
class UpdateMessageInput:
    """Source: modifyMessage."""

    message_id: strawberry.ID = plain_field("The message: its global ID.")
    metadata: Metadata | None = optional(f"The metadata from now on. {METADATA}")
    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)


@strawberry.input(description="A message to be deleted (version 2 of the API).")
class DeleteMessageInput:
    """Source: deleteMessage."""

    message_id: strawberry.ID = plain_field("The message: its global ID.")
    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)


@strawberry.input(description="What a new run does otherwise than its assistant.")
class RunOptionsInput:
    """Source: what createRun and createThreadAndRun share."""

    assistant_id: strawberry.ID = plain_field("The assistant: its global ID or upstream id.")
    model: str | None = optional("The model, in place of the assistant's.")
    instructions: str | None = optional("The instructions, in place of the assistant's; up to 256,000 characters.")
    tools: list[ToolInput] | None = optional("The tools, in place of the assistant's; at most 20.")
    temperature: float | None = optional(_TEMPERATURE)
    top_p: float | None = optional(_TOP_P)
    max_prompt_tokens: int | None = optional("Most tokens that the run may read; at least 256.")
    max_completion_tokens: int | None = optional("Most tokens that the run may write; at least 256.")
    truncation_strategy: TruncationStrategyInput | None = optional("How much of the thread the run reads.")
    tool_choice: ToolChoiceInput | None = optional("Which tool the model may or must call.")
    parallel_tool_calls: bool | None = optional("Whether the model may call several functions at once.")
    response_format: ResponseFormatInput | None = optional("The form of the answer.")
    metadata: Metadata | None = optional(METADATA)


@strawberry.input(description="A run to be started on a thread.")
class CreateRunInput(RunOptionsInput):
    """Source: createRun."""

    thread_id: strawberry.ID = plain_field("The thread: its global ID or upstream id.")
    reasoning_effort: ReasoningEffortInput | None = optional("How much a reasoning model thinks.")
    additional_instructions: str | None = optional("Instructions behind the assistant's own.")
    additional_messages: list[NewMessageInput] | None = optional("Messages to be added first, at most 32.")
    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)


@strawberry.input(description="A thread to be created with its first run.")
class CreateThreadAndRunInput(RunOptionsInput):
    """Source: createThreadAndRun."""

    thread: NewThreadInput | None = optional("The thread; by default an empty one.")
    tool_resources: ToolResourcesInput | None = optional("What the tools may use, in place of the assistant's.")
    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)


@strawberry.input(description="Changes to a run.")
class UpdateRunInput:
    """Source: modifyRun."""

    run_id: strawberry.ID = plain_field("The run: its global ID.")
    metadata: Metadata | None = optional(f"The metadata from now on. {METADATA}")
    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)


@strawberry.input(description="A run to be stopped.")
class CancelRunInput:
    """Source: cancelRun."""

    run_id: strawberry.ID = plain_field("The run: its global ID.")
    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)


@strawberry.input(description="What the caller's program answers to one function call.")
class ToolOutputInput:
    """Source: `tool_outputs` of submitToolOuputsToRun."""

    tool_call_id: str = plain_field("The call's id, as in `requiredAction`.")
    output: str = plain_field("The answer, for the model.")


@strawberry.input(description="The answers to all function calls that a run waits for.")
class SubmitToolOutputsInput:
    """Source: submitToolOuputsToRun."""

    run_id: strawberry.ID = plain_field("The run: its global ID.")
    tool_outputs: list[ToolOutputInput] = plain_field("One output for each call.")
    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)


@strawberry.input(description="What an assistant is made of.")
class AssistantOptionsInput:
    """Source: what createAssistant and modifyAssistant share."""

    name: str | None = optional("Its name, up to 256 characters.")
    description: str | None = optional("What it is for, up to 512 characters.")
    instructions: str | None = optional("What the model is told, up to 256,000 characters.")
    reasoning_effort: ReasoningEffortInput | None = optional("How much a reasoning model thinks.")
    tools: list[ToolInput] | None = optional("What the model may use, at most 128.")
    tool_resources: ToolResourcesInput | None = optional("What its tools may use (version 2 of the API).")
    file_ids: list[strawberry.ID] | None = optional("What its tools may read.", deprecated=_ASSISTANT_FILES)
    temperature: float | None = optional(_TEMPERATURE)
    top_p: float | None = optional(_TOP_P)
    response_format: ResponseFormatInput | None = optional("The form of its answers.")
    metadata: Metadata | None = optional(METADATA)


@strawberry.input(description="An assistant to be created.")
class CreateAssistantInput(AssistantOptionsInput):
    """Source: createAssistant."""

    model: str = plain_field("The model that answers.")
    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)


@strawberry.input(description="Changes to an assistant.")
class UpdateAssistantInput(AssistantOptionsInput):
    """Source: modifyAssistant."""

    assistant_id: strawberry.ID = plain_field("The assistant: its global ID or upstream id.")
    model: str | None = optional("The model that answers from now on.")
    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)


@strawberry.input(description="An assistant to be deleted.")
class DeleteAssistantInput:
    """Source: deleteAssistant."""

    assistant_id: strawberry.ID = plain_field("The assistant: its global ID or upstream id.")
    client_mutation_id: str | None = optional(_CLIENT_MUTATION_ID)

"""The inputs of the mutations. The types of their parts are in `input_parts.py`.

Only updates send an explicit null; there it clears a text or a number.
"""

from __future__ import annotations

import strawberry

from schema.graph.documented_field import plain_field
from schema.graph.input_parts import (
    METADATA,
    TITLE,
    NewMessageInput,
    NewThreadInput,
    ReasoningEffortInput,
    ResponseFormatInput,
    ToolChoiceInput,
    ToolInput,
    ToolResourcesInput,
    TruncationStrategyInput,
    kept_field,
    optional_field,
)
from schema.graph.scalars import Metadata

_ASSISTANT_FILES = "Version 1 of the API; use toolResources."
_CLIENT_MUTATION_ID = (
    "A text of the client's choice. The payload returns it unchanged. It is no idempotency key: a mutation that is "
    "sent again takes place again. After a broken connection, look at `activeRun` before running createRun again."
)
_TEMPERATURE = "The sampling temperature, from 0 to 2. Higher values make the answer more random."
_TOP_P = "The share of likely words that the model chooses from (nucleus sampling), from 0 to 1."


@strawberry.input(description="The thread to create.")
class CreateThreadInput(NewThreadInput):
    """Source: operation `createThread`, schema `CreateThreadRequest`."""

    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="Changes to a thread.")
class UpdateThreadInput:
    """Source: operation `modifyThread`, schema `ModifyThreadRequest`."""

    thread_id: strawberry.ID = plain_field("The thread: its global ID or upstream id.")
    tool_resources: ToolResourcesInput | None = optional_field("The new files and vector stores for the tools.")
    metadata: Metadata | None = optional_field(f"The new metadata. {METADATA}")
    title: str | None = kept_field(f"{TITLE} Null makes it the first words of the first message again.")
    is_archived: bool | None = kept_field("Whether the thread is put away from the list. The gateway keeps it.")
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="The thread to delete, with its messages and runs.")
class DeleteThreadInput:
    """Source: operation `deleteThread`."""

    thread_id: strawberry.ID = plain_field("The thread: its global ID or upstream id.")
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="The message to add to a thread.")
class CreateMessageInput(NewMessageInput):
    """Source: operation `createMessage`, schema `CreateMessageRequest`."""

    thread_id: strawberry.ID = plain_field("The thread: its global ID or upstream id.")
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="Changes to a message.")
class UpdateMessageInput:
    """Source: operation `modifyMessage`, schema `ModifyMessageRequest`."""

    message_id: strawberry.ID = plain_field("The message: its global ID.")
    metadata: Metadata | None = optional_field(f"The new metadata. {METADATA}")
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="The message to delete (version 2 of the API).")
class DeleteMessageInput:
    """Source: operation `deleteMessage`."""

    message_id: strawberry.ID = plain_field("The message: its global ID.")
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="The options of a new run, which override those of its assistant.")
class RunOptionsInput:
    """Source: the common fields of schemas `CreateRunRequest` and `CreateThreadAndRunRequest`."""

    assistant_id: strawberry.ID = plain_field("The assistant: its global ID or upstream id.")
    model: str | None = optional_field("The model, instead of the assistant's.")
    instructions: str | None = optional_field("The instructions, instead of the assistant's; up to 256,000 characters.")
    tools: list[ToolInput] | None = optional_field("The tools, instead of the assistant's; at most 20.")
    temperature: float | None = optional_field(_TEMPERATURE)
    top_p: float | None = optional_field(_TOP_P)
    max_prompt_tokens: int | None = optional_field("The most tokens that the run may read; 256 or more.")
    max_completion_tokens: int | None = optional_field("The most tokens that the run may write; 256 or more.")
    truncation_strategy: TruncationStrategyInput | None = optional_field("The part of the thread that the run reads.")
    tool_choice: ToolChoiceInput | None = optional_field("The tool that the model may or must call.")
    parallel_tool_calls: bool | None = optional_field("Whether the model may call several functions at once.")
    response_format: ResponseFormatInput | None = optional_field("The format of the answer.")
    metadata: Metadata | None = optional_field(METADATA)


@strawberry.input(description="The run to start on a thread.")
class CreateRunInput(RunOptionsInput):
    """Source: operation `createRun`, schema `CreateRunRequest`."""

    thread_id: strawberry.ID = plain_field("The thread: its global ID or upstream id.")
    reasoning_effort: ReasoningEffortInput | None = optional_field("The reasoning effort of a reasoning model.")
    additional_instructions: str | None = optional_field("Instructions to add after the assistant's own.")
    additional_messages: list[NewMessageInput] | None = optional_field(
        "Messages to add to the thread before the run starts, at most 32."
    )
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="The thread to create, and its first run.")
class CreateThreadAndRunInput(RunOptionsInput):
    """Source: operation `createThreadAndRun`, schema `CreateThreadAndRunRequest`."""

    thread: NewThreadInput | None = optional_field("The thread. The default is an empty thread.")
    tool_resources: ToolResourcesInput | None = optional_field(
        "Files and vector stores for the tools, instead of the assistant's."
    )
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="Changes to a run.")
class UpdateRunInput:
    """Source: operation `modifyRun`, schema `ModifyRunRequest`."""

    run_id: strawberry.ID = plain_field("The run: its global ID.")
    metadata: Metadata | None = optional_field(f"The new metadata. {METADATA}")
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="The run to stop.")
class CancelRunInput:
    """Source: operation `cancelRun`."""

    run_id: strawberry.ID = plain_field("The run: its global ID.")
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="The output of one function call.")
class ToolOutputInput:
    """Source: `tool_outputs` of schema `SubmitToolOutputsRunRequest`."""

    tool_call_id: str = strawberry.field(name="callId", description="The `callId` of the call, from `requiredAction`.")
    output: str = plain_field("The output, for the model.")


@strawberry.input(description="The outputs of all function calls that a run waits for.")
class SubmitToolOutputsInput:
    """Source: operation `submitToolOuputsToRun`, schema `SubmitToolOutputsRunRequest`."""

    run_id: strawberry.ID = plain_field("The run: its global ID.")
    tool_outputs: list[ToolOutputInput] = plain_field("One output for each call.")
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="The decision on one call of an MCP server's tool.")
class ToolApprovalInput:
    """Source: `ToolApproval` of the official client of Foundry's classic agents (azure-ai-agents)."""

    tool_call_id: str = strawberry.field(name="callId", description="The `callId` of the call, from `requiredAction`.")
    approve: bool = plain_field("Whether the call may be made.")


@strawberry.input(description="The decisions on all calls that a run waits for.")
class SubmitToolApprovalsInput:
    """Source: operation `submitToolOuputsToRun`, as the official client of Foundry's classic agents calls it."""

    run_id: strawberry.ID = plain_field("The run: its global ID.")
    tool_approvals: list[ToolApprovalInput] = strawberry.field(
        name="approvals", description="One decision for each call."
    )
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="The options of an assistant.")
class AssistantOptionsInput:
    """Source: the common fields of schemas `CreateAssistantRequest` and `ModifyAssistantRequest`."""

    name: str | None = optional_field("The name of the assistant, up to 256 characters.")
    description: str | None = optional_field("The purpose of the assistant, up to 512 characters.")
    instructions: str | None = optional_field("The instructions for the model, up to 256,000 characters.")
    reasoning_effort: ReasoningEffortInput | None = optional_field("The reasoning effort of a reasoning model.")
    tools: list[ToolInput] | None = optional_field("The tools that the model may use, at most 128.")
    tool_resources: ToolResourcesInput | None = optional_field(
        "Files and vector stores for the tools (version 2 of the API)."
    )
    file_ids: list[strawberry.ID] | None = optional_field(
        "The files that the tools may read: their global IDs or upstream ids.", deprecated=_ASSISTANT_FILES
    )
    temperature: float | None = optional_field(_TEMPERATURE)
    top_p: float | None = optional_field(_TOP_P)
    response_format: ResponseFormatInput | None = optional_field("The format of the answers.")
    metadata: Metadata | None = optional_field(METADATA)


@strawberry.input(description="The assistant to create.")
class CreateAssistantInput(AssistantOptionsInput):
    """Source: operation `createAssistant`, schema `CreateAssistantRequest`."""

    model: str = plain_field("The model that answers.")
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="Changes to an assistant.")
class UpdateAssistantInput(AssistantOptionsInput):
    """Source: operation `modifyAssistant`, schema `ModifyAssistantRequest`."""

    assistant_id: strawberry.ID = plain_field("The assistant: its global ID or upstream id.")
    model: str | None = optional_field("The new model.")
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="The assistant to delete.")
class DeleteAssistantInput:
    """Source: operation `deleteAssistant`."""

    assistant_id: strawberry.ID = plain_field("The assistant: its global ID or upstream id.")
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)


@strawberry.input(description="The file to delete.")
class DeleteFileInput:
    """Source: operation `deleteFile`."""

    file_id: strawberry.ID = plain_field("The file: its global ID or upstream id.")
    client_mutation_id: str | None = optional_field(_CLIENT_MUTATION_ID)

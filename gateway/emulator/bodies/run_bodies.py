"""Request bodies of the operations on runs."""

from typing import Annotated, TypeAlias

from pydantic import Field

from gateway.emulator.bodies.fields import (
    Body,
    MetadataField,
    ReasoningEffort,
    ResponseFormatV1,
    ResponseFormatV2,
    Temperature,
    ToolChoiceV1,
    ToolChoiceV2,
    ToolResources,
    ToolV1,
    ToolV2,
    TopP,
    Truncation,
)
from gateway.emulator.bodies.thread_bodies import MessageV1, MessageV2, ThreadV1, ThreadV2

MAX_RUN_TOOLS = 20
# The specification's minimum. No refusal was ever recorded, so it is assumed that the API enforces it.
MIN_TOKEN_LIMIT = 256
TokenLimit: TypeAlias = Annotated[int, Field(ge=MIN_TOKEN_LIMIT)]


class RunOptionsV1(Body):
    """The options that both operations that create a run share in version 1, as of April 2024."""

    assistant_id: str
    model: str | None = None
    instructions: str | None = None
    tools: Annotated[tuple[ToolV1, ...], Field(max_length=MAX_RUN_TOOLS)] | None = None
    metadata: MetadataField = Field(default_factory=dict)
    temperature: Temperature | None = None
    top_p: TopP | None = None
    stream: bool | None = None
    max_prompt_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    truncation_strategy: Truncation | None = None
    tool_choice: ToolChoiceV1 | None = None
    response_format: ResponseFormatV1 | None = None


class RunOptionsV2(RunOptionsV1):
    """The options that both operations that create a run share in version 2."""

    tools: Annotated[tuple[ToolV2, ...], Field(max_length=MAX_RUN_TOOLS)] | None = None  # type: ignore[assignment]
    reasoning_effort: ReasoningEffort | None = None
    parallel_tool_calls: bool | None = None
    tool_choice: ToolChoiceV2 | None = None
    response_format: ResponseFormatV2 | None = None  # type: ignore[assignment]


class RunV1(RunOptionsV1):
    """A run of an existing thread in version 1."""

    additional_instructions: str | None = None
    additional_messages: tuple[MessageV1, ...] | None = None


class RunV2(RunOptionsV2):
    """A run of an existing thread in version 2."""

    additional_instructions: str | None = None
    additional_messages: tuple[MessageV2, ...] | None = None


class ThreadAndRunV1(RunOptionsV1):
    """A new thread and its run in version 1."""

    thread: ThreadV1 | None = None


class ThreadAndRunV2(RunOptionsV2):
    """A new thread and its run in version 2."""

    thread: ThreadV2 | None = None
    tool_resources: ToolResources | None = None


RunOptions: TypeAlias = RunV1 | RunV2 | ThreadAndRunV1 | ThreadAndRunV2


class ToolOutput(Body):
    """The output of one function call."""

    tool_call_id: str
    output: str = ""


class SubmitToolOutputs(Body):
    """The outputs of all function calls that a run waits for."""

    tool_outputs: tuple[ToolOutput, ...]
    stream: bool | None = None


class ToolApproval(Body):
    """The decision on one call of an MCP server's tool."""

    tool_call_id: str
    approve: bool
    headers: dict[str, str] | None = None


class SubmitToolApprovals(Body):
    """The decisions on all calls that a run waits for (Foundry only)."""

    tool_approvals: tuple[ToolApproval, ...]
    stream: bool | None = None

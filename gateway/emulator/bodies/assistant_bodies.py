"""Request bodies of the operations on assistants."""

from typing import Annotated, TypeAlias

from pydantic import Field

from gateway.emulator.bodies.fields import (
    MAX_CONTENT,
    Body,
    FileIds,
    MetadataField,
    ReasoningEffort,
    ResponseFormatV2,
    Temperature,
    ToolResources,
    ToolV1,
    ToolV2,
    TopP,
)

MAX_ASSISTANT_TOOLS = 128
Name: TypeAlias = Annotated[str, Field(max_length=256)]
Description: TypeAlias = Annotated[str, Field(max_length=512)]
Instructions: TypeAlias = Annotated[str, Field(max_length=MAX_CONTENT)]


class ModifyAssistantV1(Body):
    """Changes of an assistant in version 1. A missing field stays as it is."""

    model: str | None = None
    name: Name | None = None
    description: Description | None = None
    instructions: Instructions | None = None
    tools: Annotated[tuple[ToolV1, ...], Field(max_length=MAX_ASSISTANT_TOOLS)] | None = None
    file_ids: FileIds | None = None
    metadata: MetadataField | None = None


class ModifyAssistantV2(Body):
    """Changes of an assistant in version 2. A missing field stays as it is."""

    model: str | None = None
    name: Name | None = None
    description: Description | None = None
    instructions: Instructions | None = None
    tools: Annotated[tuple[ToolV2, ...], Field(max_length=MAX_ASSISTANT_TOOLS)] | None = None
    tool_resources: ToolResources | None = None
    metadata: MetadataField | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    reasoning_effort: ReasoningEffort | None = None
    response_format: ResponseFormatV2 | None = None


class CreateAssistantV1(ModifyAssistantV1):
    """A new assistant in version 1."""

    model: str


class CreateAssistantV2(ModifyAssistantV2):
    """A new assistant in version 2."""

    model: str


AssistantInput: TypeAlias = ModifyAssistantV1 | ModifyAssistantV2


class AssistantFileInput(Body):
    """A file to attach to an assistant (version 1 only)."""

    file_id: str

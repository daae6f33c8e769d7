"""Parts of inputs: what messages, tools, formats and resources are made of, in GraphQL's names.

Each has the shape of the upstream's part that it becomes, so that `to_wire` only respells it and a refusal's place in
the request is a place in the input. What is not given is not sent.
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any

import strawberry
from strawberry import UNSET

from schema.graph.documented_field import enum_member, plain_field
from schema.graph.scalars import JSON, Metadata


def optional(description: str, *, deprecated: str | None = None) -> Any:
    """Make an optional input field."""
    return strawberry.field(default=UNSET, description=description, deprecation_reason=deprecated)


_V1_FILES = "Version 1 of the API; use attachments."
METADATA = "Up to 16 pairs; keys up to 64 characters, values up to 512."
_CONTENT = "The parts, at least one."


@strawberry.enum(description="Who speaks in a new message.")
class MessageRoleInput(Enum):
    """Source: `role` of the create message request."""

    USER = enum_member("user", "The person, or the program that speaks for them.")
    ASSISTANT = enum_member("assistant", "An assistant, as in a conversation that took place elsewhere.")


@strawberry.enum(description="How closely the model is to look at an image.")
class ImageDetailInput(Enum):
    """Source: `detail` of an image part."""

    AUTO = enum_member("auto", "The model chooses.")
    LOW = enum_member("low", "Few tokens.")
    HIGH = enum_member("high", "In full resolution.")


@strawberry.enum(description="A tool that may read an attached file.")
class AttachmentToolInput(Enum):
    """Source: `attachments[].tools[].type`."""

    CODE_INTERPRETER = enum_member("code_interpreter", "The code interpreter.")
    FILE_SEARCH = enum_member("file_search", "The file search.")

    def to_wire(self) -> dict[str, str]:
        """Render as the upstream's object."""
        return {"type": self.value}


@strawberry.enum(description="A tool that needs no more than its name.")
class BuiltInToolInput(Enum):
    """Source: the `type` of a tool."""

    CODE_INTERPRETER = enum_member("code_interpreter", "Runs code.")
    FILE_SEARCH = enum_member("file_search", "Searches files (version 2 of the API).")
    RETRIEVAL = enum_member("retrieval", "Searches files (version 1 of the API).")


@strawberry.enum(description="Whether the model may or must call tools.")
class ToolChoiceModeInput(Enum):
    """Source: `tool_choice`."""

    NONE = enum_member("none", "It must not.")
    AUTO = enum_member("auto", "It chooses.")
    REQUIRED = enum_member("required", "It must.")


@strawberry.enum(description="The form of an answer.")
class ResponseFormatTypeInput(Enum):
    """Source: `response_format`."""

    AUTO = enum_member("auto", "The model chooses.")
    TEXT = enum_member("text", "Text.")
    JSON_OBJECT = enum_member("json_object", "A JSON object; the instructions must ask for one as well.")


@strawberry.enum(description="How much of its thread a run reads.")
class TruncationTypeInput(Enum):
    """Source: `truncation_strategy.type`."""

    AUTO = enum_member("auto", "Messages in the middle are left out until the rest fits.")
    LAST_MESSAGES = enum_member("last_messages", "The newest messages; `lastMessages` says how many.")


@strawberry.enum(description="How much a reasoning model thinks.")
class ReasoningEffortInput(Enum):
    """Source: `reasoning_effort`."""

    NONE = enum_member("none", "Not at all.")
    MINIMAL = enum_member("minimal", "As little as it can.")
    LOW = enum_member("low", "A little.")
    MEDIUM = enum_member("medium", "The default.")
    HIGH = enum_member("high", "Much.")
    XHIGH = enum_member("xhigh", "Very much.")
    MAX = enum_member("max", "As much as it can.")


@strawberry.enum(description="How the hits of a file search are ranked.")
class FileSearchRankerInput(Enum):
    """Source: `ranking_options.ranker`."""

    AUTO = enum_member("auto", "The newest ranking.")
    DEFAULT_2024_08_21 = enum_member("default_2024_08_21", "The ranking of that day.")


@strawberry.input(description="An uploaded image.")
class ImageFileInput:
    """Source: `image_file` of a content part."""

    file_id: strawberry.ID = plain_field("The image's file, uploaded for vision.")
    detail: ImageDetailInput | None = optional("How closely the model is to look at it; by default it chooses.")


@strawberry.input(description="An image, by its address.")
class ImageUrlInput:
    """Source: `image_url` of a content part."""

    url: str = plain_field("The image's address.")
    detail: ImageDetailInput | None = optional("How closely the model is to look at it; by default it chooses.")


@strawberry.input(one_of=True, description="One part of a message: exactly one of these.")
class MessageContentInput:
    """Source: a content part of the create message request."""

    text: str | None = optional("Text, up to 256,000 characters.")
    image_file: ImageFileInput | None = optional("An uploaded image (version 2 of the API).")
    image_url: ImageUrlInput | None = optional("An image, by its address (version 2 of the API).")

    def to_wire(self) -> dict[str, Any]:
        """Render with the kind that the upstream wants beside the part."""
        ((kind, value),) = given(self)
        return {"type": kind, kind: value}


@strawberry.input(description="A file attached to a message (version 2 of the API).")
class AttachmentInput:
    """Source: `attachments` of the create message request."""

    file_id: strawberry.ID = plain_field("The file.")
    tools: list[AttachmentToolInput] = plain_field("The tools that may read it.")


@strawberry.input(description="A message that is created together with something else.")
class NewMessageInput:
    """Source: the create message request."""

    role: MessageRoleInput = strawberry.field(default=MessageRoleInput.USER, description="Who speaks.")
    content: list[MessageContentInput] = plain_field(_CONTENT)
    attachments: list[AttachmentInput] | None = optional("Attached files (version 2 of the API).")
    file_ids: list[strawberry.ID] | None = optional("Attached files, at most 10.", deprecated=_V1_FILES)
    metadata: Metadata | None = optional(METADATA)


@strawberry.input(description="Files for the code interpreter.")
class CodeInterpreterResourcesInput:
    """Source: `tool_resources.code_interpreter`."""

    file_ids: list[strawberry.ID] = plain_field("The files, at most 20.")


@strawberry.input(description="How files are cut into chunks for searching.")
class StaticChunkingInput:
    """Source: `chunking_strategy.static`."""

    max_chunk_size_tokens: int = plain_field("Most tokens of a chunk, from 100 to 4,096.")
    chunk_overlap_tokens: int = plain_field("Tokens that neighbours share; at most half a chunk.")


@strawberry.input(one_of=True, description="How files are cut into chunks: exactly one of these.")
class ChunkingStrategyInput:
    """Source: `chunking_strategy`; without one the upstream chooses."""

    static: StaticChunkingInput | None = optional("Into chunks of this size.")

    def to_wire(self) -> dict[str, Any]:
        """Render with the kind that the upstream wants beside the options."""
        ((kind, value),) = given(self)
        return {"type": kind, kind: value}


@strawberry.input(description="A vector store that is made together with its owner.")
class VectorStoreInput:
    """Source: `tool_resources.file_search.vector_stores`."""

    file_ids: list[strawberry.ID] | None = optional("The files to be searched.")
    chunking_strategy: ChunkingStrategyInput | None = optional("How they are cut; by default the upstream chooses.")
    metadata: Metadata | None = optional(METADATA)


@strawberry.input(description="What the file search looks into: existing stores, or one that is made.")
class FileSearchResourcesInput:
    """Source: `tool_resources.file_search`."""

    vector_store_ids: list[strawberry.ID] | None = optional("An existing vector store; at most 1.")
    vector_stores: list[VectorStoreInput] | None = optional("A vector store to be made; at most 1.")


@strawberry.input(description="What the tools may use (version 2 of the API).")
class ToolResourcesInput:
    """Source: `tool_resources`."""

    code_interpreter: CodeInterpreterResourcesInput | None = optional("For the code interpreter.")
    file_search: FileSearchResourcesInput | None = optional("For the file search.")


@strawberry.input(description="A function of the caller's program.")
class FunctionToolInput:
    """Source: `function` of a tool."""

    name: str = plain_field("Its name: letters, digits, `_` and `-`, up to 64.")
    description: str | None = optional("What it does, for the model.")
    parameters: JSON | None = optional("Its parameters as a JSON Schema object.")
    strict: bool | None = optional("Whether the model has to keep to the schema exactly.")


@strawberry.input(description="How the hits of a file search are ranked.")
class RankingOptionsInput:
    """Source: `ranking_options` of a file search."""

    score_threshold: float = plain_field("Hits below this score are left out; from 0 to 1.")
    ranker: FileSearchRankerInput | None = optional("The ranking.")


@strawberry.input(description="Options of the file search.")
class FileSearchToolInput:
    """Source: `file_search` of a tool."""

    max_num_results: int | None = optional("Most results of one search, from 1 to 50.")
    ranking_options: RankingOptionsInput | None = optional("How the hits are ranked.")


@strawberry.input(one_of=True, description="A tool: exactly one of these.")
class ToolInput:
    """Source: a tool of a run or an assistant."""

    built_in: BuiltInToolInput | None = optional("A tool without options.")
    file_search: FileSearchToolInput | None = optional("The file search with options (version 2 of the API).")
    function: FunctionToolInput | None = optional("A function of the caller's program.")

    def to_wire(self) -> dict[str, Any]:
        """Render with the kind that the upstream wants beside the options."""
        ((kind, value),) = given(self)
        return {"type": value} if kind == "built_in" else {"type": kind, kind: value}


@strawberry.input(description="A function, by its name.")
class NamedFunctionInput:
    """Source: `tool_choice.function`."""

    name: str = plain_field("The function's name.")


@strawberry.input(one_of=True, description="Which tool the model may or must call: exactly one of these.")
class ToolChoiceInput:
    """Source: `tool_choice`."""

    mode: ToolChoiceModeInput | None = optional("Whether it may or must call tools at all.")
    built_in: BuiltInToolInput | None = optional("It must use this tool.")
    function: NamedFunctionInput | None = optional("It must call this function.")

    def to_wire(self) -> str | dict[str, Any]:
        """Render as the upstream's word or object."""
        ((kind, value),) = given(self)
        if kind == "mode":
            return str(value)
        return {"type": value} if kind == "built_in" else {"type": kind, kind: value}


@strawberry.input(description="A JSON Schema that the answer has to follow.")
class JsonSchemaFormatInput:
    """Source: `response_format.json_schema`."""

    name: str = plain_field("A name: letters, digits, `_` and `-`, up to 64.")
    description: str | None = optional("What it is for, for the model.")
    schema: JSON | None = optional("The JSON Schema object.")
    strict: bool | None = optional("Whether the model has to keep to it exactly.")


@strawberry.input(one_of=True, description="The form of an answer: exactly one of these.")
class ResponseFormatInput:
    """Source: `response_format`."""

    type: ResponseFormatTypeInput | None = optional("A form without options.")
    json_schema: JsonSchemaFormatInput | None = optional("A JSON Schema that the answer has to follow.")

    def to_wire(self) -> str | dict[str, Any]:
        """Render as the upstream's word or object."""
        ((kind, value),) = given(self)
        if kind == "json_schema":
            return {"type": kind, kind: value}
        return "auto" if value == "auto" else {"type": value}


@strawberry.input(description="How much of its thread a run reads.")
class TruncationStrategyInput:
    """Source: `truncation_strategy`."""

    type: TruncationTypeInput = plain_field("The way.")
    last_messages: int | None = optional("How many of the newest messages, for `LAST_MESSAGES`; at least 1.")


@strawberry.input(description="A thread that is created together with its first run.")
class NewThreadInput:
    """Source: `thread` of the create thread and run request."""

    messages: list[NewMessageInput] | None = optional("The first messages, at most 32.")
    tool_resources: ToolResourcesInput | None = optional("What the tools may use in this thread.")
    metadata: Metadata | None = optional(METADATA)


def given(source: Any) -> list[tuple[str, Any]]:
    """List what was given in an input, under the upstream's names and in its shapes."""
    values = ((field.name, getattr(source, field.name)) for field in dataclasses.fields(source))
    return [(name, to_wire(value)) for name, value in values if value is not UNSET]


def to_wire(value: Any) -> Any:
    """Render an input value in the upstream's shape."""
    if hasattr(value, "to_wire"):
        return value.to_wire()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list):
        return [to_wire(item) for item in value]
    return dict(given(value)) if dataclasses.is_dataclass(value) else value

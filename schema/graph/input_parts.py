"""The parts of inputs: messages, tools, formats and resources, by their GraphQL names.

Each type has the shape of the upstream part that it becomes. So `to_wire` only changes the names, and a path in the
request that the upstream refuses is a path in the input. A field that is not set is not sent.
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any

import strawberry
from strawberry import UNSET

from schema.graph.documented_field import enum_member, plain_field
from schema.graph.scalars import JSON, Metadata


def optional_field(description: str, *, deprecated: str | None = None) -> Any:
    """Make an optional field of an input."""
    return strawberry.field(default=UNSET, description=description, deprecation_reason=deprecated)


def kept_field(description: str) -> Any:
    """Make an optional field of an input, which the gateway keeps itself and never sends upstream."""
    return strawberry.field(default=UNSET, description=description, metadata={_KEPT: True})


_V1_FILES = "Version 1 of the API; use attachments."
_KEPT = "is_kept"
"""The mark of a field that the gateway keeps itself."""

TITLE = "A title for lists, of 1 to 256 characters. The gateway keeps it; it is not sent upstream."
METADATA = "Up to 16 key-value pairs; keys up to 64 characters, values up to 512."
_CONTENT = "The parts of the message, at least one."


@strawberry.enum(description="The author of a new message.")
class MessageRoleInput(Enum):
    """Source: `role` of schema `CreateMessageRequest`."""

    USER = enum_member("user", "The user, or the program that writes for the user.")
    ASSISTANT = enum_member("assistant", "An assistant, for example in a conversation from another system.")


@strawberry.enum(description="The detail in which the model sees an image.")
class ImageDetailInput(Enum):
    """Source: `detail` of schemas `MessageContentImageFileObject` and `MessageContentImageUrlObject`."""

    AUTO = enum_member("auto", "The model chooses the detail.")
    LOW = enum_member("low", "Low resolution, which takes few tokens.")
    HIGH = enum_member("high", "Full resolution.")


@strawberry.enum(description="A tool that may read an attached file.")
class AttachmentToolInput(Enum):
    """Source: `attachments[].tools[].type` of schema `CreateMessageRequest`."""

    CODE_INTERPRETER = enum_member("code_interpreter", "The code interpreter.")
    FILE_SEARCH = enum_member("file_search", "The file search.")

    def to_wire(self) -> dict[str, str]:
        """Convert to the upstream's object."""
        return {"type": self.value}


@strawberry.enum(description="A tool without options.")
class BuiltInToolInput(Enum):
    """Source: `type` of schemas `AssistantToolsCode`, `AssistantToolsFileSearch` and `AssistantToolsRetrieval`."""

    CODE_INTERPRETER = enum_member("code_interpreter", "The code interpreter.")
    FILE_SEARCH = enum_member("file_search", "The file search (version 2 of the API).")
    RETRIEVAL = enum_member("retrieval", "The file search of version 1 of the API.")


@strawberry.enum(description="Whether the model may or must call tools.")
class ToolChoiceModeInput(Enum):
    """Source: the words of schema `AssistantsApiToolChoiceOption`."""

    NONE = enum_member("none", "The model must not call tools.")
    AUTO = enum_member("auto", "The model chooses whether it calls tools.")
    REQUIRED = enum_member("required", "The model must call a tool.")


@strawberry.enum(description="The format of an answer.")
class ResponseFormatTypeInput(Enum):
    """Source: `type` of schema `AssistantsApiResponseFormatOption`."""

    AUTO = enum_member("auto", "The model chooses the format.")
    TEXT = enum_member("text", "Text.")
    JSON_OBJECT = enum_member("json_object", "A JSON object. The instructions must ask for JSON too.")


@strawberry.enum(description="The part of its thread that a run reads.")
class TruncationTypeInput(Enum):
    """Source: `type` of schema `TruncationObject`."""

    AUTO = enum_member("auto", "The run leaves out messages in the middle until the rest fits.")
    LAST_MESSAGES = enum_member("last_messages", "The run reads the newest messages; `lastMessages` is their number.")


@strawberry.enum(description="The reasoning effort of a reasoning model.")
class ReasoningEffortInput(Enum):
    """Source: schema `ReasoningEffort`."""

    NONE = enum_member("none", "No reasoning.")
    MINIMAL = enum_member("minimal", "The least effort.")
    LOW = enum_member("low", "Low effort.")
    MEDIUM = enum_member("medium", "Medium effort. The default.")
    HIGH = enum_member("high", "High effort.")
    XHIGH = enum_member("xhigh", "Very high effort.")
    MAX = enum_member("max", "The most effort.")


@strawberry.enum(description="The ranking of the results of a file search.")
class FileSearchRankerInput(Enum):
    """Source: schema `FileSearchRanker`."""

    AUTO = enum_member("auto", "The newest ranker.")
    DEFAULT_2024_08_21 = enum_member("default_2024_08_21", "The ranker of 2024-08-21.")


@strawberry.input(description="An uploaded image.")
class ImageFileInput:
    """Source: `image_file` of schema `MessageContentImageFileObject`."""

    file_id: strawberry.ID = plain_field("The image file, uploaded for vision: its global ID or upstream id.")
    detail: ImageDetailInput | None = optional_field(
        "The detail in which the model sees the image. By default the model chooses."
    )


@strawberry.input(description="An image, by its URL.")
class ImageUrlInput:
    """Source: `image_url` of schema `MessageContentImageUrlObject`."""

    url: str = plain_field("The URL of the image.")
    detail: ImageDetailInput | None = optional_field(
        "The detail in which the model sees the image. By default the model chooses."
    )


@strawberry.input(one_of=True, description="One part of a message. Set exactly one field.")
class MessageContentInput:
    """Source: `content[]` of schema `CreateMessageRequest`."""

    text: str | None = optional_field("Text, up to 256,000 characters.")
    image_file: ImageFileInput | None = optional_field("An uploaded image (version 2 of the API).")
    image_url: ImageUrlInput | None = optional_field("An image, by its URL (version 2 of the API).")

    def to_wire(self) -> dict[str, Any]:
        """Convert to the upstream's object, with the `type` that it requires."""
        ((kind, value),) = present_fields(self)
        return {"type": kind, kind: value}


@strawberry.input(description="A file attached to a message (version 2 of the API).")
class AttachmentInput:
    """Source: `attachments[]` of schema `CreateMessageRequest`."""

    file_id: strawberry.ID = plain_field("The file: its global ID or upstream id.")
    tools: list[AttachmentToolInput] = plain_field("The tools that may read the file.")


@strawberry.input(description="A message to create together with a thread or a run.")
class NewMessageInput:
    """Source: schema `CreateMessageRequest`."""

    role: MessageRoleInput = strawberry.field(default=MessageRoleInput.USER, description="The author of the message.")
    content: list[MessageContentInput] = plain_field(_CONTENT)
    attachments: list[AttachmentInput] | None = optional_field("The attached files (version 2 of the API).")
    file_ids: list[strawberry.ID] | None = optional_field(
        "The attached files, at most 10: their global IDs or upstream ids.", deprecated=_V1_FILES
    )
    metadata: Metadata | None = optional_field(METADATA)


@strawberry.input(description="Files for the code interpreter.")
class CodeInterpreterResourcesInput:
    """Source: `tool_resources.code_interpreter` of schema `CreateThreadRequest`."""

    file_ids: list[strawberry.ID] = plain_field("The files, at most 20: their global IDs or upstream ids.")


@strawberry.input(description="The size of the chunks that files are split into for searching.")
class StaticChunkingInput:
    """Source: `chunking_strategy.static` of schema `CreateThreadRequest`."""

    max_chunk_size_tokens: int = plain_field("The most tokens of a chunk, from 100 to 4,096.")
    chunk_overlap_tokens: int = plain_field(
        "The number of tokens that two chunks in a row share; at most half a chunk."
    )


@strawberry.input(one_of=True, description="The way that files are split into chunks. Set exactly one field.")
class ChunkingStrategyInput:
    """Source: `chunking_strategy` of schema `CreateThreadRequest`; without one the upstream chooses."""

    static: StaticChunkingInput | None = optional_field("Chunks of a fixed size.")

    def to_wire(self) -> dict[str, Any]:
        """Convert to the upstream's object, with the `type` that it requires."""
        ((kind, value),) = present_fields(self)
        return {"type": kind, kind: value}


@strawberry.input(description="A vector store to create together with its thread or assistant.")
class VectorStoreInput:
    """Source: `tool_resources.file_search.vector_stores[]` of schema `CreateThreadRequest`."""

    file_ids: list[strawberry.ID] | None = optional_field("The files to search: their global IDs or upstream ids.")
    chunking_strategy: ChunkingStrategyInput | None = optional_field(
        "The way that the files are split. By default the upstream chooses."
    )
    metadata: Metadata | None = optional_field(METADATA)


@strawberry.input(description="The vector stores that the file search reads: an existing one, or one to create.")
class FileSearchResourcesInput:
    """Source: `tool_resources.file_search` of schema `CreateThreadRequest`."""

    vector_store_ids: list[strawberry.ID] | None = optional_field(
        "The upstream id of an existing vector store; at most 1."
    )
    vector_stores: list[VectorStoreInput] | None = optional_field("A vector store to create; at most 1.")


@strawberry.input(description="Files and vector stores for the tools (version 2 of the API).")
class ToolResourcesInput:
    """Source: `tool_resources` of schema `CreateThreadRequest`."""

    code_interpreter: CodeInterpreterResourcesInput | None = optional_field("Files for the code interpreter.")
    file_search: FileSearchResourcesInput | None = optional_field("Vector stores for the file search.")


@strawberry.input(description="A function that the client provides.")
class FunctionToolInput:
    """Source: schema `FunctionObject`."""

    name: str = plain_field("The name of the function: letters, digits, `_` and `-`, up to 64.")
    description: str | None = optional_field("A description of the function for the model.")
    parameters: JSON | None = optional_field("The parameters of the function as a JSON Schema object.")
    strict: bool | None = optional_field("Whether the model must follow the schema exactly.")


@strawberry.input(description="The ranking of the results of a file search.")
class RankingOptionsInput:
    """Source: schema `FileSearchRankingOptions`."""

    score_threshold: float = plain_field("The minimum score of a result, from 0 to 1. Results below it are left out.")
    ranker: FileSearchRankerInput | None = optional_field("The ranker.")


@strawberry.input(description="The options of the file search.")
class FileSearchToolInput:
    """Source: `file_search` of schema `AssistantToolsFileSearch`."""

    max_num_results: int | None = optional_field("The most results of one search, from 1 to 50.")
    ranking_options: RankingOptionsInput | None = optional_field("The ranking of the results.")


@strawberry.input(one_of=True, description="A tool. Set exactly one field.")
class ToolInput:
    """Source: `tools[]` of schemas `CreateRunRequest` and `CreateAssistantRequest`."""

    built_in: BuiltInToolInput | None = optional_field("A tool without options.")
    file_search: FileSearchToolInput | None = optional_field("The file search with options (version 2 of the API).")
    function: FunctionToolInput | None = optional_field("A function that the client provides.")

    def to_wire(self) -> dict[str, Any]:
        """Convert to the upstream's object, with the `type` that it requires."""
        ((kind, value),) = present_fields(self)
        return {"type": value} if kind == "built_in" else {"type": kind, kind: value}


@strawberry.input(description="A function, by its name.")
class NamedFunctionInput:
    """Source: `function` of schema `AssistantsNamedToolChoice`."""

    name: str = plain_field("The name of the function.")


@strawberry.input(one_of=True, description="The tool that the model may or must call. Set exactly one field.")
class ToolChoiceInput:
    """Source: schema `AssistantsApiToolChoiceOption`."""

    mode: ToolChoiceModeInput | None = optional_field("Whether the model may or must call tools.")
    built_in: BuiltInToolInput | None = optional_field("The model must use this tool.")
    function: NamedFunctionInput | None = optional_field("The model must call this function.")

    def to_wire(self) -> str | dict[str, Any]:
        """Convert to the upstream's word or object."""
        ((kind, value),) = present_fields(self)
        if kind == "mode":
            return str(value)
        return {"type": value} if kind == "built_in" else {"type": kind, kind: value}


@strawberry.input(description="A JSON Schema that the answer must follow.")
class JsonSchemaFormatInput:
    """Source: `json_schema` of schema `ResponseFormatJsonSchema`."""

    name: str = plain_field("The name of the format: letters, digits, `_` and `-`, up to 64.")
    description: str | None = optional_field("The purpose of the format, for the model.")
    schema: JSON | None = optional_field("The JSON Schema object.")
    strict: bool | None = optional_field("Whether the model must follow the schema exactly.")


@strawberry.input(one_of=True, description="The format of an answer. Set exactly one field.")
class ResponseFormatInput:
    """Source: schema `AssistantsApiResponseFormatOption`."""

    type: ResponseFormatTypeInput | None = optional_field("A format without options.")
    json_schema: JsonSchemaFormatInput | None = optional_field("A JSON Schema that the answer must follow.")

    def to_wire(self) -> str | dict[str, Any]:
        """Convert to the upstream's word or object."""
        ((kind, value),) = present_fields(self)
        if kind == "json_schema":
            return {"type": kind, kind: value}
        return "auto" if value == "auto" else {"type": value}


@strawberry.input(description="The part of its thread that a run reads.")
class TruncationStrategyInput:
    """Source: schema `TruncationObject`."""

    type: TruncationTypeInput = plain_field("The strategy.")
    last_messages: int | None = optional_field("The number of newest messages to read, for `LAST_MESSAGES`; 1 or more.")


@strawberry.input(description="A thread to create together with its first run.")
class NewThreadInput:
    """Source: `thread` of schema `CreateThreadAndRunRequest`."""

    messages: list[NewMessageInput] | None = optional_field("The first messages, at most 32.")
    tool_resources: ToolResourcesInput | None = optional_field(
        "Files and vector stores that the tools may use in this thread."
    )
    metadata: Metadata | None = optional_field(METADATA)
    title: str | None = kept_field(TITLE)


def present_fields(source: Any, *, kept: bool = False) -> list[tuple[str, Any]]:
    """List the fields that are set in an input, with the upstream's names and in its shapes.

    These are the fields that are sent upstream, or else the `kept` ones, which the gateway keeps itself.
    """
    names = (field.name for field in dataclasses.fields(source) if bool(field.metadata.get(_KEPT)) is kept)
    values = ((name, getattr(source, name)) for name in names)
    return [(name, to_wire(value)) for name, value in values if value is not UNSET]


def to_wire(value: Any) -> Any:
    """Convert an input value to the upstream's shape."""
    if hasattr(value, "to_wire"):
        return value.to_wire()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list):
        return [to_wire(item) for item in value]
    return dict(present_fields(value)) if dataclasses.is_dataclass(value) else value

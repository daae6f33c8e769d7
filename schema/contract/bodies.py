"""Request bodies in the upstream's names, and the body of a record's update, checked before anything is sent. Pure.

A mutation's input is converted to such a body field by field (`inputs.py`), so that the path of a refusal in the body
is its path in the input, apart from the spelling. A dumped body holds only the fields that were set.

Source: the request schemas of the API's specification, versions 1 and 2 (`CreateMessageRequest` and so on). Some limits
(metadata; 32 first messages) stand only in the real service's error texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from schema.contract.errors import format_value
from schema.contract.keys import InvalidOpaqueTextError, from_file_id
from schema.contract.thread_records import MAX_TITLE_LENGTH

MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY_LENGTH = 64
MAX_METADATA_VALUE_LENGTH = 512
MAX_CONTENT_LENGTH = 256_000
MAX_FIRST_MESSAGES = 32
MAX_MESSAGE_FILES = 10
MAX_TOOL_FILES = 20
MAX_RUN_TOOLS = 20
MAX_ASSISTANT_TOOLS = 128


def _check_metadata(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > MAX_METADATA_PAIRS:
        raise PydanticCustomError(
            "too_long",
            "expected at most {max_length} pairs, got {actual_length}",
            {"max_length": MAX_METADATA_PAIRS, "actual_length": len(metadata)},
        )
    faults = [fault for pair in metadata.items() for fault in _find_pair_errors(*pair)]
    if faults:
        raise ValidationError.from_exception_data("metadata", faults)
    return metadata


def _find_pair_errors(key: str, value: str) -> Iterator[InitErrorDetails]:
    """Find keys and values that are too long.

    The error of a value has the path of its key. The error of a key has the path of the metadata, so that the long key
    is not repeated in the path.
    """
    if len(key) > MAX_METADATA_KEY_LENGTH:
        fault = PydanticCustomError(
            "string_too_long",
            "expected keys of at most {max_length} characters, got one of {actual_length}",
            {"max_length": MAX_METADATA_KEY_LENGTH, "actual_length": len(key)},
        )
        yield InitErrorDetails(type=fault, input=key)
    elif len(value) > MAX_METADATA_VALUE_LENGTH:
        limit = {"max_length": MAX_METADATA_VALUE_LENGTH}
        yield InitErrorDetails(type="string_too_long", loc=(key,), input=value, ctx=limit)


def _read_file_id(text: str) -> str:
    try:
        return from_file_id(text)
    except InvalidOpaqueTextError:
        expected = "expected the global ID or the upstream id of a File, got {text}"
        raise PydanticCustomError("file_id", expected, {"text": format_value(text)}) from None


MetadataBody: TypeAlias = Annotated[dict[str, str], AfterValidator(_check_metadata)]
Id: TypeAlias = Annotated[str, Field(min_length=1, max_length=256)]
FileId: TypeAlias = Annotated[Id, AfterValidator(_read_file_id)]
"""The upstream id of a file, written as such or as its global ID."""
FileIds: TypeAlias = Annotated[list[FileId], Field(max_length=MAX_TOOL_FILES)]
Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Title: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE_LENGTH)]
LongText: TypeAlias = Annotated[str, Field(max_length=MAX_CONTENT_LENGTH)]
Fraction: TypeAlias = Annotated[float, Field(ge=0, le=1)]
TokenLimit: TypeAlias = Annotated[int, Field(ge=256)]
Detail: TypeAlias = Literal["auto", "low", "high"]
# The keys are not checked here, not even for valid Unicode.
JsonObject: TypeAlias = dict[Any, Any]


class Body(BaseModel):
    """A request body or a part of one. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    def to_wire(self) -> dict[str, Any]:
        """Dump the fields that were set, and no others."""
        return self.model_dump(exclude_unset=True, by_alias=True)


class ImageFileBody(Body):
    """`image_file` of a content part."""

    file_id: FileId
    detail: Detail | None = None


class ImageUrlBody(Body):
    """`image_url` of a content part."""

    url: Annotated[str, Field(min_length=1)]
    detail: Detail | None = None


class ContentPartBody(Body):
    """One part of a message, of any kind."""

    type: Literal["text", "image_file", "image_url"]
    text: Annotated[str, Field(min_length=1, max_length=MAX_CONTENT_LENGTH)] | None = None
    image_file: ImageFileBody | None = None
    image_url: ImageUrlBody | None = None


class KindBody(Body):
    """An object with only a kind."""

    type: str


class AttachmentBody(Body):
    """A file attached to a message (version 2)."""

    file_id: FileId
    tools: list[KindBody]


class MessageBody(Body):
    """A message to create. The upstream client sends content of one text as a bare string, which every server takes."""

    role: Literal["user", "assistant"]
    content: Annotated[list[ContentPartBody], Field(min_length=1)]
    attachments: list[AttachmentBody] | None = None
    file_ids: Annotated[list[FileId], Field(max_length=MAX_MESSAGE_FILES)] | None = None
    metadata: MetadataBody | None = None


class CodeInterpreterResourcesBody(Body):
    """`tool_resources.code_interpreter`."""

    file_ids: FileIds


class StaticChunkingBody(Body):
    """The sizes of the chunks into which files are cut for search."""

    max_chunk_size_tokens: Annotated[int, Field(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _check_overlap(self) -> StaticChunkingBody:
        if self.chunk_overlap_tokens * 2 > self.max_chunk_size_tokens:
            raise PydanticCustomError(
                "overlap",
                "expected an overlap of at most half the chunk, got {overlap} of {size}",
                {"overlap": self.chunk_overlap_tokens, "size": self.max_chunk_size_tokens},
            )
        return self


class ChunkingStrategyBody(Body):
    """`chunking_strategy` of a vector store."""

    type: Literal["auto", "static"]
    static: StaticChunkingBody | None = None


class VectorStoreBody(Body):
    """A vector store to create together with the object that uses it."""

    file_ids: list[FileId] | None = None
    chunking_strategy: ChunkingStrategyBody | None = None
    metadata: MetadataBody | None = None


class FileSearchResourcesBody(Body):
    """`tool_resources.file_search`."""

    vector_store_ids: Annotated[list[Id], Field(max_length=1)] | None = None
    vector_stores: Annotated[list[VectorStoreBody], Field(max_length=1)] | None = None


class ToolResourcesBody(Body):
    """The resources of the tools (version 2)."""

    code_interpreter: CodeInterpreterResourcesBody | None = None
    file_search: FileSearchResourcesBody | None = None


class FunctionBody(Body):
    """A function of the caller's program."""

    name: Name
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class RankingOptionsBody(Body):
    """The ranking of a file search's results."""

    score_threshold: Fraction
    ranker: Literal["auto", "default_2024_08_21"] | None = None


class FileSearchBody(Body):
    """Options of a file search."""

    max_num_results: Annotated[int, Field(ge=1, le=50)] | None = None
    ranking_options: RankingOptionsBody | None = None


class ToolBody(Body):
    """One tool, of any kind."""

    type: Literal["code_interpreter", "file_search", "retrieval", "function"]
    function: FunctionBody | None = None
    file_search: FileSearchBody | None = None


class NamedFunctionBody(Body):
    """A function, by its name."""

    name: Name


class ToolChoiceBody(Body):
    """A tool that the model must use."""

    type: Literal["code_interpreter", "file_search", "retrieval", "function"]
    function: NamedFunctionBody | None = None


class JsonSchemaBody(Body):
    """A JSON Schema that the model's output must follow."""

    name: Name
    description: str | None = None
    schema_: JsonObject | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseFormatBody(Body):
    """The format of the model's output."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaBody | None = None


class TruncationBody(Body):
    """The part of its thread that a run reads."""

    type: Literal["auto", "last_messages"]
    last_messages: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _require_count(self) -> TruncationBody:
        if self.type == "last_messages" and self.last_messages is None:
            raise PydanticCustomError("missing", "expected lastMessages with the type LAST_MESSAGES, got none")
        return self


Tools: TypeAlias = Annotated[list[ToolBody], Field(max_length=MAX_RUN_TOOLS)]
FirstMessages: TypeAlias = Annotated[list[MessageBody], Field(max_length=MAX_FIRST_MESSAGES)]


class ThreadBody(Body):
    """createThread, and the thread of createThreadAndRun."""

    messages: FirstMessages | None = None
    tool_resources: ToolResourcesBody | None = None
    metadata: MetadataBody | None = None


class ThreadUpdateBody(Body):
    """modifyThread."""

    tool_resources: ToolResourcesBody | None = None
    metadata: MetadataBody | None = None


class RecordBody(Body):
    """The fields of a thread that the gateway keeps itself. They are not sent upstream."""

    title: Title | None = None
    is_archived: bool | None = None


class MetadataUpdateBody(Body):
    """modifyMessage and modifyRun."""

    metadata: MetadataBody | None = None


class _RunOptionsBody(Body):
    """The fields that createRun and createThreadAndRun share."""

    assistant_id: Id
    model: Annotated[str, Field(min_length=1)] | None = None
    instructions: LongText | None = None
    tools: Tools | None = None
    metadata: MetadataBody | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Fraction | None = None
    max_prompt_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    truncation_strategy: TruncationBody | None = None
    tool_choice: ToolChoiceBody | Literal["none", "auto", "required"] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormatBody | Literal["auto"] | None = None


class RunBody(_RunOptionsBody):
    """createRun."""

    reasoning_effort: str | None = None
    additional_instructions: LongText | None = None
    additional_messages: FirstMessages | None = None


class ThreadAndRunBody(_RunOptionsBody):
    """createThreadAndRun."""

    thread: ThreadBody | None = None
    tool_resources: ToolResourcesBody | None = None


class ToolOutputBody(Body):
    """The result of one function call in the caller's program."""

    tool_call_id: Id
    output: str


class ToolOutputsBody(Body):
    """submitToolOuputsToRun."""

    tool_outputs: Annotated[list[ToolOutputBody], Field(min_length=1)]


class ToolApprovalBody(Body):
    """The decision on one call of a tool of an MCP server."""

    tool_call_id: Id
    approve: bool


class ToolApprovalsBody(Body):
    """submitToolOuputsToRun of Azure AI Foundry, for a run that waits for approvals."""

    tool_approvals: Annotated[list[ToolApprovalBody], Field(min_length=1)]


class AssistantUpdateBody(Body):
    """modifyAssistant."""

    model: Annotated[str, Field(min_length=1)] | None = None
    name: Annotated[str, Field(max_length=256)] | None = None
    description: Annotated[str, Field(max_length=512)] | None = None
    instructions: LongText | None = None
    reasoning_effort: str | None = None
    tools: Annotated[list[ToolBody], Field(max_length=MAX_ASSISTANT_TOOLS)] | None = None
    tool_resources: ToolResourcesBody | None = None
    file_ids: FileIds | None = None
    metadata: MetadataBody | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Fraction | None = None
    response_format: ResponseFormatBody | Literal["auto"] | None = None


class AssistantBody(AssistantUpdateBody):
    """createAssistant."""

    model: Annotated[str, Field(min_length=1)]

"""Leaf types: parts of messages, runs, steps and assistants that have no ID of their own.

Every union has a member for kinds that are not known yet. The conversion from wire objects is in `from_wire.py`; only
parts that a resolver decodes on demand are converted here.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
import strawberry

from schema.contract.tolerant_decoder import TolerantDecoder
from schema.contract.wire import RawList
from schema.contract.wire_parts import AnnotationObject, CodeInterpreterOutputObject
from schema.graph.documented_field import documented_field, plain_field
from schema.graph.enums import AttachmentTool, FileSearchRanker, ImageDetail, TruncationType
from schema.graph.fallback_types import (
    UNKNOWN_KIND,
    UNKNOWN_RAW,
    UnknownAnnotation,
    UnknownAttachmentSource,
    UnknownCodeInterpreterOutput,
    UnknownContent,
    UnknownRequiredAction,
    UnknownTool,
    UnknownToolResource,
)
from schema.graph.file_citing import FileCiting, MaybeFileCiting
from schema.graph.lenient_parts import part_kind, unknown_part
from schema.graph.scalars import JSON, Metadata

_ANNOTATION = TolerantDecoder(AnnotationObject, "annotation", strict=False)
_OUTPUT = TolerantDecoder(CodeInterpreterOutputObject, "code interpreter's output", strict=False)

_SPAN_TEXT = "The placeholder of the file in the message's text, for the frontend to replace."
_START = (
    "Index of the first character of the placeholder in the text part, from 0. Null if the upstream does not send it."
)
_END = "Index after the last character of the placeholder. Null if the upstream does not send it."


@strawberry.type(description="An annotation: the message cites a file.")
class FileCitation(FileCiting):
    """Source: schema `MessageContentTextAnnotationsFileCitationObject`."""

    text: str = plain_field(_SPAN_TEXT)
    start_index: int | None = plain_field(_START)
    end_index: int | None = plain_field(_END)
    quote: str | None = plain_field("The cited words, if the upstream sends them.")


@strawberry.type(description="An annotation: the message links to a file that a tool made.")
class FilePath(FileCiting):
    """Source: schema `MessageContentTextAnnotationsFilePathObject`."""

    text: str = plain_field(_SPAN_TEXT)
    start_index: int | None = plain_field(_START)
    end_index: int | None = plain_field(_END)


Annotation: TypeAlias = Annotated[
    FileCitation | FilePath | UnknownAnnotation,
    strawberry.union("Annotation", description="A note on a part of a text: it cites a file, or links to one."),
]


def _annotation_from_wire(raw: msgspec.Raw) -> Annotation:
    part = _ANNOTATION.decode_part(raw)
    match part_kind(part, "file_citation", "file_path"), part:
        case "file_citation", AnnotationObject(file_citation=cited) if cited is not None:
            return FileCitation(
                text=part.text,
                start_index=part.start_index,
                end_index=part.end_index,
                upstream_file_id=cited.file_id,
                quote=cited.quote,
            )
        case "file_path", AnnotationObject(file_path=path) if path is not None:
            return FilePath(
                text=part.text,
                start_index=part.start_index,
                end_index=part.end_index,
                upstream_file_id=path.file_id,
            )
        case _:
            kind, value = unknown_part(raw)
            return UnknownAnnotation(type=kind, raw=value)


@strawberry.type(description="A text part of a message.")
class TextContent:
    """Source: schema `MessageContentTextObject`."""

    text: str = plain_field("The text, with the placeholders of the annotations.")
    raw_annotations: strawberry.Private[RawList]

    @documented_field
    def annotations(self) -> list[Annotation]:
        """The annotations of the text, in the order of the upstream."""
        return [_annotation_from_wire(raw) for raw in self.raw_annotations or ()]


@strawberry.type(description="An uploaded image in a message.")
class ImageFileContent(FileCiting):
    """Source: schema `MessageContentImageFileObject`."""

    detail: ImageDetail | None = plain_field(
        "The detail in which the model sees the image. Null if the upstream does not send it."
    )


@strawberry.type(description="An image in a message, by its URL.")
class ImageUrlContent:
    """Source: schema `MessageContentImageUrlObject`."""

    url: str = plain_field("The URL of the image.")
    detail: ImageDetail | None = plain_field(
        "The detail in which the model sees the image. Null if the upstream does not send it."
    )


@strawberry.type(description="A refusal of the model to answer.")
class RefusalContent:
    """Source: schema `MessageContentRefusalObject`."""

    refusal: str = plain_field("The model's text instead of an answer.")


MessageContent: TypeAlias = Annotated[
    TextContent | ImageFileContent | ImageUrlContent | RefusalContent | UnknownContent,
    strawberry.union("MessageContent", description="One part of a message."),
]


@strawberry.type(description="A file attached to a message (version 2 of the API).")
class Attachment(MaybeFileCiting):
    """Source: `attachments` of schema `MessageObject`."""

    tools: list[AttachmentTool] = plain_field("The tools that may read the file.")
    other_source: UnknownAttachmentSource | None = plain_field(
        "What is attached instead of an uploaded file. Null if `fileId` is not."
    )


@strawberry.type(
    description="Files and vector stores for the tools of a thread, a run or an assistant (version 2 of the API)."
)
class ToolResources:
    """Source: `tool_resources` of schemas `ThreadObject` and `AssistantObject`."""

    code_interpreter_file_ids: list[strawberry.ID] = plain_field(
        "The global IDs of the files that the code interpreter may read."
    )
    vector_store_ids: list[str] = plain_field("The upstream ids of the vector stores that the file search reads.")
    other: list[UnknownToolResource] = plain_field("The resources of all other kinds of tools.")


@strawberry.type(description="The error of a run or a step.")
class RunError:
    """Source: `last_error` of schemas `RunObject` and `RunStepObject`."""

    code: str = plain_field(
        "The error code: `server_error`, `rate_limit_exceeded`, `invalid_prompt`, or another word of the upstream. "
        "Empty if it sends none."
    )
    message: str = plain_field("The error message. Empty if the upstream sends none.")


@strawberry.type(description="The part of its thread that a run reads.")
class TruncationStrategy:
    """Source: schema `TruncationObject`."""

    type: TruncationType = plain_field("The strategy.")
    last_messages: int | None = plain_field("The number of newest messages that the run reads, for `last_messages`.")


@strawberry.type(description="The number of tokens used.")
class Usage:
    """Source: schemas `RunCompletionUsage` and `RunStepCompletionUsage`."""

    prompt_tokens: int = plain_field("Tokens that the model read.")
    completion_tokens: int = plain_field("Tokens that the model wrote.")
    total_tokens: int = plain_field("The sum of both.")
    cached_tokens: int | None = plain_field(
        "The part of the tokens read that came from a cache, if the upstream sends it."
    )
    reasoning_tokens: int | None = plain_field(
        "The part of the tokens written that was reasoning, if the upstream sends it."
    )


@strawberry.type(description="The code interpreter.")
class CodeInterpreterTool:
    """Source: schema `AssistantToolsCode`."""

    type: str = plain_field("Always `code_interpreter`.")


@strawberry.type(description="The file search (version 2 of the API).")
class FileSearchTool:
    """Source: schema `AssistantToolsFileSearch`."""

    type: str = plain_field("Always `file_search`.")
    max_num_results: int | None = plain_field("The most results of one search. Null if it is not set.")
    ranker: FileSearchRanker | None = plain_field("The ranker of the results. Null if it is not set.")
    score_threshold: float | None = plain_field(
        "The minimum score of a result, from 0 to 1. Results below it are left out. Null if it is not set."
    )


@strawberry.type(description="The file search of version 1 of the API.")
class RetrievalTool:
    """Source: schema `AssistantToolsRetrieval` of version 1."""

    type: str = plain_field("Always `retrieval`.")


@strawberry.type(description="A function that the client provides.")
class FunctionTool:
    """Source: schema `AssistantToolsFunction`."""

    name: str = plain_field("The name of the function.")
    description: str | None = plain_field("A description of the function for the model.")
    parameters: JSON | None = plain_field("The parameters of the function as a JSON Schema object.")
    strict: bool | None = plain_field("Whether the model must follow the schema exactly.")


Tool: TypeAlias = Annotated[
    CodeInterpreterTool | FileSearchTool | RetrievalTool | FunctionTool | UnknownTool,
    strawberry.union("Tool", description="A tool that an assistant may use."),
]


@strawberry.type(description="The text that the code printed.")
class CodeInterpreterLogs:
    """Source: schema `RunStepDetailsToolCallsCodeOutputLogsObject`."""

    logs: str = plain_field("The printed text.")


@strawberry.type(description="An image that the code made.")
class CodeInterpreterImage(FileCiting):
    """Source: schema `RunStepDetailsToolCallsCodeOutputImageObject`."""


CodeInterpreterOutput: TypeAlias = Annotated[
    CodeInterpreterLogs | CodeInterpreterImage | UnknownCodeInterpreterOutput,
    strawberry.union("CodeInterpreterOutput", description="One output of a code interpreter call."),
]


def _output_from_wire(raw: msgspec.Raw) -> CodeInterpreterOutput:
    output = _OUTPUT.decode_part(raw)
    match part_kind(output, "logs", "image"), output:
        case "logs", CodeInterpreterOutputObject(logs=str() as logs):
            return CodeInterpreterLogs(logs=logs)
        case "image", CodeInterpreterOutputObject(image=image) if image is not None:
            return CodeInterpreterImage(upstream_file_id=image.file_id)
        case _:
            kind, value = unknown_part(raw)
            return UnknownCodeInterpreterOutput(type=kind, raw=value)


@strawberry.interface(description="The field of every tool call.")
class ToolCallBase:
    """The key of a call. It is not named `id`, because clients take that for the key of a cached object."""

    call_id: str | None = plain_field(
        "The upstream id of the call, to submit its output with. Null if the upstream sends none. On some servers it "
        "is not unique."
    )


@strawberry.type(description="A call of the code interpreter.")
class CodeInterpreterToolCall(ToolCallBase):
    """Source: schema `RunStepDetailsToolCallsCodeObject`."""

    input: str = plain_field("The code that was run.")
    raw_outputs: strawberry.Private[RawList]

    @documented_field
    def outputs(self) -> list[CodeInterpreterOutput]:
        """The outputs of the code, in the order of the upstream."""
        return [_output_from_wire(raw) for raw in self.raw_outputs or ()]


@strawberry.type(description="One passage that a file search found.")
class FileSearchPassage:
    """Source: `content[]` of schema `RunStepDetailsToolCallsFileSearchResultObject`."""

    type: str = plain_field("The kind of the passage: `text`, or another word of the upstream. Empty if it sends none.")
    text: str | None = plain_field("The text of the passage. Null if it has none.")


@strawberry.type(description="One result of a file search.")
class FileSearchResult(MaybeFileCiting):
    """Source: schema `RunStepDetailsToolCallsFileSearchResultObject`."""

    file_name: str | None = plain_field("The name of the file. Null if the upstream does not send it.")
    score: float | None = plain_field(
        "The relevance of the result, from 0 to 1. Null if the upstream does not send it."
    )
    attributes: Metadata = plain_field("Key-value pairs that the client stored with the file, to filter by.")
    content: list[str] = plain_field("The texts that were found. Empty if the upstream does not send them.")
    passages: list[FileSearchPassage] = plain_field("The passages that were found, with their kinds.")


@strawberry.type(description="A call of the file search.")
class FileSearchToolCall(ToolCallBase):
    """Source: schema `RunStepDetailsToolCallsFileSearchObject`."""

    ranker: FileSearchRanker | None = plain_field("The ranker that was used. Null if the upstream does not send it.")
    score_threshold: float | None = plain_field(
        "The minimum score of a result, from 0 to 1. Results below it are left out."
    )
    results: list[FileSearchResult] = plain_field("The results of the search.")


@strawberry.type(description="A call of the file search of version 1 of the API, which sends no more about it.")
class RetrievalToolCall(ToolCallBase):
    """Source: schema `RunStepDetailsToolCallsRetrievalObject` of version 1."""


@strawberry.type(description="A call of a function that the client provides.")
class FunctionToolCall(ToolCallBase):
    """Source: schemas `RunStepDetailsToolCallsFunctionObject` and `RunToolCallObject`."""

    name: str = plain_field("The name of the function.")
    arguments: str = plain_field("The arguments as text, as the model wrote them.")
    output: str | None = plain_field("The output that the client submitted. Null before that.")

    @documented_field
    def parsed_arguments(self) -> JSON | None:
        """The arguments as JSON. Null if the model wrote invalid JSON; `arguments` has the text."""
        try:
            return JSON(msgspec.json.decode(self.arguments))
        except (ValueError, RecursionError):  # RecursionError: the brackets are nested a thousand deep
            return None


@strawberry.type(description="A tool call of a kind that this gateway does not know yet.")
class UnknownToolCall(ToolCallBase):
    """Fallback of `ToolCall`."""

    type: str = plain_field(UNKNOWN_KIND)
    raw: JSON = plain_field(UNKNOWN_RAW)


ToolCall: TypeAlias = Annotated[
    CodeInterpreterToolCall | FileSearchToolCall | RetrievalToolCall | FunctionToolCall | UnknownToolCall,
    strawberry.union("ToolCall", description="One call of a tool."),
]


@strawberry.type(description="The run waits for the outputs of function calls.")
class SubmitToolOutputsAction:
    """Source: `required_action` of schema `RunObject`."""

    tool_calls: list[FunctionToolCall] = plain_field("The function calls. Each needs one output.")


@strawberry.type(description="A call of a tool of an MCP server, which waits for an approval.")
class McpToolCall(ToolCallBase):
    """Source: `RequiredMcpToolCall` of the official client of Foundry's classic agents (azure-ai-agents)."""

    # As non-null as those of `FunctionToolCall`, so that one operation can select both.
    name: str = plain_field("The name of the tool. Empty if the upstream sends none.")
    arguments: str = plain_field("The arguments as text, as the model wrote them. Empty if the upstream sends none.")
    server_label: str | None = plain_field("The label of the MCP server.")


@strawberry.type(description="The run waits for the approval of calls of MCP servers (Azure AI Foundry).")
class SubmitToolApprovalAction:
    """Source: `SubmitToolApprovalAction` of the official client of Foundry's classic agents (azure-ai-agents)."""

    tool_calls: list[McpToolCall] = plain_field("The calls. Each needs one decision.")


RequiredAction: TypeAlias = Annotated[
    SubmitToolOutputsAction | SubmitToolApprovalAction | UnknownRequiredAction,
    strawberry.union("RequiredAction", description="The action that a run waits for."),
]

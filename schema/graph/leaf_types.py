"""Leaf types: what hangs on a message, a run or a step and has no identity of its own.

Every union has a member for the kinds that are not known yet. What makes these types of wire objects is in
`from_wire.py`; only what a type decodes when it is asked stands beside it here.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
import strawberry

from schema.contract.wire import AnnotationObject, CodeInterpreterOutputObject, RawList
from schema.graph.documented_field import documented_field, plain_field
from schema.graph.enums import AttachmentTool, ImageDetail
from schema.graph.lenient_parts import decode_part, unknown_part
from schema.graph.scalars import JSON

_ANNOTATION = msgspec.json.Decoder(AnnotationObject, strict=False)
_OUTPUT = msgspec.json.Decoder(CodeInterpreterOutputObject, strict=False)

_KIND = "The upstream's name of the kind."
_RAW = "The part as the upstream sent it."
_SPAN_TEXT = "The text that stands for the file in the message and is to be replaced."
_START = "Index of the first character of `text` in the message's text part, from 0."
_END = "Index behind the last character of `text`."


@strawberry.type(description="An annotation of a kind that this gateway does not know yet.")
class UnknownAnnotation:
    """Fallback of `Annotation`."""

    type: str = plain_field(_KIND)
    raw: JSON = plain_field(_RAW)


@strawberry.type(description="A place in a file that a message quotes.")
class FileCitation:
    """Source: an annotation of type `file_citation`."""

    text: str = plain_field(_SPAN_TEXT)
    start_index: int = plain_field(_START)
    end_index: int = plain_field(_END)
    file_id: str = plain_field("The file that is cited.")
    quote: str | None = plain_field("The words that are cited, where the upstream gives them.")


@strawberry.type(description="A file that a tool made and a message links to.")
class FilePath:
    """Source: an annotation of type `file_path`."""

    text: str = plain_field(_SPAN_TEXT)
    start_index: int = plain_field(_START)
    end_index: int = plain_field(_END)
    file_id: str = plain_field("The file that was made.")


Annotation: TypeAlias = Annotated[
    FileCitation | FilePath | UnknownAnnotation,
    strawberry.union("Annotation", description="What a stretch of text stands for."),
]


def _annotation_of(raw: msgspec.Raw) -> Annotation:
    part = decode_part(_ANNOTATION, raw)
    match part:
        case AnnotationObject(type="file_citation", file_citation=cited) if cited is not None:
            return FileCitation(
                text=part.text,
                start_index=part.start_index,
                end_index=part.end_index,
                file_id=cited.file_id,
                quote=cited.quote,
            )
        case AnnotationObject(type="file_path", file_path=path) if path is not None:
            return FilePath(
                text=part.text, start_index=part.start_index, end_index=part.end_index, file_id=path.file_id
            )
        case _:
            kind, value = unknown_part(raw)
            return UnknownAnnotation(type=kind, raw=value)


@strawberry.type(description="A text part of a message.")
class TextContent:
    """Source: a content part of type `text`."""

    text: str = plain_field("The text, with the annotations' placeholders in it.")
    raw_annotations: strawberry.Private[RawList]

    @documented_field
    def annotations(self) -> list[Annotation]:
        """What stretches of the text stand for, in the order of the upstream."""
        return [_annotation_of(raw) for raw in self.raw_annotations or ()]


@strawberry.type(description="An uploaded image in a message.")
class ImageFileContent:
    """Source: a content part of type `image_file`."""

    file_id: str = plain_field("The image's file.")
    detail: ImageDetail | None = plain_field("How closely the model looks at it; null where the upstream does not say.")


@strawberry.type(description="An image in a message, by its address.")
class ImageUrlContent:
    """Source: a content part of type `image_url`."""

    url: str = plain_field("The image's address.")
    detail: ImageDetail | None = plain_field("How closely the model looks at it; null where the upstream does not say.")


@strawberry.type(description="A refusal: the model would not answer.")
class RefusalContent:
    """Source: a content part of type `refusal`."""

    refusal: str = plain_field("What the model said instead.")


@strawberry.type(description="A content part of a kind that this gateway does not know yet.")
class UnknownContent:
    """Fallback of `MessageContent`."""

    type: str = plain_field(_KIND)
    raw: JSON = plain_field(_RAW)


MessageContent: TypeAlias = Annotated[
    TextContent | ImageFileContent | ImageUrlContent | RefusalContent | UnknownContent,
    strawberry.union("MessageContent", description="One part of a message."),
]


@strawberry.type(description="A file attached to a message (version 2 of the API).")
class Attachment:
    """Source: `attachments` of the message object."""

    file_id: str | None = plain_field("The file.")
    tools: list[AttachmentTool] = plain_field("The tools that may read it.")


@strawberry.type(description="What the tools of a thread or an assistant may use (version 2 of the API).")
class ToolResources:
    """Source: `tool_resources`."""

    code_interpreter_file_ids: list[str] = plain_field("Files that the code interpreter may read.")
    vector_store_ids: list[str] = plain_field("Vector stores that the file search looks into.")


@strawberry.type(description="Why a run or a step failed.")
class RunError:
    """Source: `last_error`."""

    code: str = plain_field(
        "`server_error`, `rate_limit_exceeded`, `invalid_prompt`, or another word of the upstream; empty where it "
        "gave none."
    )
    message: str = plain_field("A sentence for people; empty where the upstream gave none.")


@strawberry.type(description="How much of its thread a run reads.")
class TruncationStrategy:
    """Source: `truncation_strategy`."""

    type: str = plain_field("`auto`, `last_messages`, or another word of the upstream.")
    last_messages: int | None = plain_field("How many of the newest messages are read, for `last_messages`.")


@strawberry.type(description="Tokens used.")
class Usage:
    """Source: `usage`."""

    prompt_tokens: int = plain_field("Tokens read.")
    completion_tokens: int = plain_field("Tokens written.")
    total_tokens: int = plain_field("Both together.")
    cached_tokens: int | None = plain_field(
        "Those of the tokens read that came from a cache, where the upstream says so."
    )
    reasoning_tokens: int | None = plain_field(
        "Those of the tokens written that were reasoning, where the upstream says so."
    )


@strawberry.type(description="Runs code.")
class CodeInterpreterTool:
    """Source: a tool of type `code_interpreter`."""

    type: str = plain_field("Always `code_interpreter`.")


@strawberry.type(description="Searches files (version 2 of the API).")
class FileSearchTool:
    """Source: a tool of type `file_search`."""

    type: str = plain_field("Always `file_search`.")
    max_num_results: int | None = plain_field("Most results of one search, where it is set.")


@strawberry.type(description="Searches files (version 1 of the API).")
class RetrievalTool:
    """Source: a tool of type `retrieval`."""

    type: str = plain_field("Always `retrieval`.")


@strawberry.type(description="A function of the caller's program.")
class FunctionTool:
    """Source: a tool of type `function`."""

    name: str = plain_field("The function's name.")
    description: str | None = plain_field("What it does, for the model.")
    parameters: JSON | None = plain_field("Its parameters as a JSON Schema object.")
    strict: bool | None = plain_field("Whether the model has to keep to the schema exactly.")


@strawberry.type(description="A tool of a kind that this gateway does not know yet.")
class UnknownTool:
    """Fallback of `Tool`."""

    type: str = plain_field(_KIND)
    raw: JSON = plain_field(_RAW)


Tool: TypeAlias = Annotated[
    CodeInterpreterTool | FileSearchTool | RetrievalTool | FunctionTool | UnknownTool,
    strawberry.union("Tool", description="A tool that an assistant may use."),
]


@strawberry.type(description="What the code printed.")
class CodeInterpreterLogs:
    """Source: an output of type `logs`."""

    logs: str = plain_field("The text.")


@strawberry.type(description="An image that the code made.")
class CodeInterpreterImage:
    """Source: an output of type `image`."""

    file_id: str = plain_field("The image's file.")


@strawberry.type(description="An output of a kind that this gateway does not know yet.")
class UnknownCodeInterpreterOutput:
    """Fallback of `CodeInterpreterOutput`."""

    type: str = plain_field(_KIND)
    raw: JSON = plain_field(_RAW)


CodeInterpreterOutput: TypeAlias = Annotated[
    CodeInterpreterLogs | CodeInterpreterImage | UnknownCodeInterpreterOutput,
    strawberry.union("CodeInterpreterOutput", description="What came of running code."),
]


def _output_of(raw: msgspec.Raw) -> CodeInterpreterOutput:
    match decode_part(_OUTPUT, raw):
        case CodeInterpreterOutputObject(type="logs", logs=str() as logs):
            return CodeInterpreterLogs(logs=logs)
        case CodeInterpreterOutputObject(type="image", image=image) if image is not None:
            return CodeInterpreterImage(file_id=image.file_id)
        case _:
            kind, value = unknown_part(raw)
            return UnknownCodeInterpreterOutput(type=kind, raw=value)


@strawberry.type(description="A run of code.")
class CodeInterpreterToolCall:
    """Source: a tool call of type `code_interpreter`."""

    id: str = plain_field("The call's id, upstream.")
    input: str = plain_field("The code.")
    raw_outputs: strawberry.Private[RawList]

    @documented_field
    def outputs(self) -> list[CodeInterpreterOutput]:
        """What came of it, in the order of the upstream."""
        return [_output_of(raw) for raw in self.raw_outputs or ()]


@strawberry.type(description="One hit of a file search.")
class FileSearchResult:
    """Source: `file_search.results` of a tool call."""

    file_id: str = plain_field("The file.")
    file_name: str = plain_field("The file's name.")
    score: float = plain_field("How well it fits, from 0 to 1.")
    content: list[str] = plain_field("The pieces that were found; empty where the upstream keeps them back.")


@strawberry.type(description="A search in files.")
class FileSearchToolCall:
    """Source: a tool call of type `file_search`."""

    id: str = plain_field("The call's id, upstream.")
    ranker: str | None = plain_field("The ranking that was used.")
    score_threshold: float | None = plain_field("Hits below this score were left out; from 0 to 1.")
    results: list[FileSearchResult] = plain_field("The hits.")


@strawberry.type(description="A search in files (version 1 of the API, which tells no more of it).")
class RetrievalToolCall:
    """Source: a tool call of type `retrieval`."""

    id: str = plain_field("The call's id, upstream.")


@strawberry.type(description="A call of a function of the caller's program.")
class FunctionToolCall:
    """Source: a tool call of type `function`."""

    id: str = plain_field("The call's id, upstream; an output is submitted under it.")
    name: str = plain_field("The function's name.")
    arguments: str = plain_field("The arguments as the model wrote them.")
    output: str | None = plain_field("What the caller's program answered; null until then.")

    @documented_field
    def parsed_arguments(self) -> JSON | None:
        """The arguments as JSON. Null when the model wrote no valid JSON; `arguments` has its text."""
        try:
            return JSON(msgspec.json.decode(self.arguments))
        except (ValueError, RecursionError):  # the latter for brackets a thousand deep
            return None


@strawberry.type(description="A tool call of a kind that this gateway does not know yet.")
class UnknownToolCall:
    """Fallback of `ToolCall`."""

    id: str | None = plain_field("The call's id, upstream, if it has one.")
    type: str = plain_field(_KIND)
    raw: JSON = plain_field(_RAW)


ToolCall: TypeAlias = Annotated[
    CodeInterpreterToolCall | FileSearchToolCall | RetrievalToolCall | FunctionToolCall | UnknownToolCall,
    strawberry.union("ToolCall", description="One use of a tool."),
]


@strawberry.type(description="The run waits for the outputs of function calls.")
class SubmitToolOutputsAction:
    """Source: a required action of type `submit_tool_outputs`."""

    tool_calls: list[FunctionToolCall] = plain_field("The calls; each needs one output.")


@strawberry.type(description="The run waits for something that this gateway does not know yet.")
class UnknownRequiredAction:
    """Fallback of `RequiredAction`."""

    type: str = plain_field(_KIND)
    raw: JSON = plain_field(_RAW)


RequiredAction: TypeAlias = Annotated[
    SubmitToolOutputsAction | UnknownRequiredAction,
    strawberry.union("RequiredAction", description="What a run waits for."),
]

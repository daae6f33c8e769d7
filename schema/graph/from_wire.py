"""Conversion of wire objects to the leaf types of the graph. Pure.

A part of an unknown kind, or of a known kind in an unexpected shape, becomes the `Unknown...` member of its union,
with its JSON. A value that is null or missing upstream becomes an empty list or null.
"""

from __future__ import annotations

import msgspec

from schema.contract.wire import (
    AttachmentObject,
    ContentPartObject,
    Count,
    ErrorObject,
    RawList,
    RequiredActionObject,
    TextBodyObject,
    ToolCallObject,
    ToolObject,
    ToolResourcesObject,
    TruncationObject,
    UsageObject,
)
from schema.graph.enums import AttachmentTool, ImageDetail, recognize, recognize_optional
from schema.graph.leaf_types import (
    Attachment,
    CodeInterpreterTool,
    CodeInterpreterToolCall,
    FileSearchResult,
    FileSearchTool,
    FileSearchToolCall,
    FunctionTool,
    FunctionToolCall,
    ImageFileContent,
    ImageUrlContent,
    MessageContent,
    RefusalContent,
    RequiredAction,
    RetrievalTool,
    RetrievalToolCall,
    RunError,
    SubmitToolOutputsAction,
    TextContent,
    Tool,
    ToolCall,
    ToolResources,
    TruncationStrategy,
    UnknownContent,
    UnknownRequiredAction,
    UnknownTool,
    UnknownToolCall,
    Usage,
)
from schema.graph.lenient_parts import decode_part, unknown_part
from schema.graph.scalars import JSON

# Not strict, because a server may write a whole number as 4.0.
_CONTENT_PART = msgspec.json.Decoder(ContentPartObject, strict=False)
_TOOL = msgspec.json.Decoder(ToolObject, strict=False)
_TOOL_CALL = msgspec.json.Decoder(ToolCallObject, strict=False)
_REQUIRED_ACTION = msgspec.json.Decoder(RequiredActionObject, strict=False)


def text_from_content(content: list[msgspec.Raw] | str | None) -> str:
    """Join the text parts of a message by newlines."""
    return "\n".join(part.text for part in content_from_wire(content) if isinstance(part, TextContent))


def content_from_wire(content: list[msgspec.Raw] | str | None) -> list[MessageContent]:
    """Convert the parts of a message. Some servers send a bare string, which is one text part."""
    if isinstance(content, str):
        return [TextContent(text=content, raw_annotations=None)]
    return [_content_part_from_wire(raw) for raw in content or ()]


def _content_part_from_wire(raw: msgspec.Raw) -> MessageContent:
    match decode_part(_CONTENT_PART, raw):
        case ContentPartObject(type="text", text=TextBodyObject() as body):
            return TextContent(text=body.value, raw_annotations=body.annotations)
        case ContentPartObject(type="text", text=str() as text):
            return TextContent(text=text, raw_annotations=None)
        case ContentPartObject(type="image_file", image_file=image) if image is not None:
            return ImageFileContent(file_id=image.file_id, detail=recognize_optional(ImageDetail, image.detail))
        case ContentPartObject(type="image_url", image_url=image_url) if image_url is not None:
            return ImageUrlContent(url=image_url.url, detail=recognize_optional(ImageDetail, image_url.detail))
        case ContentPartObject(type="refusal", refusal=str() as refusal):
            return RefusalContent(refusal=refusal)
        case _:
            kind, value = unknown_part(raw)
            return UnknownContent(type=kind, raw=value)


def tools_from_wire(tools: RawList) -> list[Tool]:
    """Convert the tools of a run or an assistant; null is an empty list."""
    return [_tool_from_wire(raw) for raw in tools or ()]


def _tool_from_wire(raw: msgspec.Raw) -> Tool:
    match decode_part(_TOOL, raw):
        case ToolObject(type="code_interpreter"):
            return CodeInterpreterTool(type="code_interpreter")
        case ToolObject(type="file_search", file_search=options):
            return FileSearchTool(
                type="file_search", max_num_results=None if options is None else options.max_num_results
            )
        case ToolObject(type="retrieval"):
            return RetrievalTool(type="retrieval")
        case ToolObject(type="function", function=function) if function is not None:
            parameters = None if function.parameters is None else JSON(function.parameters)
            return FunctionTool(
                name=function.name, description=function.description, parameters=parameters, strict=function.strict
            )
        case _:
            kind, value = unknown_part(raw)
            return UnknownTool(type=kind, raw=value)


def tool_calls_from_wire(calls: RawList) -> list[ToolCall]:
    """Convert the tool calls of a step; null is an empty list."""
    return [_tool_call_from_wire(raw) for raw in calls or ()]


def _tool_call_from_wire(raw: msgspec.Raw) -> ToolCall:
    call = decode_part(_TOOL_CALL, raw)
    match call:
        case ToolCallObject(type="function", id=str() as call_id, function=function) if function is not None:
            return FunctionToolCall(
                id=call_id, name=function.name, arguments=function.arguments, output=function.output
            )
        case ToolCallObject(type="code_interpreter", id=str() as call_id, code_interpreter=code) if code is not None:
            return CodeInterpreterToolCall(id=call_id, input=code.input, raw_outputs=code.outputs)
        case ToolCallObject(type="file_search", id=str() as call_id, file_search=search):
            ranking = search.ranking_options if search is not None else None
            return FileSearchToolCall(
                id=call_id,
                ranker=None if ranking is None else ranking.ranker,
                score_threshold=None if ranking is None else ranking.score_threshold,
                results=[
                    FileSearchResult(
                        file_id=result.file_id,
                        file_name=result.file_name,
                        score=result.score,
                        content=[found.text for found in result.content or () if found.text is not None],
                    )
                    for result in (search.results if search is not None else None) or ()
                ],
            )
        case ToolCallObject(type="retrieval", id=str() as call_id):
            return RetrievalToolCall(id=call_id)
        case _:
            kind, value = unknown_part(raw)
            return UnknownToolCall(id=None if call is None else call.id, type=kind, raw=value)


def required_action_from_wire(raw: msgspec.Raw) -> RequiredAction | None:
    """Convert the required action of a run. Null, and the empty object that some servers send, become None."""
    action = decode_part(_REQUIRED_ACTION, raw)
    if action is not None and action.type == "submit_tool_outputs" and action.submit_tool_outputs is not None:
        calls = tool_calls_from_wire(action.submit_tool_outputs.tool_calls)
        functions = [call for call in calls if isinstance(call, FunctionToolCall)]
        if len(functions) == len(calls):
            return SubmitToolOutputsAction(tool_calls=functions)
    if not msgspec.json.decode(raw):
        return None
    kind, value = unknown_part(raw)
    return UnknownRequiredAction(type=kind, raw=value)


def attachments_from_wire(attachments: list[AttachmentObject] | None) -> list[Attachment]:
    """Convert the attachments of a message; null is an empty list."""
    return [
        Attachment(
            file_id=attachment.file_id,
            tools=[recognize(AttachmentTool, tool.type) for tool in attachment.tools or ()],
        )
        for attachment in attachments or ()
    ]


def tool_resources_from_wire(resources: ToolResourcesObject | None) -> ToolResources | None:
    """Convert tool resources; None if the upstream sends none, as in version 1."""
    if resources is None:
        return None
    code, search = resources.code_interpreter, resources.file_search
    return ToolResources(
        code_interpreter_file_ids=list((code.file_ids if code else None) or ()),
        vector_store_ids=list((search.vector_store_ids if search else None) or ()),
    )


def run_error_from_wire(error: ErrorObject | None) -> RunError | None:
    """Convert the error of a run or a step."""
    return None if error is None else RunError(code=error.code or "", message=error.message or "")


def truncation_from_wire(truncation: TruncationObject | None) -> TruncationStrategy | None:
    """Convert the truncation strategy of a run."""
    if truncation is None:
        return None
    return TruncationStrategy(type=truncation.type, last_messages=integer_from_wire(truncation.last_messages))


def integer_from_wire(count: Count | None) -> int | None:
    """Convert a whole number, written as 4 or 4.0, to an integer. Any other number becomes None."""
    return int(count) if count is not None and count == int(count) else None


def usage_from_wire(value: object) -> Usage | None:
    """Convert the token usage; None if it is not known yet or cannot be read."""
    try:
        usage = msgspec.convert(value, UsageObject | None, strict=False)
    except msgspec.ValidationError:
        return None
    if usage is None:
        return None
    cached = usage.prompt_token_details or usage.prompt_tokens_details
    reasoning = usage.completion_tokens_details
    return Usage(
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        total_tokens=usage.total_tokens or 0,
        cached_tokens=None if cached is None else cached.cached_tokens,
        reasoning_tokens=None if reasoning is None else reasoning.reasoning_tokens,
    )

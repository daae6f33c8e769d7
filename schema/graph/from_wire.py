"""Conversion of wire objects to the leaf types of the graph. Pure.

A part of an unknown kind, or of a known kind without that which makes it one, becomes the `Unknown...` member of its
union, with its JSON. A value that is null, missing or unreadable becomes an empty list, an empty text or null.
"""

from __future__ import annotations

import msgspec

from schema.contract.tolerant_decoder import TolerantDecoder, parse_raw, text_from_json
from schema.contract.wire import Count, ErrorObject, RawList, TruncationObject, UsageObject
from schema.contract.wire_parts import (
    TOOL_CALL_DECODER,
    AttachmentObject,
    ContentPartObject,
    FileSearchResultObject,
    RequiredActionObject,
    TextBodyObject,
    ToolCallObject,
    ToolObject,
    ToolResourcesObject,
)
from schema.graph.enums import (
    AttachmentTool,
    FileSearchRanker,
    ImageDetail,
    TruncationType,
    recognize,
    recognize_optional,
)
from schema.graph.fallback_types import (
    UnknownAttachmentSource,
    UnknownContent,
    UnknownRequiredAction,
    UnknownTool,
    UnknownToolResource,
)
from schema.graph.leaf_types import (
    Attachment,
    CodeInterpreterTool,
    CodeInterpreterToolCall,
    FileSearchPassage,
    FileSearchResult,
    FileSearchTool,
    FileSearchToolCall,
    FunctionTool,
    FunctionToolCall,
    ImageFileContent,
    ImageUrlContent,
    McpToolCall,
    MessageContent,
    RefusalContent,
    RequiredAction,
    RetrievalTool,
    RetrievalToolCall,
    RunError,
    SubmitToolApprovalAction,
    SubmitToolOutputsAction,
    TextContent,
    Tool,
    ToolCall,
    ToolResources,
    TruncationStrategy,
    UnknownToolCall,
    Usage,
)
from schema.graph.lenient_parts import part_kind, unknown_fields, unknown_part
from schema.graph.scalars import JSON, global_file_ids, to_metadata

# Not strict, because a server may write a whole number as 4.0.
_CONTENT_PART = TolerantDecoder(ContentPartObject, "content part", strict=False)
_TOOL = TolerantDecoder(ToolObject, "tool", strict=False)
_REQUIRED_ACTION = TolerantDecoder(RequiredActionObject, "required action", strict=False)
_ATTACHMENT = TolerantDecoder(AttachmentObject, "attachment", strict=False)
_TOOL_RESOURCES = TolerantDecoder(ToolResourcesObject, "set of tool resources", strict=False)
_USAGE = TolerantDecoder(UsageObject, "usage", strict=False)


def text_from_content(content: list[msgspec.Raw] | str | None) -> str:
    """Join the text parts of a message by newlines."""
    return "\n".join(part.text for part in content_from_wire(content) if isinstance(part, TextContent))


def content_from_wire(content: list[msgspec.Raw] | str | None) -> list[MessageContent]:
    """Convert the parts of a message. Some servers send a bare string, which is one text part."""
    if isinstance(content, str):
        return [TextContent(text=content, raw_annotations=None)]
    return [_content_part_from_wire(raw) for raw in content or ()]


def _content_part_from_wire(raw: msgspec.Raw) -> MessageContent:
    part = _CONTENT_PART.decode_part(raw)
    if part is not None and part.type == "text" and type(part.text) is TextBodyObject:  # nearly every part
        return TextContent(text=part.text.value, raw_annotations=part.text.annotations)
    match part_kind(part, "text", "image_file", "image_url", "refusal"), part:
        case "text", ContentPartObject(text=TextBodyObject() as body):
            return TextContent(text=body.value, raw_annotations=body.annotations)
        case "text", ContentPartObject(text=str() as text):
            return TextContent(text=text, raw_annotations=None)
        case "image_file", ContentPartObject(image_file=image) if image is not None:
            return ImageFileContent(
                upstream_file_id=image.file_id, detail=recognize_optional(ImageDetail, image.detail)
            )
        case "image_url", ContentPartObject(image_url=image_url) if image_url is not None:
            return ImageUrlContent(url=image_url.url, detail=recognize_optional(ImageDetail, image_url.detail))
        case "refusal", ContentPartObject(refusal=str() | None as refusal):
            return RefusalContent(refusal=refusal or "")
        case _:
            kind, value = unknown_part(raw)
            return UnknownContent(type=kind, raw=value)


def tools_from_wire(tools: RawList) -> list[Tool]:
    """Convert the tools of a run or an assistant; null is an empty list."""
    return [_tool_from_wire(raw) for raw in tools or ()]


def _tool_from_wire(raw: msgspec.Raw) -> Tool:
    match _TOOL.decode_part(raw):
        case ToolObject(type="code_interpreter"):
            return CodeInterpreterTool(type="code_interpreter")
        case ToolObject(type="file_search", file_search=options):
            ranking = None if options is None else options.ranking_options
            return FileSearchTool(
                type="file_search",
                max_num_results=None if options is None else options.max_num_results,
                ranker=None if ranking is None else recognize_optional(FileSearchRanker, ranking.ranker),
                score_threshold=None if ranking is None else ranking.score_threshold,
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
    call = TOOL_CALL_DECODER.decode_part(raw)
    match part_kind(call, "function", "code_interpreter", "file_search"), call:
        case "function", ToolCallObject(id=str() as call_id, function=function) if function is not None:
            return FunctionToolCall(
                call_id=call_id,
                name=function.name,
                arguments=text_from_json(function.arguments),
                output=None if function.output is None else text_from_json(function.output),
            )
        case "code_interpreter", ToolCallObject(id=str() as call_id, code_interpreter=code) if code is not None:
            return CodeInterpreterToolCall(call_id=call_id, input=code.input, raw_outputs=code.outputs)
        case "file_search", ToolCallObject(id=str() as call_id, file_search=search):
            ranking = search.ranking_options if search is not None else None
            return FileSearchToolCall(
                call_id=call_id,
                ranker=None if ranking is None else recognize_optional(FileSearchRanker, ranking.ranker),
                score_threshold=None if ranking is None else ranking.score_threshold,
                results=[
                    _search_result_from_wire(result)
                    for result in (search.results if search is not None else None) or ()
                ],
            )
        case "retrieval", ToolCallObject(id=str() as call_id):
            return RetrievalToolCall(call_id=call_id)
        case _:
            kind, value = unknown_part(raw)
            return UnknownToolCall(call_id=None if call is None else call.id, type=kind, raw=value)


def _search_result_from_wire(result: FileSearchResultObject) -> FileSearchResult:
    passages = [FileSearchPassage(type=found.type, text=found.text) for found in result.content or ()]
    return FileSearchResult(
        upstream_file_id=result.file_id or None,
        file_name=result.file_name,
        score=result.score,
        attributes=to_metadata(result.attributes),
        content=[found.text for found in passages if found.text is not None],
        passages=passages,
    )


def required_action_from_wire(raw: msgspec.Raw) -> RequiredAction | None:
    """Convert the required action of a run. Null, and the empty object that some servers send, become None."""
    action = _REQUIRED_ACTION.decode_part(raw)
    match part_kind(action, "submit_tool_outputs", "submit_tool_approval"), action:
        case "submit_tool_outputs", RequiredActionObject(submit_tool_outputs=awaited) if awaited is not None:
            calls = tool_calls_from_wire(awaited.tool_calls)
            functions = [call for call in calls if isinstance(call, FunctionToolCall)]
            if len(functions) == len(calls):
                return SubmitToolOutputsAction(tool_calls=functions)
        case "submit_tool_approval", RequiredActionObject(submit_tool_approval=awaited) if awaited is not None:
            mcp_calls = [_mcp_call_from_wire(call) for call in awaited.tool_calls or ()]
            if None not in mcp_calls:
                return SubmitToolApprovalAction(tool_calls=[call for call in mcp_calls if call is not None])
    if not parse_raw(raw):
        return None
    kind, value = unknown_part(raw)
    return UnknownRequiredAction(type=kind, raw=value)


def attachments_from_wire(attachments: RawList) -> list[Attachment]:
    """Convert the attachments of a message; null is an empty list."""
    return [_attachment_from_wire(raw) for raw in attachments or ()]


def _mcp_call_from_wire(raw: msgspec.Raw) -> McpToolCall | None:
    """Convert a call of an MCP server's tool; None if it is another call, or has no id to answer it with."""
    call = TOOL_CALL_DECODER.decode_part(raw)
    if call is None or call.id is None or call.type not in {"", "mcp"}:
        return None
    return McpToolCall(
        call_id=call.id,
        name=call.name or "",
        arguments=text_from_json(call.arguments),
        server_label=call.server_label,
    )


def _attachment_from_wire(raw: msgspec.Raw) -> Attachment:
    attachment = _ATTACHMENT.decode_part(raw) or AttachmentObject()
    file_id = attachment.file_id or None
    return Attachment(
        upstream_file_id=file_id,
        tools=[recognize(AttachmentTool, tool.type) for tool in attachment.tools or ()],
        other_source=_other_source(raw) if file_id is None else None,
    )


def _other_source(raw: msgspec.Raw) -> UnknownAttachmentSource | None:
    value = parse_raw(raw)
    if isinstance(value, dict):
        sources = unknown_fields(raw, AttachmentObject)
        if len(sources) == 1:
            ((kind, source),) = sources.items()
            return UnknownAttachmentSource(type=kind, raw=JSON(source))
        value = sources
    return UnknownAttachmentSource(type="", raw=JSON(value)) if value else None


def tool_resources_from_wire(raw: msgspec.Raw) -> ToolResources | None:
    """Convert tool resources; None if the upstream sends none, as in version 1."""
    resources = _TOOL_RESOURCES.decode_part(raw)
    if resources is None:
        return None
    code, search = resources.code_interpreter, resources.file_search
    others = unknown_fields(raw, ToolResourcesObject)
    return ToolResources(
        code_interpreter_file_ids=global_file_ids(code.file_ids if code else None),
        vector_store_ids=list((search.vector_store_ids if search else None) or ()),
        other=[UnknownToolResource(type=kind, raw=JSON(value)) for kind, value in others.items()],
    )


def run_error_from_wire(error: ErrorObject | None) -> RunError | None:
    """Convert the error of a run or a step."""
    return None if error is None else RunError(code=error.code or "", message=error.message or "")


def truncation_from_wire(truncation: TruncationObject | None) -> TruncationStrategy | None:
    """Convert the truncation strategy of a run."""
    if truncation is None:
        return None
    return TruncationStrategy(
        type=recognize(TruncationType, truncation.type), last_messages=integer_from_wire(truncation.last_messages)
    )


def integer_from_wire(count: Count | None) -> int | None:
    """Convert a whole number, written as 4 or 4.0, to an integer. Any other number becomes None."""
    return int(count) if count is not None and count == int(count) else None


def usage_from_wire(value: object) -> Usage | None:
    """Convert the token usage; None if it is not known yet or is no object."""
    try:
        usage = msgspec.convert(value, UsageObject | None, strict=False)
    except msgspec.ValidationError:
        usage = _USAGE.decode_part(msgspec.Raw(msgspec.json.encode(value)))
    if usage is None or (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (None, None, None):
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

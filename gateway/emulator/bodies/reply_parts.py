"""Parts of replies about messages and steps: content parts, annotations, attachments, tool calls. Pure."""

from gateway.emulator.objects import (
    ApiVersion,
    Attachment,
    CodeCall,
    CodeLogs,
    CodeOutput,
    ContentPart,
    FileCitation,
    FunctionCall,
    ImageFilePart,
    ImageUrlPart,
    JsonObject,
    McpCall,
    RefusalPart,
    SearchCall,
    TextAnnotation,
    TextPart,
    ToolCall,
)


def render_content_part(part: ContentPart, version: ApiVersion) -> JsonObject:
    """Return a content part as the API shows it."""
    match part:
        case TextPart():
            annotations = [render_annotation(one, version) for one in part.annotations]
            return _text(part.value, annotations)
        case ImageFilePart():
            detail = {} if version == "v1" else {"detail": part.detail}
            return {"type": "image_file", "image_file": {"file_id": part.file_id, **detail}}
        case ImageUrlPart():
            # Version 1 has only text and image files. The way that it shows newer parts is assumed.
            if version == "v1":
                return _text(part.url, [])
            return {"type": "image_url", "image_url": {"url": part.url, "detail": part.detail}}
        case RefusalPart():
            if version == "v1":
                return _text(part.refusal, [])
            return {"type": "refusal", "refusal": part.refusal}


def _text(value: str, annotations: list[JsonObject]) -> JsonObject:
    return {"type": "text", "text": {"value": value, "annotations": annotations}}


def render_annotation(annotation: TextAnnotation, version: ApiVersion) -> JsonObject:
    """Return an annotation as a message read over REST shows it."""
    target: JsonObject = {"file_id": annotation.file_id}
    # Version 2 dropped the quote.
    if isinstance(annotation, FileCitation) and version == "v1":
        target["quote"] = annotation.quote
    return {
        "type": annotation.kind,
        "text": annotation.text,
        "start_index": annotation.start_index,
        "end_index": annotation.end_index,
        annotation.kind: target,
    }


def render_attachment(attachment: Attachment) -> JsonObject:
    """Return an attachment as version 2 shows it."""
    return {"file_id": attachment.file_id, "tools": [{"type": name} for name in attachment.tools]}


def render_tool_call(call: ToolCall, version: ApiVersion, *, with_search_content: bool) -> JsonObject:
    """Return a tool call of a step as the API shows it. The text of search results is shown only on request."""
    match call:
        case FunctionCall():
            function = {"name": call.name, "arguments": call.arguments, "output": call.output}
            return {"id": call.id, "type": "function", "function": function}
        case McpCall():
            return {**render_awaited_mcp_call(call), "output": call.output}
        case CodeCall():
            outputs = [render_code_output(output) for output in call.outputs]
            return {
                "id": call.id,
                "type": "code_interpreter",
                "code_interpreter": {"input": call.input, "outputs": outputs},
            }
        case SearchCall():
            if version == "v1":
                return {"id": call.id, "type": "retrieval", "retrieval": {}}
            return {
                "id": call.id,
                "type": "file_search",
                "file_search": _search(call, with_content=with_search_content),
            }


def render_awaited_mcp_call(call: McpCall) -> JsonObject:
    """Return a call of an MCP server's tool that waits for approval."""
    return {
        "id": call.id,
        "type": "mcp",
        "arguments": call.arguments,
        "name": call.name,
        "server_label": call.server_label,
    }


def _search(call: SearchCall, *, with_content: bool) -> JsonObject:
    results: list[JsonObject] = []
    for result in call.results:
        rendered: JsonObject = {
            "file_id": result.file_id,
            "file_name": result.file_name,
            "score": result.score,
            "attributes": result.attributes,
        }
        if with_content:
            rendered["content"] = [{"type": "text", "text": result.text}]
        results.append(rendered)
    return {"ranking_options": call.ranking_options, "results": results}


def render_code_output(output: CodeOutput) -> JsonObject:
    """Return an output of code as the API shows it."""
    if isinstance(output, CodeLogs):
        return {"type": "logs", "logs": output.logs}
    return {"type": "image", "image": {"file_id": output.file_id}}

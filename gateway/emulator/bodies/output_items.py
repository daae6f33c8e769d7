"""The items of conversations and responses as JSON: a run's steps in their other form, and what clients include. Pure.

An item is complete here. `shown_item` leaves out what a client has to ask for.
Source: `OutputItem` and `IncludeEnum` of the specification.
"""

from collections.abc import Collection, Iterator
from typing import Literal, TypeAlias

from gateway.emulator.ids import id_from_name
from gateway.emulator.objects import (
    CodeCall,
    CodeLogs,
    CodeOutput,
    FileCitation,
    FunctionCall,
    ImageFilePart,
    ImageUrlPart,
    JsonObject,
    McpCall,
    Message,
    RefusalPart,
    SearchCall,
    SearchResult,
    Step,
    TextAnnotation,
    TextPart,
    ToolCall,
)
from gateway.emulator.response_objects import Response

CODE_OUTPUTS = "code_interpreter_call.outputs"
SEARCH_RESULTS = "file_search_call.results"
ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]


def output_items(response: Response) -> list[JsonObject]:
    """Return the items that a response has written so far, in order."""
    return [item for step in response.steps for item in step_items(response, step)]


def step_items(response: Response, step: Step) -> Iterator[JsonObject]:
    """Yield the items of one step: a message, or an item for each call."""
    if step.message_id is not None:
        yield from (message_item(response, one) for one in response.messages if one.id == step.message_id)
    for place, call in enumerate(step.tool_calls):
        is_done = step.status == "in_progress" and place + 1 < len(step.tool_calls)
        yield call_item(response, call, "completed" if is_done else step.status)


def message_item(response: Response, message: Message) -> JsonObject:
    """Return a message that a response wrote."""
    return {
        "id": message.id,
        "type": "message",
        "status": message.status,
        "role": "assistant",
        "content": [output_part(response, part) for part in message.content],
    }


def output_part(response: Response, part: object) -> JsonObject:
    """Return a part of a message that a response wrote.

    Raises:
        TypeError: A response cannot write this part.
    """
    match part:
        case TextPart():
            annotations = [render_text_annotation(response, one) for one in part.annotations]
            return {"type": "output_text", "annotations": annotations, "logprobs": [], "text": part.value}
        case RefusalPart():
            return {"type": "refusal", "refusal": part.refusal}
        case _:
            message = f"expected a text or a refusal in a response, got {part!r}"
            raise TypeError(message)


def render_text_annotation(response: Response, annotation: TextAnnotation) -> JsonObject:
    """Return an annotation of an output text. The mark or the path that it stood for names its file."""
    if isinstance(annotation, FileCitation):
        return {
            "type": "file_citation",
            "file_id": annotation.file_id,
            "filename": annotation.text.rpartition("†")[2].rstrip("】"),
            "index": annotation.start_index,
        }
    return {
        "type": "container_file_citation",
        "container_id": container_id(response),
        "file_id": annotation.file_id,
        "filename": annotation.text.rpartition("/")[2],
        "start_index": annotation.start_index,
        "end_index": annotation.end_index,
    }


def call_item_id(response: Response, call: ToolCall) -> str:
    """Return the id of a call's item. A function call has another id too, its model's, which its output names."""
    prefix = {"function": "fc", "code_interpreter": "ci", "file_search": "fs", "mcp": "mcpr"}[call.kind]
    return id_from_name(prefix, f"{response.id}:{call.id}")


def call_item(response: Response, call: ToolCall, status: str) -> JsonObject:
    """Return the item of a call whose step has this status."""
    own: JsonObject = {"id": call_item_id(response, call)}
    match call:
        case FunctionCall():
            return {
                **own,
                "type": "function_call",
                "status": _message_status(status),
                "arguments": call.arguments,
                "call_id": call.id,
                "name": call.name,
            }
        case CodeCall():
            return {
                **own,
                "type": "code_interpreter_call",
                "status": _tool_status(status),
                "code": call.input,
                "container_id": container_id(response),
                "outputs": [_code_output(response, output) for output in call.outputs],
            }
        case SearchCall():
            return {
                **own,
                "type": "file_search_call",
                "status": _tool_status(status),
                "queries": [call.query] if call.query else [],
                "results": [_search_result(result) for result in call.results],
            }
        case McpCall():
            return {
                **own,
                "type": "mcp_approval_request",
                "arguments": call.arguments,
                "name": call.name,
                "server_label": call.server_label,
            }


def shown_item(item: JsonObject, includes: Collection[str]) -> JsonObject:
    """Return an item as a client sees it that asks for these fields beside the usual ones."""
    match item.get("type"):
        case "code_interpreter_call" if CODE_OUTPUTS not in includes:
            return {**item, "outputs": None}
        case "file_search_call" if SEARCH_RESULTS not in includes:
            return {**item, "results": None}
        case _:
            return item


def input_item_from_message(message: Message) -> JsonObject:
    """Return a client's message in the form of an item. Its attached files become parts of it."""
    is_output = message.role == "assistant"
    parts: list[JsonObject] = []
    for part in message.content:
        match part:
            case TextPart(value=text):
                parts.append(
                    {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
                    if is_output
                    else {"type": "input_text", "text": text}
                )
            case ImageFilePart(file_id=file_id, detail=detail):
                parts.append({"type": "input_image", "detail": detail, "file_id": file_id, "image_url": None})
            case ImageUrlPart(url=url, detail=detail):
                parts.append({"type": "input_image", "detail": detail, "file_id": None, "image_url": url})
            case RefusalPart(refusal=refusal):
                parts.append({"type": "refusal", "refusal": refusal})
    parts += [{"type": "input_file", "file_id": attached.file_id} for attached in message.attachments]
    return {"id": message.id, "type": "message", "status": "completed", "role": message.role, "content": parts}


def container_id(response: Response) -> str:
    """Return the id of the container in which a response runs code: one for each conversation."""
    return id_from_name("cntr", response.run.thread_id)


def _message_status(step_status: str) -> ItemStatus:
    match step_status:
        case "in_progress" | "completed":
            return step_status
        case _:
            return "incomplete"


def _tool_status(step_status: str) -> str:
    return "failed" if step_status == "failed" else _message_status(step_status)


def _code_output(response: Response, output: CodeOutput) -> JsonObject:
    if isinstance(output, CodeLogs):
        return {"type": "logs", "logs": output.logs}
    return {"type": "image", "url": f"{response.origin}/v1/files/{output.file_id}/content"}


def _search_result(result: SearchResult) -> JsonObject:
    return {
        "attributes": result.attributes,
        "file_id": result.file_id,
        "filename": result.file_name,
        "score": result.score,
        "text": result.text,
    }

"""Parts of items in the form of the Threads API: content of messages, annotations and tool calls. Pure.

A part of an unknown kind keeps its JSON. Source: the mapping of both specifications; `InputContent`, `OutputContent`,
`Annotation` and `OutputItem` of the successor's.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Raw, json

from gateway.upstream.responses.response_wire import ItemObject
from schema.contract.tolerant_decoder import parse_raw

_FILE_ADDRESS = re.compile(r"/files/([^/?#]+)/content\Z")
_TEXTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
_JSON = dict[str, Any]


def content_from_item(item: ItemObject) -> list[Raw]:
    """Return the content of a message, without its files."""
    if isinstance(item.content, str):
        return [_raw({"type": "text", "text": {"value": item.content, "annotations": []}})]
    parsed = [(raw, parse_raw(raw)) for raw in item.content or ()]
    return [
        _content_part(raw, part)
        for raw, part in parsed
        if not isinstance(part, dict) or part.get("type") != "input_file"
    ]


def attachments_from_item(item: ItemObject) -> list[Raw]:
    """Return the files of a message as attachments. Which tool may read them is not known there."""
    parts = [] if isinstance(item.content, str) else [parse_raw(raw) for raw in item.content or ()]
    files = [part for part in parts if _is_file(part) and isinstance(part.get("file_id"), str)]
    return [_raw({"file_id": part["file_id"], "tools": []}) for part in files]


def annotation_from_item(annotation: _JSON, text: str) -> _JSON:
    """Return an annotation of a text. A citation has no quoted text, only its place."""
    file_id, index = annotation.get("file_id"), annotation.get("index")
    match annotation.get("type"):
        case "file_citation" | "file_path" as kind:
            place = {"text": "", "start_index": index, "end_index": index}
            return {"type": kind, **place, kind: {"file_id": file_id}}
        case "container_file_citation":
            start, end = annotation.get("start_index"), annotation.get("end_index")
            known = isinstance(start, int) and isinstance(end, int)
            place = {"text": text[start:end] if known else "", "start_index": start, "end_index": end}
            return {"type": "file_path", **place, "file_path": {"file_id": file_id}}
        case _:
            return annotation


def call_from_item(item: ItemObject, raw: Raw, output: str | None = None) -> _JSON:
    """Return a tool item as the call of a step. `output` is that of a function which a client has submitted."""
    match item.type:
        case "function_call" | "custom_tool_call":
            arguments = item.arguments if item.type == "function_call" else item.input
            function = {"name": item.name, "arguments": arguments or "", "output": output}
            return {"id": item.call_id, "type": "function", "function": function}
        case "code_interpreter_call":
            outputs = [_code_output(one) for one in item.outputs or ()]
            return {
                "id": item.id,
                "type": "code_interpreter",
                "code_interpreter": {"input": item.code or "", "outputs": outputs},
            }
        case "file_search_call":
            results = [_search_result(one) for one in item.results or ()]
            return {"id": item.id, "type": "file_search", "file_search": {"results": results}}
        case "mcp_approval_request" | "mcp_call":
            call = {"name": item.name, "arguments": item.arguments, "server_label": item.server_label}
            return {"id": item.id, "type": "mcp", **call, "output": item.output or output}
        case _:
            parsed = parse_raw(raw)
            return parsed if isinstance(parsed, dict) else {"id": item.id, "type": item.type}


def awaits_client(item: ItemObject) -> bool:
    """Return whether a client has to answer an item before its conversation can go on."""
    return item.type in {"function_call", "custom_tool_call", "mcp_approval_request"}


def id_of_call(item: ItemObject) -> str | None:
    """Return the id by which a client answers an item."""
    return item.id if item.type == "mcp_approval_request" else item.call_id


def _is_file(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "input_file"


def _content_part(raw: Raw, part: Any) -> Raw:
    if not isinstance(part, dict):
        return raw
    text = part.get("text")
    match part.get("type"):
        case kind if kind in _TEXTS and isinstance(text, str):
            notes = [annotation_from_item(one, text) for one in part.get("annotations") or () if isinstance(one, dict)]
            return _raw({"type": "text", "text": {"value": text, "annotations": notes}})
        case "input_image" if isinstance(part.get("file_id"), str):
            image = {"file_id": part["file_id"], "detail": part.get("detail")}
            return _raw({"type": "image_file", "image_file": image})
        case "input_image" if isinstance(part.get("image_url"), str):
            return _raw({"type": "image_url", "image_url": {"url": part["image_url"], "detail": part.get("detail")}})
        case _:
            return raw


def _code_output(output: _JSON) -> _JSON:
    address = output.get("url")
    found = _FILE_ADDRESS.search(address) if output.get("type") == "image" and isinstance(address, str) else None
    return {"type": "image", "image": {"file_id": found[1]}} if found else output


def _search_result(result: _JSON) -> _JSON:
    text = result.get("text")
    return {
        "file_id": result.get("file_id"),
        "file_name": result.get("filename"),
        "score": result.get("score"),
        "attributes": result.get("attributes"),
        "content": [{"type": "text", "text": text}] if isinstance(text, str) else None,
    }


def _raw(value: Any) -> Raw:
    return Raw(json.encode(value))

"""The requests to the successor API that a thread's messages and runs become. Pure.

A part that has no place there is refused with its path in the body: leaving it out would change what was asked for.

Source: the schemas `CreateResponse` and `InputItem` of the specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic.alias_generators import to_camel

from gateway.upstream.responses.item_parts import id_of_call
from gateway.upstream.responses.response_wire import ItemObject
from schema.contract.bodies import (
    MessageBody,
    RunBody,
    ThreadAndRunBody,
    ThreadBody,
    ThreadUpdateBody,
    ToolApprovalsBody,
    ToolOutputsBody,
    ToolResourcesBody,
)
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.tolerant_decoder import parse_raw
from schema.contract.wire import AssistantObject

MAX_ITEMS = 20
"""The most items of one request, also of one that creates a conversation."""

CANCELLED_OUTPUT = "cancelled"
# Asked for always, since a step shows them.
_INCLUDE = ("file_search_call.results", "code_interpreter_call.outputs")
_JSON = dict[str, Any]
# The options of a run that go on under another name, or the same.
_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_completion_tokens": "max_output_tokens",
    "parallel_tool_calls": "parallel_tool_calls",
    "metadata": "metadata",
}


def item_from_message(message: MessageBody, path: str = "") -> _JSON:
    """Return the item of a new message.

    Raises:
        GatewayError: The message has a part that an item has no place for.
    """
    if message.metadata:
        raise _unsupported(f"{path}metadata", "the metadata of a message")
    if message.file_ids:
        raise _unsupported(f"{path}file_ids", "'fileIds'")
    content = [_part(part, message.role) for part in message.to_wire()["content"]]
    for index, attachment in enumerate(message.attachments or ()):
        if any(tool.type != "code_interpreter" for tool in attachment.tools):
            raise _unsupported(f"{path}attachments.{index}.tools", "a file attached for file search")
        content.append({"type": "input_file", "file_id": attachment.file_id})
    return {"type": "message", "role": message.role, "content": content}


def items_from_thread(thread: ThreadBody, path: str = "") -> list[_JSON]:
    """Return the items of a new thread's first messages.

    Raises:
        GatewayError: The thread or a message has a part that a conversation has no place for.
    """
    if thread.tool_resources is not None and _without_nulls(thread.tool_resources.to_wire()):
        raise _unsupported(f"{path}tool_resources", "the tool resources of a thread")
    return [
        item_from_message(message, f"{path}messages.{index}.") for index, message in enumerate(thread.messages or ())
    ]


def conversation_from_thread(thread: ThreadBody, items: Sequence[_JSON]) -> _JSON:
    """Return the request that creates a conversation with some items."""
    request: _JSON = {"items": list(items)} if items else {}
    return request | ({"metadata": thread.metadata} if thread.metadata else {})


def metadata_from_update(thread: ThreadUpdateBody) -> Mapping[str, str] | None:
    """Return the metadata that an update sets. None if it sets none.

    Raises:
        GatewayError: It sets what a conversation has no place for.
    """
    if thread.tool_resources is not None and _without_nulls(thread.tool_resources.to_wire()):
        raise _unsupported("tool_resources", "the tool resources of a thread")
    return (thread.metadata or {}) if "metadata" in thread.model_fields_set else None


def refuse_new_stores(resources: ToolResourcesBody | None) -> None:
    """Refuse tool resources that ask for a vector store to be made.

    Raises:
        GatewayError: They do.
    """
    search = resources.file_search if resources is not None else None
    if search is not None and search.vector_stores:
        raise _unsupported("tool_resources.file_search.vector_stores", "a vector store to create")


def item_batches(items: Sequence[_JSON]) -> list[list[_JSON]]:
    """Return items in as many requests as they need. The first one, maybe empty, creates the conversation."""
    return [list(items[start : start + MAX_ITEMS]) for start in range(0, max(len(items), 1), MAX_ITEMS)]


def response_from_run(
    run: RunBody | ThreadAndRunBody, assistant: AssistantObject, conversation_id: str, *, background: bool
) -> _JSON:
    """Return the request that starts a run: its own options, and else those of its assistant.

    Args:
        run: The run to create.
        assistant: Its assistant.
        conversation_id: The conversation that stands for its thread.
        background: Whether the response goes on without a reader. Otherwise it is a stream that has to be read.

    Raises:
        GatewayError: The run has an option that a response has no place for.
    """
    _refuse_foreign_options(run)
    wire = run.to_wire()
    own_resources = wire.get("tool_resources") or {}
    resources = {**_object(parse_raw(assistant.tool_resources)), **own_resources}
    tools = [_object(parse_raw(raw)) for raw in assistant.tools or ()] if run.tools is None else wire["tools"]
    messages = run.additional_messages if isinstance(run, RunBody) else None
    request: _JSON = {
        "model": run.model or assistant.model,
        "conversation": conversation_id,
        "input": [
            item_from_message(message, f"additional_messages.{index}.") for index, message in enumerate(messages or ())
        ],
        "truncation": "auto",
        "store": True,
        "background": background,
        "stream": True,
        "include": list(_INCLUDE),
    }
    if instructions := _instructions(run, assistant):
        request["instructions"] = instructions
    if tools:
        request["tools"] = [_tool(tool, resources) for tool in tools]
    for name, value in (("temperature", assistant.temperature), ("top_p", assistant.top_p)):
        if value is not None:
            request[name] = value
    request |= {_OPTIONS[name]: value for name, value in wire.items() if name in _OPTIONS and value is not None}
    return request | _choices(wire, assistant)


def continued_response(started: Mapping[str, Any], items: Sequence[_JSON]) -> _JSON:
    """Return the request that continues a chain: the options that it was started with, and these items."""
    return {**started, "input": list(items)}


def items_from_outputs(body: ToolOutputsBody | ToolApprovalsBody, calls: Iterable[ItemObject] = ()) -> list[_JSON]:
    """Return the items of outputs or approvals that a client submits. `calls` are the items that asked for them."""
    if isinstance(body, ToolApprovalsBody):
        return [_approval_item(one.tool_call_id, approve=one.approve) for one in body.tool_approvals]
    custom = {id_of_call(item) for item in calls if item.type == "custom_tool_call"}
    return [
        _output_item(one.tool_call_id, one.output, is_custom=one.tool_call_id in custom) for one in body.tool_outputs
    ]


def items_for_open_calls(items: Iterable[ItemObject]) -> list[_JSON]:
    """Return the items that answer those of a run that was cancelled, so that its thread can go on."""
    answers: list[_JSON] = []
    for item in items:
        match item.type, id_of_call(item):
            case "mcp_approval_request", str(request_id):
                answers.append(_approval_item(request_id, approve=False))
            case "custom_tool_call", str(call_id):
                answers.append(_output_item(call_id, CANCELLED_OUTPUT, is_custom=True))
            case _, str(call_id):
                answers.append(_output_item(call_id, CANCELLED_OUTPUT))
    return answers


def answers_from_body(body: ToolOutputsBody | ToolApprovalsBody) -> dict[str, str]:
    """Return what a client submits, by the id of the call, as the steps show it."""
    if isinstance(body, ToolOutputsBody):
        return {one.tool_call_id: one.output for one in body.tool_outputs}
    return {one.tool_call_id: "approved" if one.approve else "denied" for one in body.tool_approvals}


def _output_item(call_id: str, output: str, *, is_custom: bool = False) -> _JSON:
    kind = "custom_tool_call_output" if is_custom else "function_call_output"
    return {"type": kind, "call_id": call_id, "output": output}


def _approval_item(request_id: str, *, approve: bool) -> _JSON:
    return {"type": "mcp_approval_response", "approval_request_id": request_id, "approve": approve}


def _part(part: Mapping[str, Any], role: str) -> _JSON:
    match part["type"]:
        case "image_file":
            image = part["image_file"]
            return {"type": "input_image", "file_id": image["file_id"], "detail": image.get("detail") or "auto"}
        case "image_url":
            image = part["image_url"]
            return {"type": "input_image", "image_url": image["url"], "detail": image.get("detail") or "auto"}
        case _:
            return {"type": "output_text" if role == "assistant" else "input_text", "text": part.get("text") or ""}


def _refuse_foreign_options(run: RunBody | ThreadAndRunBody) -> None:
    if run.max_prompt_tokens is not None:
        raise _unsupported("max_prompt_tokens", "'maxPromptTokens'")
    if run.truncation_strategy is not None and run.truncation_strategy.type == "last_messages":
        raise _unsupported("truncation_strategy", "the truncation 'LAST_MESSAGES'")
    for index, tool in enumerate(run.tools or ()):
        if tool.type == "retrieval":
            raise _unsupported(f"tools.{index}", "a tool 'RETRIEVAL'")
    if isinstance(run, ThreadAndRunBody):
        refuse_new_stores(run.tool_resources)


def _instructions(run: RunBody | ThreadAndRunBody, assistant: AssistantObject) -> str | None:
    instructions = assistant.instructions if run.instructions is None else run.instructions
    additional = run.additional_instructions if isinstance(run, RunBody) else None
    return "\n".join(part for part in (instructions, additional) if part) or None


def _tool(tool: Mapping[str, Any], resources: Mapping[str, Any]) -> _JSON:
    match tool.get("type"):
        case "function":
            # Strict is what a response's function is by default, and a run's is not.
            return {"type": "function", "parameters": None, "strict": False, **_without_nulls(tool["function"])}
        case "file_search":
            stores = _object(resources.get("file_search")).get("vector_store_ids") or []
            options = _without_nulls(_object(tool.get("file_search")))
            return {"type": "file_search", "vector_store_ids": stores, **options}
        case "code_interpreter":
            files = _object(resources.get("code_interpreter")).get("file_ids") or []
            return {"type": "code_interpreter", "container": {"type": "auto", "file_ids": files}}
        case _:
            return dict(tool)


def _choices(wire: Mapping[str, Any], assistant: AssistantObject) -> _JSON:
    chosen: _JSON = {}
    choice = wire.get("tool_choice")
    if choice is not None:
        is_function = isinstance(choice, dict) and choice.get("type") == "function"
        chosen["tool_choice"] = {"type": "function", **choice["function"]} if is_function else choice
    answer_format = wire.get("response_format") or assistant.response_format
    if isinstance(answer_format, dict):
        schema = answer_format.get("json_schema")
        rest = _without_nulls(schema) if isinstance(schema, dict) else {}
        chosen["text"] = {"format": {"type": answer_format.get("type"), **rest}}
    if effort := wire.get("reasoning_effort") or assistant.reasoning_effort:
        chosen["reasoning"] = {"effort": effort}
    return chosen


def _object(value: Any) -> _JSON:
    return value if isinstance(value, dict) else {}


def _without_nulls(value: Mapping[str, Any]) -> _JSON:
    return {name: one for name, one in value.items() if one is not None}


def _unsupported(path: str, part: str) -> GatewayError:
    return GatewayError(
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
        f"Conversations and responses, which the upstream speaks, have no place for {part}.",
        argument=".".join(to_camel(step) for step in path.split(".")),
    )

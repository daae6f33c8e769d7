"""Chains of responses as runs, and their items as messages and steps. Pure.

A run is a chain: its id is the first response's, its status the last one's, except that a response which ends with
calls that nobody has answered is a run that waits. Its usage is the sum, its steps follow each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Raw, ValidationError, json

from gateway.upstream.responses.item_parts import (
    attachments_from_item,
    awaits_client,
    call_from_item,
    content_from_item,
    id_of_call,
)
from gateway.upstream.responses.response_wire import ITEM_DECODER, ItemObject, ResponseObject, ResponseUsageObject
from schema.contract.wire import NULL, MessageObject, ReasonObject, RunObject, RunStepObject, TruncationObject

_REASONS = {"max_output_tokens": "max_completion_tokens"}
_STEP_STATUSES = {"searching": "in_progress", "interpreting": "in_progress", "calling": "in_progress"}
_NOBODY: Mapping[str, str] = {}


def run_from_chain(responses: Sequence[ResponseObject], answers: Mapping[str, str] = _NOBODY) -> RunObject:
    """Return the run that a chain of responses is, oldest first.

    Args:
        responses: At least one response.
        answers: The outputs that a client has submitted, by the id of their call.
    """
    first, last = responses[0], responses[-1]
    waiting = (
        []
        if last.status != "completed"
        else [(item, raw) for item, raw in items_of(last) if awaits_client(item) and id_of_call(item) not in answers]
    )
    status = "requires_action" if waiting else last.status or ""
    reason = last.incomplete_details.reason if last.incomplete_details else None
    return RunObject(
        id=first.id,
        created_at=first.created_at,
        object="thread.run",
        thread_id=conversation_id_of(first),
        status=status,
        required_action=_required_action(waiting),
        last_error=last.error,
        incomplete_details=None if reason is None else ReasonObject(_REASONS.get(reason, reason)),
        completed_at=last.completed_at if status in {"completed", "incomplete"} else None,
        model=last.model,
        instructions=last.instructions if isinstance(last.instructions, str) else None,
        tools=[Raw(json.encode(_tool(tool))) for tool in last.tools or ()],
        tool_resources=_resources(last.tools or ()),
        reasoning_effort=last.reasoning.effort if last.reasoning else None,
        temperature=last.temperature,
        top_p=last.top_p,
        max_completion_tokens=last.max_output_tokens,
        truncation_strategy=TruncationObject() if last.truncation == "auto" else None,
        tool_choice=_tool_choice(last.tool_choice),
        parallel_tool_calls=last.parallel_tool_calls,
        response_format=_response_format(last.text.format if last.text else None),
        usage=_summed_usage([one.usage for one in responses if one.usage is not None]),
        metadata=first.metadata,
    )


def conversation_id_of(response: ResponseObject) -> str | None:
    """Return the id of a response's conversation. Some servers do not say it."""
    conversation = response.conversation
    return conversation if isinstance(conversation, str) or conversation is None else conversation.id


def items_of(response: ResponseObject) -> Iterator[tuple[ItemObject, Raw]]:
    """Yield the items that a response wrote, each with its JSON. One that cannot be read is left out."""
    for raw in response.output or ():
        try:
            yield ITEM_DECODER.decode(raw), raw
        except ValidationError:
            continue


def steps_from_response(response: ResponseObject, answers: Mapping[str, str] = _NOBODY) -> list[RunStepObject]:
    """Return the steps of one response of a chain."""
    return [
        step_from_item(item, raw, response.created_at, answers)
        for item, raw in items_of(response)
        if item.id is not None
    ]


def message_from_item(item: ItemObject, created_at: float, run_id: str | None = None) -> MessageObject:
    """Return a message item as a message. Its time is not the item's, which has none."""
    status = item.status
    return MessageObject(
        id=item.id or "",
        created_at=created_at,
        object="thread.message",
        role=item.role or "",
        status=status,
        content=content_from_item(item),
        attachments=attachments_from_item(item),
        run_id=run_id,
    )


def step_from_item(
    item: ItemObject, raw: Raw, created_at: float, answers: Mapping[str, str] = _NOBODY
) -> RunStepObject:
    """Return an item that a response wrote as a step: a message, or a call."""
    details: dict[str, Any]
    if item.type == "message":
        details = {"type": "message_creation", "message_creation": {"message_id": item.id}}
    else:
        output = answers.get(id_of_call(item) or "")
        details = {"type": "tool_calls", "tool_calls": [call_from_item(item, raw, output)]}
    return RunStepObject(
        id=item.id or "",
        created_at=created_at,
        object="thread.run.step",
        type=details["type"],
        status=_step_status(item, answers),
        step_details=Raw(json.encode(details)),
    )


def _step_status(item: ItemObject, answers: Mapping[str, str]) -> str:
    if awaits_client(item) and item.status in {None, "completed"}:
        return "completed" if id_of_call(item) in answers else "in_progress"
    match item.status:
        case None:
            return "completed"
        case "incomplete":
            # The step of a message that is cut short is completed, as it is in a run.
            return "completed" if item.type == "message" else "cancelled"
        case status:
            return _STEP_STATUSES.get(status, status)


def _required_action(waiting: Sequence[tuple[ItemObject, Raw]]) -> Raw:
    approvals = [call_from_item(item, raw) for item, raw in waiting if item.type == "mcp_approval_request"]
    calls = [call_from_item(item, raw) for item, raw in waiting if item.type != "mcp_approval_request"]
    if calls:
        return Raw(json.encode({"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}}))
    if approvals:
        return Raw(json.encode({"type": "submit_tool_approval", "submit_tool_approval": {"tool_calls": approvals}}))
    return NULL


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    match tool.get("type"):
        case "function":
            fields = {name: tool[name] for name in ("name", "description", "parameters", "strict") if name in tool}
            return {"type": "function", "function": fields}
        case "file_search":
            options = {name: tool[name] for name in ("max_num_results", "ranking_options") if name in tool}
            return {"type": "file_search", "file_search": options}
        case "code_interpreter":
            return {"type": "code_interpreter"}
        case _:
            return dict(tool)


def _resources(tools: Sequence[Mapping[str, Any]]) -> Raw:
    resources: dict[str, Any] = {}
    for tool in tools:
        container = tool.get("container")
        if tool.get("type") == "file_search":
            resources["file_search"] = {"vector_store_ids": tool.get("vector_store_ids") or []}
        elif tool.get("type") == "code_interpreter" and isinstance(container, dict):
            resources["code_interpreter"] = {"file_ids": container.get("file_ids") or []}
    return Raw(json.encode(resources))


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, dict) and choice.get("type") == "function" and "name" in choice:
        return {"type": "function", "function": {"name": choice["name"]}}
    return choice


def _response_format(text_format: Any) -> Any:
    if not isinstance(text_format, dict):
        return text_format
    if text_format.get("type") != "json_schema":
        return text_format
    return {"type": "json_schema", "json_schema": {key: value for key, value in text_format.items() if key != "type"}}


def _summed_usage(usages: Sequence[ResponseUsageObject]) -> dict[str, Any] | None:
    if not usages:
        return None
    cached = [one.input_tokens_details.cached_tokens or 0 for one in usages if one.input_tokens_details]
    reasoning = [one.output_tokens_details.reasoning_tokens or 0 for one in usages if one.output_tokens_details]
    return {
        "prompt_tokens": sum(one.input_tokens or 0 for one in usages),
        "completion_tokens": sum(one.output_tokens or 0 for one in usages),
        "total_tokens": sum(one.total_tokens or 0 for one in usages),
        "prompt_token_details": {"cached_tokens": sum(cached)} if cached else None,
        "completion_tokens_details": {"reasoning_tokens": sum(reasoning)} if reasoning else None,
    }

"""Replies of the API: stored objects rendered as JSON, for version 1 or version 2. Pure.

The keys, their order and their nulls are as seen in recorded traffic: messages read over REST have no status, steps
have no metadata, and a terminal run has no expiry.
"""

from collections.abc import Sequence
from typing import Any

from gateway.emulator.bodies.reply_parts import (
    render_attachment,
    render_awaited_mcp_call,
    render_content_part,
    render_tool_call,
)
from gateway.emulator.ids import id_from_name
from gateway.emulator.objects import (
    ApiVersion,
    Assistant,
    Failure,
    FunctionCall,
    JsonObject,
    McpCall,
    Message,
    Run,
    Step,
    Thread,
    UploadedFile,
    Usage,
)


def render_page(objects: Sequence[JsonObject], *, has_more: bool) -> JsonObject:
    """Return a list reply. An empty list has null ids."""
    return {
        "object": "list",
        "data": list(objects),
        "first_id": objects[0]["id"] if objects else None,
        "last_id": objects[-1]["id"] if objects else None,
        "has_more": has_more,
    }


def render_deleted(object_name: str, object_id: str) -> JsonObject:
    """Return the reply to a deletion."""
    return {"id": object_id, "object": f"{object_name}.deleted", "deleted": True}


def render_thread(thread: Thread, version: ApiVersion) -> JsonObject:
    """Return a thread as the API shows it."""
    rendered: JsonObject = {
        "id": thread.id,
        "object": "thread",
        "created_at": thread.created_at,
        "metadata": thread.metadata,
    }
    if version == "v2":
        rendered["tool_resources"] = thread.tool_resources
    return rendered


def render_message(message: Message, version: ApiVersion) -> JsonObject:
    """Return a message as REST shows it: without its status."""
    files: JsonObject = (
        {"file_ids": [one.file_id for one in message.attachments]}
        if version == "v1"
        else {"attachments": [render_attachment(one) for one in message.attachments]}
    )
    return {
        "id": message.id,
        "object": "thread.message",
        "created_at": message.created_at,
        "assistant_id": message.assistant_id,
        "thread_id": message.thread_id,
        "run_id": message.run_id,
        "role": message.role,
        "content": [render_content_part(part, version) for part in message.content],
        **files,
        "metadata": message.metadata,
    }


def render_modified_message(message: Message, version: ApiVersion) -> JsonObject:
    """Return the reply to a modification, which shows `file_ids` in both versions.

    Seen in recorded traffic of 2024 and 2025: version 2 never shows `attachments` here.
    """
    rendered = render_message(message, version)
    rendered.pop("attachments", None)
    metadata = rendered.pop("metadata")
    file_ids = [one.file_id for one in message.attachments]
    return {**rendered, "file_ids": file_ids, "metadata": metadata}


def render_message_file(message: Message, file_id: str) -> JsonObject:
    """Return a file of a message (version 1 only)."""
    return {
        "id": file_id,
        "object": "thread.message.file",
        "created_at": message.created_at,
        "message_id": message.id,
    }


def render_run(run: Run, version: ApiVersion) -> JsonObject:
    """Return a run as the API shows it."""
    is_newer = version == "v2"
    middle: JsonObject = {"tool_resources": run.tool_resources} if is_newer else {"file_ids": list(run.file_ids)}
    return {
        "id": run.id,
        "object": "thread.run",
        "created_at": run.created_at,
        "assistant_id": run.assistant_id,
        "thread_id": run.thread_id,
        "status": run.status,
        "started_at": run.started_at,
        "expires_at": None if run.is_terminal else run.expires_at,
        "cancelled_at": run.cancelled_at,
        "failed_at": run.failed_at,
        "completed_at": run.completed_at,
        "required_action": _required_action(run.awaited_calls),
        "last_error": _failure(run.last_error),
        "model": run.model,
        "instructions": run.instructions,
        "tools": [render_tool(one, version) for one in run.tools],
        **middle,
        "metadata": run.metadata,
        "temperature": run.temperature,
        "top_p": run.top_p,
        **({"reasoning_effort": run.reasoning_effort} if is_newer else {}),
        "max_completion_tokens": run.max_completion_tokens,
        "max_prompt_tokens": run.max_prompt_tokens,
        "truncation_strategy": run.truncation_strategy,
        "incomplete_details": None if run.incomplete_reason is None else {"reason": run.incomplete_reason},
        "usage": _usage(run.usage, version),
        "response_format": run.response_format,
        "tool_choice": _tool_choice(run.tool_choice, version),
        **({"parallel_tool_calls": run.parallel_tool_calls} if is_newer else {}),
    }


def render_step(step: Step, version: ApiVersion, *, with_search_content: bool = False) -> JsonObject:
    """Return a step as the API shows it. The text of search results is shown only on request."""
    if step.message_id is not None:
        details: JsonObject = {"type": "message_creation", "message_creation": {"message_id": step.message_id}}
    else:
        calls = [render_tool_call(call, version, with_search_content=with_search_content) for call in step.tool_calls]
        details = {"type": "tool_calls", "tool_calls": calls}
    return {
        "id": step.id,
        "object": "thread.run.step",
        "created_at": step.created_at,
        "run_id": step.run_id,
        "assistant_id": step.assistant_id,
        "thread_id": step.thread_id,
        "type": details["type"],
        "status": step.status,
        "cancelled_at": step.cancelled_at,
        "completed_at": step.completed_at,
        "expires_at": step.expires_at,
        "failed_at": step.failed_at,
        "last_error": _failure(step.last_error),
        "step_details": details,
        "usage": _usage(step.usage, version),
    }


def render_assistant(assistant: Assistant, version: ApiVersion) -> JsonObject:
    """Return an assistant as the API shows it."""
    common: JsonObject = {
        "id": assistant.id,
        "object": "assistant",
        "created_at": assistant.created_at,
        "name": assistant.name,
        "description": assistant.description,
        "model": assistant.model,
        "instructions": assistant.instructions,
        "tools": [render_tool(one, version) for one in assistant.tools],
    }
    if version == "v1":
        return {**common, "file_ids": list(assistant_file_ids(assistant)), "metadata": assistant.metadata}
    return {
        **common,
        "top_p": assistant.top_p,
        "temperature": assistant.temperature,
        "reasoning_effort": assistant.reasoning_effort,
        "tool_resources": tool_resources(assistant),
        "metadata": assistant.metadata,
        "response_format": assistant.response_format,
    }


def render_file(file: UploadedFile) -> JsonObject:
    """Return an uploaded file, without its content."""
    return {
        "object": "file",
        "id": file.id,
        "purpose": file.purpose,
        "filename": file.filename,
        "bytes": file.size,
        "created_at": file.created_at,
        "expires_at": None,
        "status": "processed",
        "status_details": None,
    }


def assistant_file_ids(assistant: Assistant) -> tuple[str, ...]:
    """Return the ids of an assistant's files, attached by either version, each once."""
    of_version_2 = assistant.tool_resources.get("code_interpreter", {}).get("file_ids", [])
    return tuple(dict.fromkeys([*(file.file_id for file in assistant.files), *of_version_2]))


def render_assistant_file(assistant_id: str, file_id: str, created_at: int) -> JsonObject:
    """Return a file of an assistant (version 1 only)."""
    return {"id": file_id, "object": "assistant.file", "created_at": created_at, "assistant_id": assistant_id}


def tool_resources(assistant: Assistant) -> JsonObject:
    """Return an assistant's tool resources. Files of version 1 appear under the tools that read them (assumed)."""
    resources = dict(assistant.tool_resources)
    if not assistant.files:
        return resources
    types = {one["type"] for one in assistant.tools}
    if "code_interpreter" in types:
        resources["code_interpreter"] = {"file_ids": list(assistant_file_ids(assistant))}
    if "file_search" in types:
        resources.setdefault("file_search", {"vector_store_ids": [own_store_id(assistant.id)]})
    return resources


def own_store_id(assistant_id: str) -> str:
    """Return the id of the vector store that represents an assistant's version 1 files in version 2."""
    return id_from_name("vs", assistant_id)


def render_tool(tool: JsonObject, version: ApiVersion) -> JsonObject:
    """Return a tool under the name it has in this version."""
    if version == "v2":
        return tool
    if tool["type"] == "file_search":
        return {"type": "retrieval"}
    if tool["type"] == "function":
        function = {key: value for key, value in tool["function"].items() if key != "strict"}
        return {"type": "function", "function": function}
    return tool


def _tool_choice(choice: Any, version: ApiVersion) -> Any:
    return render_tool(choice, version) if isinstance(choice, dict) and choice["type"] == "file_search" else choice


def _required_action(calls: Sequence[FunctionCall | McpCall]) -> JsonObject | None:
    if not calls:
        return None
    approvals = [render_awaited_mcp_call(call) for call in calls if isinstance(call, McpCall)]
    if approvals:
        return {"type": "submit_tool_approval", "submit_tool_approval": {"tool_calls": approvals}}
    tool_calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
    return {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": tool_calls}}


def _failure(failure: Failure | None) -> JsonObject | None:
    return None if failure is None else {"code": failure.code, "message": failure.message}


def _usage(usage: Usage | None, version: ApiVersion) -> JsonObject | None:
    if usage is None:
        return None
    counters: JsonObject = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
    if version == "v1":
        return counters
    # "prompt_token_details" is singular and the other is not: seen in recorded traffic.
    return {
        **counters,
        "prompt_token_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }

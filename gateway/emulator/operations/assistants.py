"""The operations on assistants, and those of version 1 on their files."""

from dataclasses import replace
from typing import Any

from gateway.emulator.bodies import reply_objects
from gateway.emulator.bodies.api_errors import not_found
from gateway.emulator.bodies.assistant_bodies import (
    AssistantFileInput,
    AssistantInput,
    CreateAssistantV1,
    CreateAssistantV2,
    ModifyAssistantV1,
    ModifyAssistantV2,
)
from gateway.emulator.bodies.list_query import parse_list_query, slice_ids
from gateway.emulator.objects import Assistant, AttachedFile, JsonObject
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.lookups import checked_cursors, find_assistant, find_page

_ECHOED = ("model", "name", "description", "instructions", "metadata", "temperature", "top_p", "reasoning_effort")


def list_assistants(call: ApiCall) -> JsonObject:
    """Return a page of the assistants."""
    assistants, has_more = find_page(call, call.store.assistants, None, "asst", "assistant")
    return reply_objects.render_page(
        [reply_objects.render_assistant(one, call.version) for one in assistants], has_more=has_more
    )


def create_assistant(call: ApiCall) -> JsonObject:
    """Create an assistant."""
    body = call.parse_body(CreateAssistantV1) if call.version == "v1" else call.parse_body(CreateAssistantV2)
    new = Assistant(id=call.store.new_id("asst"), created_at=call.whole_second, model=body.model)
    assistant = _with_changes(call, new, body)
    call.store.assistants.add(call.partition, assistant)
    return reply_objects.render_assistant(assistant, call.version)


def get_assistant(call: ApiCall) -> JsonObject:
    """Return an assistant."""
    return reply_objects.render_assistant(find_assistant(call, call.path["assistant_id"]), call.version)


def modify_assistant(call: ApiCall) -> JsonObject:
    """Change an assistant. Fields that the body omits stay as they are."""
    body = call.parse_body(ModifyAssistantV1) if call.version == "v1" else call.parse_body(ModifyAssistantV2)
    assistant = _with_changes(call, find_assistant(call, call.path["assistant_id"]), body)
    call.store.assistants.replace(call.partition, assistant)
    return reply_objects.render_assistant(assistant, call.version)


def delete_assistant(call: ApiCall) -> JsonObject:
    """Delete an assistant. Its runs stay (assumed)."""
    assistant = find_assistant(call, call.path["assistant_id"])
    call.store.assistants.delete(call.partition, assistant.id)
    return reply_objects.render_deleted("assistant", assistant.id)


def list_assistant_files(call: ApiCall) -> JsonObject:
    """Return a page of an assistant's files."""
    assistant = find_assistant(call, call.path["assistant_id"])
    known = list(reply_objects.assistant_file_ids(assistant))
    page, has_more = slice_ids(known, checked_cursors(parse_list_query(call.query), known, "file"))
    return reply_objects.render_page([_rendered_file(assistant, file_id) for file_id in page], has_more=has_more)


def create_assistant_file(call: ApiCall) -> JsonObject:
    """Attach a file to an assistant."""
    body = call.parse_body(AssistantFileInput)
    assistant = find_assistant(call, call.path["assistant_id"])
    if body.file_id not in reply_objects.assistant_file_ids(assistant):
        assistant = replace(assistant, files=(*assistant.files, AttachedFile(body.file_id, call.whole_second)))
        call.store.assistants.replace(call.partition, assistant)
    return _rendered_file(assistant, body.file_id)


def get_assistant_file(call: ApiCall) -> JsonObject:
    """Return a file of an assistant."""
    return _rendered_file(*_found_file(call))


def delete_assistant_file(call: ApiCall) -> JsonObject:
    """Detach a file from an assistant."""
    assistant, file_id = _found_file(call)
    code = assistant.tool_resources.get("code_interpreter", {})
    remaining = [one for one in code.get("file_ids", []) if one != file_id]
    changed = replace(
        assistant,
        files=tuple(file for file in assistant.files if file.file_id != file_id),
        tool_resources={**assistant.tool_resources, **({"code_interpreter": {"file_ids": remaining}} if code else {})},
    )
    call.store.assistants.replace(call.partition, changed)
    return reply_objects.render_deleted("assistant.file", file_id)


def _found_file(call: ApiCall) -> tuple[Assistant, str]:
    assistant = find_assistant(call, call.path["assistant_id"])
    file_id = call.path["file_id"]
    if file_id not in reply_objects.assistant_file_ids(assistant):
        raise not_found("file", file_id)
    return assistant, file_id


def _rendered_file(assistant: Assistant, file_id: str) -> JsonObject:
    times = {file.file_id: file.created_at for file in assistant.files}
    return reply_objects.render_assistant_file(assistant.id, file_id, times.get(file_id, assistant.created_at))


def _with_changes(call: ApiCall, assistant: Assistant, body: AssistantInput) -> Assistant:
    """Return the assistant with the fields of the body.

    A missing field changes nothing, nor does null in a field that cannot be null.
    """
    changes: dict[str, Any] = {name: getattr(body, name) for name in _ECHOED if name in body.model_fields_set}
    for name in ("model", "metadata"):
        if changes.get(name, "") is None:
            del changes[name]
    if body.tools is not None:
        changes["tools"] = tuple(tool.to_stored() for tool in body.tools)
    if isinstance(body, ModifyAssistantV1):
        if body.file_ids is not None:
            changes["files"] = tuple(AttachedFile(file_id, call.whole_second) for file_id in body.file_ids)
        return replace(assistant, **changes)
    if body.tool_resources is not None:
        changes["tool_resources"] = body.tool_resources.to_stored(call.store.new_id("vs"))
        changes["files"] = ()
    if body.response_format is not None:
        format_ = body.response_format
        changes["response_format"] = format_ if isinstance(format_, str) else format_.model_dump(exclude_none=True)
    return replace(assistant, **changes)

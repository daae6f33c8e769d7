"""The operations on messages, and those of version 1 on their files."""

from dataclasses import replace

from gateway.emulator.bodies import reply_objects
from gateway.emulator.bodies.api_errors import message_during_run, not_found
from gateway.emulator.bodies.list_query import parse_list_query, slice_ids
from gateway.emulator.bodies.thread_bodies import MessageV1, MessageV2, ModifyMetadata
from gateway.emulator.objects import JsonObject
from gateway.emulator.operations.api_call import ApiCall, checked_id
from gateway.emulator.operations.lookups import checked_cursors, find_message, find_page, find_thread
from gateway.emulator.operations.threads import add_message


def list_messages(call: ApiCall) -> JsonObject:
    """Return a page of a thread's messages, or of one run's if the query has a `run_id`."""
    thread = find_thread(call)
    run_id = call.query.get("run_id")
    if run_id is not None:
        # A run without messages, or one that does not exist, has an empty list (assumed).
        checked_id("run_id", run_id, "run")
    messages, has_more = find_page(call, call.store.messages, thread.id, "msg", "message", run_id)
    return reply_objects.render_page(
        [reply_objects.render_message(one, call.version) for one in messages], has_more=has_more
    )


def create_message(call: ApiCall) -> JsonObject:
    """Add a message to a thread that has no active run."""
    body = call.parse_body(MessageV1) if call.version == "v1" else call.parse_body(MessageV2)
    thread = find_thread(call)
    if (run_id := call.store.active_run_id(call.partition, thread.id)) is not None:
        raise message_during_run(thread.id, run_id)
    return reply_objects.render_message(add_message(call, thread.id, body), call.version)


def get_message(call: ApiCall) -> JsonObject:
    """Return a message."""
    return reply_objects.render_message(find_message(call), call.version)


def modify_message(call: ApiCall) -> JsonObject:
    """Change a message's metadata, at any time (assumed while a run is active)."""
    body = call.parse_body(ModifyMetadata)
    message = find_message(call)
    if body.metadata is not None:
        message = replace(message, metadata=body.metadata)
        call.store.messages.replace(call.partition, message)
    return reply_objects.render_modified_message(message, call.version)


def delete_message(call: ApiCall) -> JsonObject:
    """Delete a message, at any time (assumed while a run is active)."""
    message = find_message(call)
    call.store.messages.delete(call.partition, message.id)
    return reply_objects.render_deleted("thread.message", message.id)


def list_message_files(call: ApiCall) -> JsonObject:
    """Return a page of a message's files."""
    message = find_message(call)
    known = [attachment.file_id for attachment in message.attachments]
    page, has_more = slice_ids(known, checked_cursors(parse_list_query(call.query), known, "file"))
    return reply_objects.render_page(
        [reply_objects.render_message_file(message, file_id) for file_id in page], has_more=has_more
    )


def get_message_file(call: ApiCall) -> JsonObject:
    """Return a file of a message."""
    message = find_message(call)
    file_id = call.path["file_id"]
    if file_id not in [attachment.file_id for attachment in message.attachments]:
        raise not_found("file", file_id)
    return reply_objects.render_message_file(message, file_id)

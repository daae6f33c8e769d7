"""The operations on threads."""

from dataclasses import replace

from gateway.emulator.bodies import reply_objects
from gateway.emulator.bodies.api_errors import session_key_needed
from gateway.emulator.bodies.thread_bodies import (
    MessageInput,
    ModifyMetadata,
    ModifyThreadV2,
    ThreadInput,
    ThreadV1,
    ThreadV2,
)
from gateway.emulator.objects import JsonObject, Message, Thread
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.lookups import find_page, find_thread


def create_thread(call: ApiCall) -> JsonObject:
    """Create a thread, with the messages of the body."""
    body = call.parse_body(ThreadV1) if call.version == "v1" else call.parse_body(ThreadV2)
    return reply_objects.render_thread(add_thread(call, body), call.version)


def get_thread(call: ApiCall) -> JsonObject:
    """Return a thread."""
    return reply_objects.render_thread(find_thread(call), call.version)


def modify_thread(call: ApiCall) -> JsonObject:
    """Change a thread's metadata or tool resources. Fields that the body omits stay as they are."""
    body = call.parse_body(ModifyMetadata) if call.version == "v1" else call.parse_body(ModifyThreadV2)
    thread = find_thread(call)
    if body.metadata is not None:
        thread = replace(thread, metadata=body.metadata)
    if isinstance(body, ModifyThreadV2) and body.tool_resources is not None:
        thread = replace(thread, tool_resources=body.tool_resources.to_stored(call.store.new_id("vs")))
    call.store.threads.replace(call.partition, thread)
    return reply_objects.render_thread(thread, call.version)


def delete_thread(call: ApiCall) -> JsonObject:
    """Delete a thread with its messages, runs and steps, even while a run is active (assumed)."""
    thread = find_thread(call)
    call.store.threads.delete(call.partition, thread.id)
    return reply_objects.render_deleted("thread", thread.id)


def list_threads(call: ApiCall) -> JsonObject:
    """Return a page of the threads on Foundry. Elsewhere, refuse: the API lists them for its own web pages only."""
    if call.server != "foundry":
        raise session_key_needed()
    threads, has_more = find_page(call, call.store.threads, None, "thread", "thread")
    return reply_objects.render_page(
        [reply_objects.render_thread(one, call.version) for one in threads], has_more=has_more
    )


def add_thread(call: ApiCall, body: ThreadInput) -> Thread:
    """Store and return a new thread, and store its first messages."""
    resources = body.tool_resources.to_stored(call.store.new_id("vs")) if body.tool_resources is not None else {}
    thread = Thread(
        id=call.store.new_id("thread"),
        created_at=call.whole_second,
        metadata=body.metadata,
        tool_resources=resources,
    )
    call.store.threads.add(call.partition, thread)
    for message in body.messages:
        add_message(call, thread.id, message)
    return thread


def add_message(call: ApiCall, thread_id: str, body: MessageInput) -> Message:
    """Store and return a client's message."""
    message = Message(
        id=call.store.new_id("msg"),
        thread_id=thread_id,
        created_at=call.whole_second,
        role=body.role,
        content=body.content_parts(),
        attachments=body.stored_attachments(),
        metadata=body.metadata,
        completed_at=call.whole_second,
    )
    call.store.messages.add(call.partition, message)
    return message

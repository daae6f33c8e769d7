"""The operations on threads."""

from dataclasses import replace

from gateway.emulator.bodies import reply_objects
from gateway.emulator.bodies.api_errors import session_key_needed
from gateway.emulator.bodies.parse import parse
from gateway.emulator.bodies.thread_bodies import (
    MessageInput,
    ModifyMetadata,
    ModifyThreadV2,
    ThreadInput,
    ThreadV1,
    ThreadV2,
)
from gateway.emulator.objects import JsonObject, Message, Thread
from gateway.emulator.operations.call import ApiCall
from gateway.emulator.operations.lookups import find_thread


def create_thread(call: ApiCall) -> JsonObject:
    """Make a thread, with messages if any are given."""
    body = parse(ThreadV1, call.body) if call.version == "v1" else parse(ThreadV2, call.body)
    return reply_objects.thread(add_thread(call, body), call.version)


def get_thread(call: ApiCall) -> JsonObject:
    """Return a thread."""
    return reply_objects.thread(find_thread(call), call.version)


def modify_thread(call: ApiCall) -> JsonObject:
    """Change a thread's metadata or tool resources; what the body leaves out stays."""
    body = parse(ModifyMetadata, call.body) if call.version == "v1" else parse(ModifyThreadV2, call.body)
    thread = find_thread(call)
    if body.metadata is not None:
        thread = replace(thread, metadata=body.metadata)
    if isinstance(body, ModifyThreadV2) and body.tool_resources is not None:
        thread = replace(thread, tool_resources=body.tool_resources.stored(call.store.mint("vs")))
    call.store.threads.replace(call.partition, thread)
    return reply_objects.thread(thread, call.version)


def delete_thread(call: ApiCall) -> JsonObject:
    """Delete a thread with its messages, runs and steps, even while a run is active (assumed)."""
    thread = find_thread(call)
    call.store.threads.delete(call.partition, thread.id)
    return reply_objects.deleted("thread", thread.id)


def list_threads(call: ApiCall) -> JsonObject:  # noqa: ARG001 - every operation takes its call
    """Refuse: the API lists threads for its own web pages only."""
    raise session_key_needed()


def add_thread(call: ApiCall, body: ThreadInput) -> Thread:
    """Keep a new thread and its first messages; return the thread."""
    resources = body.tool_resources.stored(call.store.mint("vs")) if body.tool_resources is not None else {}
    thread = Thread(
        id=call.store.mint("thread"),
        created_at=call.second,
        metadata=body.metadata,
        tool_resources=resources,
    )
    call.store.threads.add(call.partition, thread)
    for message in body.messages:
        add_message(call, thread.id, message)
    return thread


def add_message(call: ApiCall, thread_id: str, body: MessageInput) -> Message:
    """Keep and return a client's message."""
    message = Message(
        id=call.store.mint("msg"),
        thread_id=thread_id,
        created_at=call.second,
        role=body.role,
        content=body.parts(),
        attachments=body.attachments_stored(),
        metadata=body.metadata,
        completed_at=call.second,
    )
    call.store.messages.add(call.partition, message)
    return message

"""Stored responses: their progress, the items that they read, and the items that they leave in a conversation."""

from dataclasses import replace

from gateway.emulator.bodies.output_items import output_items
from gateway.emulator.objects import JsonObject
from gateway.emulator.response_objects import ConversationItem, Response, queued_run
from gateway.emulator.runs.progress import Progress
from gateway.emulator.state.store import Store


def progress_of(response: Response) -> Progress:
    """Return the progress of a response."""
    return Progress(
        response.run,
        {step.id: step for step in response.steps},
        {message.id: message for message in response.messages},
    )


def with_progress(response: Response, progress: Progress) -> Response:
    """Return the response with this progress."""
    return replace(
        response,
        run=progress.run,
        steps=tuple(progress.steps.values()),
        messages=tuple(progress.messages.values()),
    )


def first_progress(response: Response) -> Progress:
    """Return the progress of a response at its creation, from which its timeline leads to any later one."""
    return Progress(queued_run(response.run), {}, {})


def store_response_progress(store: Store, partition: str, after: Progress) -> None:
    """Store the progress of a response. At its end, its items become those of its conversation.

    That the items of a failed or cancelled response stay too, as far as they came, is assumed.
    """
    response = store.responses.get(partition, after.run.id)
    if response is None:
        return
    changed = with_progress(response, after)
    store.responses.replace(partition, changed)
    if after.run.is_terminal and not response.run.is_terminal:
        _leave_items(store, partition, changed)


def add_items(store: Store, partition: str, conversation_id: str, items: list[JsonObject], created_at: int) -> None:
    """Add items with their ids to the end of a conversation."""
    for item in items:
        added = ConversationItem(id=item["id"], conversation_id=conversation_id, created_at=created_at, body=item)
        store.items.add(partition, added)


def context_items(store: Store, partition: str, response: Response) -> list[JsonObject]:
    """Return the items that a response reads, oldest first: those before it, and its own input."""
    if response.conversation_id is not None:
        before = [item.body for item in store.items.list_all(partition, response.conversation_id)]
    else:
        before = _earlier_items(store, partition, response.previous_response_id)
    return [*before, *response.input]


def _earlier_items(store: Store, partition: str, response_id: str | None) -> list[JsonObject]:
    """Return the items of a chain of responses. One that was deleted meanwhile ends the chain (assumed)."""
    chain: list[JsonObject] = []
    while response_id is not None:
        response = store.responses.get(partition, response_id)
        if response is None:
            break
        chain = [*response.input, *output_items(response), *chain]
        if response.conversation_id is not None:
            break
        response_id = response.previous_response_id
    return chain


def _leave_items(store: Store, partition: str, response: Response) -> None:
    conversation_id, run = response.conversation_id, response.run
    if conversation_id is None or store.conversations.get(partition, conversation_id) is None:
        return
    ended_at = run.completed_at or run.failed_at or run.cancelled_at or response.created_at
    add_items(store, partition, conversation_id, [*response.input, *output_items(response)], ended_at)

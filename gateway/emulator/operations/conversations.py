"""The operations on conversations and their items."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.emulator.bodies.item_bodies import InputItem, stored_items
from gateway.emulator.bodies.list_query import parse_list_query, slice_ids
from gateway.emulator.bodies.output_items import shown_item
from gateway.emulator.bodies.reply_objects import render_page
from gateway.emulator.bodies.reply_responses import render_conversation, render_deleted_conversation
from gateway.emulator.bodies.response_bodies import CreateConversation, CreateItems, UpdateConversation
from gateway.emulator.bodies.response_errors import conversation_locked, nothing_with_id
from gateway.emulator.objects import JsonObject
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.lookups import find_page
from gateway.emulator.response_objects import Conversation, ConversationItem
from gateway.emulator.state.response_state import add_items
from gateway.emulator.state.run_timelines import apply_due_events


def create_conversation(call: ApiCall) -> JsonObject:
    """Create a conversation, with the items of the body."""
    body = call.parse_body(CreateConversation)
    conversation = Conversation(id=call.store.new_id("conv"), created_at=call.whole_second, metadata=body.metadata)
    call.store.conversations.add(call.partition, conversation)
    _add_input_items(call, conversation.id, body.items or ())
    return render_conversation(conversation)


def get_conversation(call: ApiCall) -> JsonObject:
    """Return a conversation."""
    return render_conversation(_conversation_of_path(call))


def update_conversation(call: ApiCall) -> JsonObject:
    """Replace a conversation's metadata."""
    body = call.parse_body(UpdateConversation)
    conversation = replace(_conversation_of_path(call), metadata=body.metadata)
    call.store.conversations.replace(call.partition, conversation)
    return render_conversation(conversation)


def delete_conversation(call: ApiCall) -> JsonObject:
    """Delete a conversation with its items. Its responses stay."""
    conversation = _conversation_of_path(call)
    call.store.conversations.delete(call.partition, conversation.id)
    return render_deleted_conversation(conversation.id)


def list_conversations(call: ApiCall) -> JsonObject:
    """Return a page of the conversations (Foundry only). Which agent wrote in them is not known here."""
    conversations, has_more = find_page(
        call, call.store.conversations, None, "conv", "Conversation", refuse=nothing_with_id
    )
    return render_page([render_conversation(one) for one in conversations], has_more=has_more)


def create_items(call: ApiCall) -> JsonObject:
    """Add items to a conversation that has no response under way."""
    body = call.parse_body(CreateItems)
    conversation = _conversation_of_path(call)
    check_unlocked(call, conversation.id)
    added = _add_input_items(call, conversation.id, body.items)
    return render_page([shown_item(item, call.includes) for item in added], has_more=False)


def list_items(call: ApiCall) -> JsonObject:
    """Return a page of a conversation's items: on Foundry those of one type, if the query has an `item_type`."""
    conversation = _conversation_of_path(call)
    if call.server == "openai":
        call = replace(call, query={name: value for name, value in call.query.items() if name != "before"})
    elif (item_type := call.query.get("item_type")) is not None:
        return _items_of_type(call, conversation, item_type)
    items, has_more = find_page(call, call.store.items, conversation.id, "", "Item", refuse=nothing_with_id)
    return render_page([shown_item(item.body, call.includes) for item in items], has_more=has_more)


def get_item(call: ApiCall) -> JsonObject:
    """Return an item of a conversation."""
    return shown_item(_item_of_path(call).body, call.includes)


def delete_item(call: ApiCall) -> JsonObject:
    """Delete an item, and return its conversation."""
    item = _item_of_path(call)
    call.store.items.delete(call.partition, item.id)
    return render_conversation(_conversation_of_path(call))


def find_conversation(call: ApiCall, conversation_id: str) -> Conversation:
    """Return the conversation with this id, after the due events of its responses are applied."""
    conversation = call.store.conversations.get(call.partition, conversation_id)
    if conversation is None:
        raise nothing_with_id("Conversation", conversation_id)
    apply_due_events(call.store, call.partition, conversation_id, call.now)
    return conversation


def check_unlocked(call: ApiCall, conversation_id: str) -> None:
    """Refuse a write to a conversation that has a response under way, unless this server has no locks."""
    if not call.ignores_locks and call.store.active_run_id(call.partition, conversation_id) is not None:
        raise conversation_locked()


def input_items(call: ApiCall, items: tuple[InputItem, ...], context: Sequence[JsonObject] = ()) -> list[JsonObject]:
    """Return the items of a body in their stored form. A reference names an item of the context, or any stored one."""
    known = {item["id"]: item for item in context}

    def find_item(item_id: str) -> JsonObject:
        stored = call.store.items.get(call.partition, item_id)
        found = known.get(item_id) or (None if stored is None else stored.body)
        if found is None:
            raise nothing_with_id("Item", item_id)
        return found

    return stored_items(items, call.store.new_id, find_item)


def slice_items(call: ApiCall, items: list[JsonObject]) -> JsonObject:
    """Return the page of a short list of items, oldest first, that the query string asks for."""
    by_id = {item["id"]: item for item in items}
    query = parse_list_query(call.query)
    for cursor in (query.after, query.before):
        if cursor is not None and cursor not in by_id:
            raise nothing_with_id("Item", cursor)
    page, has_more = slice_ids(list(by_id), query)
    return render_page([shown_item(by_id[one], call.includes) for one in page], has_more=has_more)


def _items_of_type(call: ApiCall, conversation: Conversation, item_type: str) -> JsonObject:
    items = [item.body for item in call.store.items.list_all(call.partition, conversation.id)]
    return slice_items(call, [item for item in items if item["type"] == item_type])


def _conversation_of_path(call: ApiCall) -> Conversation:
    return find_conversation(call, call.path_id("conversation_id"))


def _item_of_path(call: ApiCall) -> ConversationItem:
    conversation = _conversation_of_path(call)
    item_id = call.path["item_id"]
    item = call.store.items.get(call.partition, item_id, parent_id=conversation.id)
    if item is None:
        raise nothing_with_id("Item", item_id)
    return item


def _add_input_items(call: ApiCall, conversation_id: str, items: tuple[InputItem, ...]) -> list[JsonObject]:
    added = input_items(call, items)
    add_items(call.store, call.partition, conversation_id, added, call.whole_second)
    return added

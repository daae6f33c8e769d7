"""The operations on conversations, their items and responses: the REST call and the reader of its response. Pure.

Keys are those of the port, where a thread is a conversation and a message one of its items.

Source: operation ids, methods and paths of the specification of conversations and responses; the lists of Azure's v1
API, which has them beside the specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from gateway.upstream.reply_readers import (
    CreatedReader,
    DeletionReader,
    ObjectReader,
    PageReader,
    ReplyReader,
    UnexpectedReplyError,
)
from gateway.upstream.responses.response_requests import MAX_ITEMS
from gateway.upstream.responses.response_wire import ListedItemObject, ResponseObject
from gateway.upstream.responses.run_chains import conversation_id_of
from gateway.upstream.rest_operations import ReadOperation, WriteOperation
from gateway.upstream.rest_requests import Route
from schema.contract.keys import MessageKey, ThreadKey
from schema.contract.paging import Window
from schema.contract.wire import Page, ThreadObject

_THREAD = "/conversations/{thread_id}"
_ITEMS = f"{_THREAD}/items"
_ITEM = f"{_ITEMS}/{{message_id}}"
_RESPONSE = "/responses/{response_id}"
_NEW_ITEMS = Window(MAX_ITEMS, "asc")


class ItemPageKey(NamedTuple):
    """A page of the items of a conversation. `item_type` filters them, on Azure's servers alone."""

    thread_id: str
    item_type: str | None
    window: Window


class OneResponseKey(NamedTuple):
    """A response."""

    response_id: str


class ResponsePageKey(NamedTuple):
    """A page of the responses of a conversation, which Azure's servers alone list."""

    conversation_id: str
    window: Window


class ConversationPageKey(NamedTuple):
    """A page of all conversations of an account, which Azure's servers alone list."""

    window: Window


@dataclass(frozen=True)
class _ThreadReader:
    """Reads a conversation as a thread."""

    reader: ReplyReader[ThreadKey, ThreadObject] | ReplyReader[None, ThreadObject]

    def read_result(self, key: ThreadKey | None, body: bytes) -> ThreadObject:
        return _to_thread(self.reader.read_result(key, body))  # type: ignore[arg-type]


class _ConversationPageReader:
    """Reads a page of conversations as threads."""

    _reader = PageReader(ThreadObject, "conversation")

    def read_result(self, key: ConversationPageKey, body: bytes) -> Page[ThreadObject]:
        page = self._reader.read_result(key, body)
        return msgspec.structs.replace(page, data=[_to_thread(one) for one in page.data])


class _NewItemsReader:
    """Reads the items that were added to a conversation."""

    _reader = PageReader(ListedItemObject, "item")

    def read_result(self, key: ThreadKey, body: bytes) -> list[ListedItemObject]:
        return self._reader.read_result(ItemPageKey(key.thread_id, None, _NEW_ITEMS), body).data


class _DeletedItemReader:
    """Reads the response to the deletion of an item: its conversation, or on some servers the item."""

    _reader = DeletionReader("message")

    def read_result(self, key: MessageKey, body: bytes) -> None:
        try:
            self._reader.read_result(key, body)
        except UnexpectedReplyError:
            self._reader.read_result(key[:1], body)


class _NewResponseReader:
    """Reads a response that was just created in a conversation. Some servers do not say in which."""

    _reader = CreatedReader(ResponseObject, "response")

    def read_result(self, key: ThreadKey, body: bytes) -> ResponseObject:
        response = self._reader.read_result(None, body)
        if conversation_id_of(response) not in {None, key.thread_id}:
            raise UnexpectedReplyError(
                f"a response in the conversation '{key.thread_id}'", f"one in '{conversation_id_of(response)}'"
            )
        return response


GET_CONVERSATION: ReadOperation[ThreadKey, ThreadObject] = ReadOperation(
    Route("getConversation", _THREAD).object_request, _ThreadReader(ObjectReader(ThreadObject, "conversation"))
)
LIST_CONVERSATIONS: ReadOperation[ConversationPageKey, Page[ThreadObject]] = ReadOperation(
    Route("listConversations", "/conversations").page_request, _ConversationPageReader()
)
CREATE_CONVERSATION: WriteOperation[None, ThreadObject] = WriteOperation(
    Route("createConversation", "/conversations", "POST").object_request,
    _ThreadReader(CreatedReader(ThreadObject, "conversation")),
)
UPDATE_CONVERSATION: WriteOperation[ThreadKey, ThreadObject] = WriteOperation(
    Route("updateConversation", _THREAD, "POST").object_request,
    _ThreadReader(ObjectReader(ThreadObject, "conversation")),
)
DELETE_CONVERSATION: WriteOperation[ThreadKey, None] = WriteOperation(
    Route("deleteConversation", _THREAD, "DELETE").object_request, DeletionReader("thread")
)

LIST_ITEMS: ReadOperation[ItemPageKey, Page[ListedItemObject]] = ReadOperation(
    Route("listConversationItems", _ITEMS, filters=("item_type",)).page_request, PageReader(ListedItemObject, "item")
)
GET_ITEM: ReadOperation[MessageKey, ListedItemObject] = ReadOperation(
    Route("getConversationItem", _ITEM).object_request, ObjectReader(ListedItemObject, "item")
)
CREATE_ITEMS: WriteOperation[ThreadKey, list[ListedItemObject]] = WriteOperation(
    Route("createConversationItems", _ITEMS, "POST").object_request, _NewItemsReader()
)
DELETE_ITEM: WriteOperation[MessageKey, None] = WriteOperation(
    Route("deleteConversationItem", _ITEM, "DELETE").object_request, _DeletedItemReader()
)

GET_RESPONSE: ReadOperation[OneResponseKey, ResponseObject] = ReadOperation(
    Route("getResponse", _RESPONSE).object_request, ObjectReader(ResponseObject, "response")
)
LIST_RESPONSES: ReadOperation[ResponsePageKey, Page[ResponseObject]] = ReadOperation(
    Route("listResponses", "/responses", filters=("conversation_id",)).page_request,
    PageReader(ResponseObject, "response"),
)
CREATE_RESPONSE: WriteOperation[ThreadKey, ResponseObject] = WriteOperation(
    Route("createResponse", "/responses", "POST").object_request, _NewResponseReader()
)
CANCEL_RESPONSE: WriteOperation[OneResponseKey, ResponseObject] = WriteOperation(
    Route("cancelResponse", f"{_RESPONSE}/cancel", "POST").object_request, ObjectReader(ResponseObject, "response")
)
DELETE_RESPONSE: WriteOperation[OneResponseKey, None] = WriteOperation(
    Route("deleteResponse", _RESPONSE, "DELETE").object_request, DeletionReader("response")
)


def _to_thread(conversation: ThreadObject) -> ThreadObject:
    return msgspec.structs.replace(conversation, object="thread")

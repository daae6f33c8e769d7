"""Writes of threads and messages, as conversations and their items."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TypeVar

import msgspec

from gateway.upstream.responses.bound_upstream import BoundUpstream
from gateway.upstream.responses.chain_locks import ChainLocks
from gateway.upstream.responses.conversation_operations import (
    CREATE_CONVERSATION,
    CREATE_ITEMS,
    DELETE_CONVERSATION,
    DELETE_ITEM,
    DELETE_RESPONSE,
    GET_CONVERSATION,
    UPDATE_CONVERSATION,
    OneResponseKey,
)
from gateway.upstream.responses.kept_records import ItemRecord
from gateway.upstream.responses.response_requests import (
    conversation_from_thread,
    item_batches,
    item_from_message,
    items_from_thread,
    metadata_from_update,
)
from gateway.upstream.responses.run_chains import message_from_item
from gateway.upstream.rest_operations import WriteOperation
from gateway.upstream.retry import MAY_HAVE_TAKEN_PLACE
from schema.contract.bodies import MessageBody, ThreadBody, ThreadUpdateBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import MessageKey, ThreadKey
from schema.contract.paging import UPSTREAM_PAGE_SIZE, Window
from schema.contract.wire import MessageObject, ThreadObject

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class ThreadWrites:
    """Sends the writes of threads and messages."""

    def __init__(self, upstream: BoundUpstream, locks: ChainLocks) -> None:
        self._upstream = upstream
        self._locks = locks

    async def create_thread(self, body: ThreadBody, path: str = "") -> ThreadObject:
        """Create a thread with its first messages. If the later ones are refused, it is deleted again.

        `path` is that of the thread in what its caller has sent.
        """
        items = items_from_thread(body, path)
        first, *further = item_batches(items)
        thread = await self._send(CREATE_CONVERSATION, None, conversation_from_thread(body, first))
        try:
            for batch in further:
                await self._send(CREATE_ITEMS, ThreadKey(thread.id), {"items": batch})
        except GatewayError as error:
            raise await self.undo_create(thread.id, error) from None
        except BaseException:
            await asyncio.shield(self._delete_conversation(thread.id))
            raise
        self._upstream.prove(thread.id)
        return thread

    async def undo_create(self, thread_id: str, error: GatewayError) -> GatewayError:
        """Delete a thread that an error has left unfinished. Returns the error, which says whether that was done."""
        if not await self._delete_conversation(thread_id):
            return error
        message = f"{error.message.removesuffix(MAY_HAVE_TAKEN_PLACE).rstrip()} The thread was deleted again."
        return GatewayError(
            error.code,
            message,
            retry_after_ms=error.retry_after_ms,
            upstream_request_id=error.upstream_request_id,
            argument=error.argument,
        )

    async def update_thread(self, key: ThreadKey, body: ThreadUpdateBody) -> ThreadObject:
        """Change the metadata of a thread."""
        metadata = metadata_from_update(body)
        if metadata is not None:
            return await self._send(UPDATE_CONVERSATION, key, {"metadata": metadata})
        (thread,) = await self._upstream.calls.read_all(GET_CONVERSATION, [key])
        if isinstance(thread, GatewayError):
            raise thread
        return thread

    async def delete_thread(self, key: ThreadKey) -> None:
        """Delete a thread, then the responses of its runs, then what is kept of it.

        If an earlier deletion broke off behind its first part, the rest is done and the thread is not found. Only the
        gateway's own key may do that, since an unknown thread says nothing about who may delete it.
        """
        missing = None
        try:
            await self._send(DELETE_CONVERSATION, key, None)
        except GatewayError as error:
            if error.code is not ErrorCode.NOT_FOUND or not self._upstream.is_trusted:
                raise
            missing = error
        self._upstream.proofs.remove(self._upstream.caller, key.thread_id)
        with contextlib.suppress(GatewayError):
            await self._delete_responses(key.thread_id)
            await self._upstream.kept.chains.remove_thread(key.thread_id)
        if missing is not None:
            raise missing

    async def create_message(self, key: ThreadKey, body: MessageBody) -> MessageObject:
        """Add a message to a thread that has no active run.

        Raises:
            GatewayError: `ACTIVE_RUN`, or the upstream refuses it.
        """
        item = item_from_message(body)
        await self._locks.check_free(key.thread_id)
        created = await self._send(CREATE_ITEMS, key, {"items": [item]})
        if not created:
            raise GatewayError(
                ErrorCode.UPSTREAM_INVALID_RESPONSE,
                "Expected the item that was added, got none; the write has taken place.",
                retryable=False,
            )
        now = int(time.time())
        with contextlib.suppress(GatewayError):
            await self._upstream.kept.chains.add_items(key.thread_id, {created[0].id: ItemRecord(now)})
        return message_from_item(created[0], now)

    async def delete_message(self, key: MessageKey) -> None:
        """Delete a message."""
        await self._send(DELETE_ITEM, key, None)

    async def _delete_conversation(self, thread_id: str) -> bool:
        try:
            await self._send(DELETE_CONVERSATION, ThreadKey(thread_id), None)
        except GatewayError:
            return False
        return True

    async def _delete_responses(self, thread_id: str) -> None:
        """Delete the responses of all runs of a thread. One that cannot be deleted stays."""
        after: str | None = None
        while True:
            window = Window(UPSTREAM_PAGE_SIZE, "asc", after)
            page = await self._upstream.kept.chains.list_chains(thread_id, window)
            if page is None or not page.data:
                return
            ids = [response_id for chain in page.data for response_id in chain.response_ids]
            await asyncio.gather(*map(self._delete_response, ids))
            if not page.has_more:
                return
            after = page.data[-1].run_id

    async def _delete_response(self, response_id: str) -> None:
        with contextlib.suppress(GatewayError):
            await self._send(DELETE_RESPONSE, OneResponseKey(response_id), None)

    async def _send(self, operation: WriteOperation[KeyT, ValueT], key: KeyT, body: object) -> ValueT:
        encoded = None if body is None else msgspec.json.encode(body)
        return await self._upstream.calls.send_write(operation, key, encoded)

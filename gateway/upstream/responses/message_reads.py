"""Messages, read as the items of conversations.

Items have neither times nor runs. Both are kept in the ledger: the run of a message since the run was read, its time
since the message was first seen. The first sight of a message that is older than one that was seen before is no later
than that one's.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping, Sequence

import msgspec

from gateway.upstream.responses.bound_upstream import BoundUpstream, not_found
from gateway.upstream.responses.chain_reads import ChainReads, gather_pages
from gateway.upstream.responses.conversation_operations import GET_ITEM, LIST_ITEMS, ItemPageKey
from gateway.upstream.responses.kept_records import ItemRecord
from gateway.upstream.responses.loaded_chain import cut_window
from gateway.upstream.responses.response_wire import ListedItemObject
from gateway.upstream.responses.run_chains import message_from_item
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import MessageKey, RunKey
from schema.contract.kinds import MessagePageKey
from schema.contract.paging import MAX_FURTHER_PAGES, UPSTREAM_PAGE_SIZE, Window
from schema.contract.ports import OnResult, Results
from schema.contract.wire import MessageObject, Page

# OpenAI's ids of items begin with the hexadecimal Unix time, in seconds.
_TIME_IN_ID = re.compile(r"[a-z]+_([0-9a-f]{8})[0-9a-f]{16,}\Z")
_EARLIEST = 1_700_000_000
"""A Unix time before the first item of any conversation."""


class MessageReads:
    """Reads messages, with the runs that wrote them."""

    def __init__(self, upstream: BoundUpstream, chains: ChainReads) -> None:
        self._upstream = upstream
        self._chains = chains

    async def get_messages(self, keys: Sequence[MessageKey]) -> Results[MessageObject]:
        """Get messages. An item that is no message is not found."""
        reads = await self._upstream.calls.read_all(GET_ITEM, keys)
        items = dict(zip(keys, reads, strict=True))
        messages: dict[MessageKey, MessageObject | GatewayError] = {}
        for thread_id in dict.fromkeys(key.thread_id for key in items):
            found = [
                item
                for key, item in items.items()
                if key.thread_id == thread_id and not isinstance(item, GatewayError) and item.type == "message"
            ]
            made = await self._make_messages(thread_id, found)
            for index, item in enumerate(found):
                messages[MessageKey(thread_id, item.id)] = made if isinstance(made, GatewayError) else made[index]
        results: list[MessageObject | GatewayError] = []
        for key in keys:
            read = items[key]
            missing = read if isinstance(read, GatewayError) else not_found("message", key.message_id)
            results.append(messages.get(key, missing))
        return results

    async def list_messages(
        self, keys: Sequence[MessagePageKey], on_result: OnResult[MessagePageKey, Page[MessageObject]] | None = None
    ) -> Results[Page[MessageObject]]:
        """List the messages of threads, or those that one run wrote."""
        return await gather_pages(self._list_page, keys, on_result)

    async def _list_page(self, key: MessagePageKey) -> Page[MessageObject] | GatewayError:
        if key.run_id is not None:
            return await self._list_of_run(RunKey(key.thread_id, key.run_id), key.window)
        page = await self._read_items(key)
        if isinstance(page, GatewayError):
            return page
        oldest_first = page.data[::-1] if key.window.backwards else page.data
        messages = await self._make_messages(key.thread_id, oldest_first)
        if isinstance(messages, GatewayError):
            return messages
        return Page(messages[::-1] if key.window.backwards else messages, page.has_more, page.read_until)

    async def _read_items(self, key: MessagePageKey) -> Page[ListedItemObject] | GatewayError:
        """Read the items that are messages. A page with few of them is read on, within a bound."""
        thread_id, _, (limit, order, after) = key
        item_type = "message" if self._upstream.dialect.filters_items else None
        size = limit if item_type else min(2 * limit, UPSTREAM_PAGE_SIZE)
        messages: list[ListedItemObject] = []
        further_pages = MAX_FURTHER_PAGES
        while True:
            item_key = ItemPageKey(thread_id, item_type, Window(size, order, after))
            (page,) = await self._upstream.calls.read_all(LIST_ITEMS, [item_key])
            if isinstance(page, GatewayError):
                return page
            self._upstream.prove(thread_id)
            messages += [item for item in page.data if item.type == "message"]
            if len(messages) >= limit:
                return Page(messages[:limit], page.has_more or len(messages) > limit)
            if not page.has_more or not page.data:
                return Page(messages)
            after = page.data[-1].id
            if not further_pages:
                return Page(messages, has_more=True, read_until=after)
            further_pages -= 1

    async def _list_of_run(self, key: RunKey, window: Window) -> Page[MessageObject] | GatewayError:
        """List the messages that a run wrote, as its responses have them. One that does not exist wrote none."""
        chain = (await self._chains.load([key]))[key]
        if isinstance(chain, GatewayError):
            if chain.code is not ErrorCode.NOT_FOUND:
                return chain
            return await self._upstream.check_reachable(key.thread_id, must_exist=True) or Page([])
        try:
            kept = await self._upstream.kept.chains.find_items(key.thread_id, list(chain.item_records()))
        except GatewayError as error:
            return error
        return cut_window(chain.messages(kept), window) or not_found("message", window.after or "")

    async def _make_messages(
        self, thread_id: str, items: Sequence[ListedItemObject]
    ) -> list[MessageObject] | GatewayError:
        """Make messages of items, oldest first."""
        try:
            records = await self._find_records(thread_id, items)
            runs = {record.run_id for record in records.values() if record.run_id is not None}
            chains = await self._upstream.kept.chains.find_chains(sorted(runs)) if runs else {}
        except GatewayError as error:
            return error
        messages = []
        for item in items:
            record = records[item.id]
            message = message_from_item(item, record.created_at, record.run_id)
            chain = chains.get(record.run_id or "")
            messages.append(message if chain is None else _with_assistant(message, chain.assistant_id))
        return messages

    async def _find_records(self, thread_id: str, items: Sequence[ListedItemObject]) -> Mapping[str, ItemRecord]:
        """Find the records of items, and make those of items that were not seen before.

        Raises:
            GatewayError: The ledger does not answer.
        """
        chains = self._upstream.kept.chains
        known = dict(await chains.find_items(thread_id, [item.id for item in items]))
        written = {item.id for item in items if item.id not in known and item.role == "assistant"}
        new: dict[str, ItemRecord] = {}
        if written:
            for chain in await self._chains.load_unsettled(thread_id):
                new |= {item_id: record for item_id, record in chain.item_records().items() if item_id in written}
        new |= estimate_times(items, {**known, **new}, time.time())
        if new:
            # Whoever sees it next will say another time, and no more.
            with contextlib.suppress(GatewayError):
                await chains.add_items(thread_id, new)
        return {**known, **new}


def estimate_times(
    items: Sequence[ListedItemObject], known: Mapping[str, ItemRecord], now_seconds: float
) -> dict[str, ItemRecord]:
    """Return records for unknown items, oldest first: with the item's own time or that in its id, else with now.

    No item is later than those behind it.
    """
    estimated: dict[str, ItemRecord] = {}
    latest = int(now_seconds)
    for item in reversed(items):
        record = known.get(item.id)
        if record is None:
            latest = min(latest, int(item.created_at) or _time_in_id(item.id) or latest)
            estimated[item.id] = ItemRecord(latest)
        elif record.created_at:
            latest = min(latest, record.created_at)
    return estimated


def _time_in_id(item_id: str) -> int | None:
    found = _TIME_IN_ID.match(item_id)
    seconds = int(found[1], 16) if found else 0
    return seconds if seconds >= _EARLIEST else None


def _with_assistant(message: MessageObject, assistant_id: str | None) -> MessageObject:
    return msgspec.structs.replace(message, assistant_id=assistant_id)

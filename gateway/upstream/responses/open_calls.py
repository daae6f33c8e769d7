"""The answers to open calls of ended runs: a conversation takes no further response while a call is open."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.upstream.responses.bound_upstream import BoundUpstream
from gateway.upstream.responses.conversation_operations import CREATE_ITEMS, LIST_ITEMS, ItemPageKey
from gateway.upstream.responses.item_parts import awaits_client, id_of_call
from gateway.upstream.responses.loaded_chain import LoadedChain
from gateway.upstream.responses.response_requests import item_batches, items_for_open_calls
from gateway.upstream.responses.response_wire import ItemObject
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.paging import UPSTREAM_PAGE_SIZE, Window

_NEWEST = Window(UPSTREAM_PAGE_SIZE, "desc")
_REFUSALS = frozenset({ErrorCode.BAD_USER_INPUT, ErrorCode.UPSTREAM_REFUSED, ErrorCode.WRONG_STATE})


async def answer_open_calls(upstream: BoundUpstream, chain: LoadedChain) -> None:
    """Answer the open calls of a run's last response.

    Raises:
        GatewayError: The upstream does not take the answers.
    """
    await _answer(upstream, chain.thread_id, chain.open_items)


async def answer_listed_calls(upstream: BoundUpstream, thread_id: str) -> bool:
    """Answer the calls among the newest items of a conversation that nobody has answered.

    For the calls of a response that the server has forgotten: its items stay.

    Returns:
        Whether there was any.

    Raises:
        GatewayError: The upstream does not list the items, or does not take the answers.
    """
    (page,) = await upstream.calls.read_all(LIST_ITEMS, [ItemPageKey(thread_id, None, _NEWEST)])
    if isinstance(page, GatewayError):
        raise page
    answered = {item.approval_request_id or item.call_id for item in page.data if not awaits_client(item)}
    calls = [item for item in reversed(page.data) if awaits_client(item) and id_of_call(item) not in answered]
    await _answer(upstream, thread_id, calls)
    return bool(calls)


async def answer_asked_in_vain(upstream: BoundUpstream, chain: LoadedChain) -> None:
    """Answer the calls that an ended run may have left open. A server refuses that where it has kept none.

    Raises:
        GatewayError: The upstream does not answer.
    """
    try:
        await answer_open_calls(upstream, chain)
    except GatewayError as error:
        if error.code not in _REFUSALS:
            raise


async def _answer(upstream: BoundUpstream, thread_id: str, calls: Sequence[ItemObject]) -> None:
    if items := items_for_open_calls(calls):
        for batch in item_batches(items):
            body = msgspec.json.encode({"items": batch})
            await upstream.calls.send_write(CREATE_ITEMS, ThreadKey(thread_id), body)

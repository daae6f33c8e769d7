"""The answers to open calls of ended runs: a conversation takes no further response while a call is open."""

from __future__ import annotations

import msgspec

from gateway.upstream.responses.bound_upstream import BoundUpstream
from gateway.upstream.responses.conversation_operations import CREATE_ITEMS
from gateway.upstream.responses.loaded_chain import LoadedChain
from gateway.upstream.responses.response_requests import item_batches, items_for_open_calls
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey

_REFUSALS = frozenset({ErrorCode.BAD_USER_INPUT, ErrorCode.UPSTREAM_REFUSED, ErrorCode.WRONG_STATE})


async def answer_open_calls(upstream: BoundUpstream, chain: LoadedChain) -> None:
    """Answer the open calls of a run's last response.

    Raises:
        GatewayError: The upstream does not take the answers.
    """
    if items := items_for_open_calls(chain.open_items):
        for batch in item_batches(items):
            body = msgspec.json.encode({"items": batch})
            await upstream.calls.send_write(CREATE_ITEMS, ThreadKey(chain.thread_id), body)


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

"""Responses in the foreground whose reader was killed: the server forgets them, and shows them as going on for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.upstream.responses.kept_records import ChainRecord, KeptRecords

LOST, CANCELLED = "failed", "cancelled"

_CANCELLING = "cancelling"
_GOING_ON = frozenset({"queued", "in_progress", _CANCELLING})


def is_foreground(chain: ChainRecord) -> bool:
    """Return whether the responses of a chain end with their reader."""
    started: Mapping[str, Any] = msgspec.json.decode(chain.request)
    return started.get("background") is not True


async def settle_lost_chain(kept: KeptRecords, chain: ChainRecord, status: str) -> str:
    """Record the end of a run that nobody reads any more, whose lease has ended.

    Args:
        kept: What the gateway keeps of the upstream.
        chain: The run.
        status: Its status as the upstream says it now.

    Returns:
        The run's status: `failed` if it is lost, or `cancelled` if that was wanted.

    Raises:
        GatewayError: `LEDGER_UNAVAILABLE`.
    """
    if status not in _GOING_ON or not is_foreground(chain):
        return status
    if await kept.locks.find_holder(chain.thread_id) == chain.run_id:
        return status
    await kept.chains.record_status(chain.run_id, CANCELLED if chain.status == _CANCELLING else LOST)
    # Its reader may have recorded its end in the meantime, which stands.
    found = (await kept.chains.find_chains([chain.run_id])).get(chain.run_id)
    return status if found is None else found.status

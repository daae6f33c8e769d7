"""Responses in the foreground whose reader was killed: the server forgets them, and shows them as going on for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from cachetools import LRUCache

from gateway.upstream.responses.kept_records import ChainRecord, KeptRecords

LOST, CANCELLED = "failed", "cancelled"

MAX_MISSED = 10_000

_CANCELLING = "cancelling"
_GOING_ON = frozenset({"queued", "in_progress", _CANCELLING})


def is_foreground(chain: ChainRecord) -> bool:
    """Return whether the responses of a chain end with their reader."""
    started: Mapping[str, Any] = msgspec.json.decode(chain.request)
    return started.get("background") is not True


class LostChains:
    """Finds the runs that nobody reads any more, for one process.

    A lease that is missing proves nothing yet: a Redis that was emptied or has just failed lost it, and the run's
    reader takes it again within a third of `lock_seconds`. So a run is lost once this process has missed its lease for
    `lock_seconds`.
    """

    def __init__(
        self, kept: KeptRecords, lock_seconds: float, monotonic_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._kept = kept
        self._lock_seconds = lock_seconds
        self._monotonic_seconds = monotonic_seconds
        self._missed_since: LRUCache[str, float] = LRUCache(MAX_MISSED)

    async def settle(self, chain: ChainRecord, status: str) -> str:
        """Record the end of a run if it is lost.

        Args:
            chain: The run.
            status: Its status as the upstream says it now.

        Returns:
            The run's status: `failed` if it is lost, or `cancelled` if that was wanted.

        Raises:
            GatewayError: `LEDGER_UNAVAILABLE`.
        """
        if status not in _GOING_ON or not is_foreground(chain):
            self._missed_since.pop(chain.run_id, None)
            return status
        if await self._kept.locks.find_holder(chain.thread_id) == chain.run_id:
            self._missed_since.pop(chain.run_id, None)
            return status
        now = self._monotonic_seconds()
        if now - self._missed_since.setdefault(chain.run_id, now) < self._lock_seconds:
            return status
        await self._kept.chains.record_status(chain.run_id, CANCELLED if chain.status == _CANCELLING else LOST)
        # Its reader may have recorded its end in the meantime, which stands.
        found = (await self._kept.chains.find_chains([chain.run_id])).get(chain.run_id)
        return status if found is None else found.status

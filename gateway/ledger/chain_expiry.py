"""Ends runs that wait for their client in vain, so that their threads can go on. No upstream with responses does.

Every gateway looks for them. The lock of the thread decides which of them ends a run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

from gateway.upstream.responses.kept_records import ChainRecord, KeptRecords
from schema.contract.errors import ErrorCode, GatewayError

CHECK_SECONDS = 10.0
"""Longest time between two looks at what waits."""

CLAIM_SECONDS = 60.0
"""How long a run is claimed. A gateway that is killed meanwhile leaves it to the others after that."""

CHAINS_PER_CHECK = 100

EXPIRED = "expired"

_NOT_OURS = frozenset({ErrorCode.NOT_FOUND, ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN})
_REFUSALS = frozenset({ErrorCode.BAD_USER_INPUT, ErrorCode.UPSTREAM_REFUSED, ErrorCode.WRONG_STATE})
"""The upstream takes no answers for this run, now or later: they may be there already."""

_logger = logging.getLogger(__name__)


class ChainExpiry:
    """The look-out of one process. `run` must be a task; its owner cancels it.

    `close_chain` answers the open calls of a run upstream and records its end, or raises a `GatewayError`. For a run of
    another's credential, the end alone is recorded: the calls are answered when its client comes back. So it is where
    the upstream refuses the answers, which it would each time.
    """

    def __init__(
        self,
        kept: KeptRecords,
        close_chain: Callable[[str, str], Awaitable[None]],
        *,
        expiry_seconds: float,
        unix_seconds: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._kept = kept
        self._close_chain = close_chain
        self._expiry_seconds = expiry_seconds
        self._unix_seconds = unix_seconds
        self._sleep = sleep

    async def run(self) -> None:
        """End runs as they expire, without end."""
        while True:
            try:
                await self.expire_overdue()
            except GatewayError:
                _logger.debug("runs that wait expire later: the ledger does not answer")
            except Exception:
                _logger.exception("runs that wait could not be expired")
            await self._sleep(min(CHECK_SECONDS, self._expiry_seconds / 4))

    async def expire_overdue(self) -> int:
        """End the runs that have waited too long. Returns how many this process has ended.

        Raises:
            GatewayError: The ledger does not answer.
        """
        before = self._unix_seconds() - self._expiry_seconds
        overdue = await self._kept.chains.list_waiting(before, CHAINS_PER_CHECK)
        return sum([await self._expire(chain, before) for chain in overdue])

    async def _expire(self, chain: ChainRecord, before: float) -> bool:
        locks, thread_id, run_id = self._kept.locks, chain.thread_id, chain.run_id
        claim = f"expiry-{uuid4().hex}"
        # Looked at again on both sides of the claim: its client may have come back since it was listed.
        if not await self._is_overdue(run_id, before):
            return False
        claimed = await locks.hand_over(thread_id, run_id, claim, CLAIM_SECONDS)
        if not claimed and not await locks.acquire(thread_id, claim, CLAIM_SECONDS):
            return False
        has_ended = False
        try:
            has_ended = await self._is_overdue(run_id, before) and await self._close(run_id)
        finally:
            if has_ended:
                await locks.release(thread_id, claim)
            else:
                await locks.hand_over(thread_id, claim, run_id, CLAIM_SECONDS)
        return has_ended

    async def _is_overdue(self, run_id: str, before: float) -> bool:
        chain = (await self._kept.chains.find_chains([run_id])).get(run_id)
        return chain is not None and chain.waiting_since is not None and chain.waiting_since < before

    async def _close(self, run_id: str) -> bool:
        """End a run. Returns False if the upstream did not answer, so that it is tried again."""
        try:
            await self._close_chain(run_id, EXPIRED)
        except GatewayError as error:
            if error.code not in _NOT_OURS | _REFUSALS:
                _logger.warning("run %s has expired, and its calls are answered later: %s", run_id, error.message)
                return False
            await self._kept.chains.record_status(run_id, EXPIRED)
        return True

"""At most one run of a thread at a time, also where the server has no lock of its own.

A lease on the thread belongs to a random holder while a run starts or is answered, then to the run by its id. What the
ledger says of a run that has not ended may be old, so the upstream decides before anybody is refused; and nobody learns
of a thread's runs whom the upstream does not show the thread.
"""

from __future__ import annotations

import contextlib
import time
from uuid import uuid4

from gateway.upstream.responses.bound_upstream import BoundUpstream
from gateway.upstream.responses.chain_reads import ChainReads
from gateway.upstream.responses.loaded_chain import ended_waiting
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.paging import Window
from schema.contract.statuses import is_terminal

STORING_SECONDS = 10.0
"""How long a server may take to store a response after its stream has ended."""

_NEWEST = Window(1, "desc")


class ChainLocks:
    """Takes and gives back the leases on threads.

    `call_seconds` is how long a lease lasts while a call is sent, `wait_seconds` while a run waits for its client.
    """

    def __init__(self, upstream: BoundUpstream, reads: ChainReads, *, call_seconds: float, wait_seconds: float) -> None:
        self._upstream = upstream
        self._locks = upstream.kept.locks
        self._reads = reads
        self._call_seconds = call_seconds
        self._wait_seconds = wait_seconds

    async def begin(self, thread_id: str) -> str:
        """Take the lease to start a run. Returns its holder.

        Raises:
            GatewayError: `ACTIVE_RUN`, or the ledger or the upstream does not answer.
        """
        holder = f"start-{uuid4().hex}"
        is_held = await self._locks.acquire(thread_id, holder, self._call_seconds)
        if not is_held:
            # Nobody may have noticed that the run which holds it has ended.
            await self.check_free(thread_id)
            await self._release_ended(thread_id)
            is_held = await self._locks.acquire(thread_id, holder, self._call_seconds)
        if not is_held:
            raise await self._active_run_error(thread_id, None)
        try:
            await self.check_free(thread_id)
        except BaseException:
            await self.release(thread_id, holder)
            raise
        return holder

    async def check_free(self, thread_id: str) -> None:
        """Check that a thread has no active run.

        Raises:
            GatewayError: `ACTIVE_RUN`, or the ledger or the upstream does not answer.
        """
        page = await self._upstream.kept.chains.list_chains(thread_id, _NEWEST)
        newest = page.data[0] if page and page.data else None
        # Of one that ended while it waited, the calls may be open still.
        if newest is None or (is_terminal(newest.status) and (newest.ended_run or not ended_waiting(newest.status))):
            return
        run_id = newest.run_id
        key = RunKey(thread_id, run_id)
        chain = (await self._reads.load([key]))[key]
        if isinstance(chain, GatewayError):
            refusal = await self._upstream.check_reachable(thread_id) if chain.code is ErrorCode.NOT_FOUND else chain
            if refusal is not None:
                raise refusal
            # Servers forget responses after a while. Nobody can find the end of such a run, or answer it.
            if newest.waiting_since is not None:
                if time.time() - newest.waiting_since < STORING_SECONDS:
                    raise await self._active_run_error(thread_id, run_id)
                await self._upstream.kept.chains.record_status(run_id, "expired")
            await self.release(thread_id, run_id)
            return
        if not is_terminal(chain.run.status):
            raise await self._active_run_error(thread_id, run_id)

    async def claim(self, key: RunKey) -> str:
        """Take the lease of a run that waits, to answer it. Returns its new holder.

        Raises:
            GatewayError: `ACTIVE_RUN`: the run is answered or ended by somebody else now.
        """
        thread_id, run_id = key
        holder = f"answer-{uuid4().hex}"
        if not (
            await self._locks.acquire(thread_id, run_id, self._call_seconds)
            and await self._locks.hand_over(thread_id, run_id, holder, self._call_seconds)
        ):
            raise await self._active_run_error(thread_id, run_id)
        return holder

    async def unclaim(self, key: RunKey, holder: str) -> None:
        """Give the lease back to a run that still waits."""
        with contextlib.suppress(GatewayError):
            await self._locks.hand_over(key.thread_id, holder, key.run_id, self._wait_seconds)

    async def release(self, thread_id: str, holder: str) -> None:
        """Let a lease go. One that cannot be let go ends by itself."""
        with contextlib.suppress(GatewayError):
            await self._locks.release(thread_id, holder)

    async def _release_ended(self, thread_id: str) -> None:
        """Let the lease go of a run that has ended, which was not possible when it did."""
        holder = await self._locks.find_holder(thread_id)
        if holder is not None:
            record = (await self._upstream.kept.chains.find_chains([holder])).get(holder)
            if record is not None and is_terminal(record.status):
                await self.release(thread_id, holder)

    async def _active_run_error(self, thread_id: str, run_id: str | None) -> GatewayError:
        if (refusal := await self._upstream.check_reachable(thread_id)) is not None:
            return refusal
        name = f" {run_id}" if run_id and "-" not in run_id else ""
        return GatewayError(ErrorCode.ACTIVE_RUN, f"Thread {thread_id} already has an active run{name}.")

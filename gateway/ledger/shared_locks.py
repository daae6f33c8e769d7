"""The leases on conversations of gateways that share a Redis: there, and in the ledger while Redis does not answer."""

from __future__ import annotations

from gateway.run_log.store.event_log import LogUnavailableError
from gateway.run_log.store.redis_thread_locks import RedisLocks
from gateway.upstream.responses.kept_records import ThreadLocks
from schema.contract.errors import ErrorCode, GatewayError


class SharedLocks:
    """The `ThreadLocks` over Redis and the ledger.

    A lease that was taken in the ledger while Redis was down is respected when it is back, until its holder renews it
    there. One that Redis lost, since it was emptied, is free until then.
    """

    def __init__(self, redis: RedisLocks, ledger: ThreadLocks) -> None:
        self._redis = redis
        self._ledger = ledger

    async def acquire(self, thread_id: str, holder: str, seconds: float) -> bool:
        try:
            was_free = await self._redis.acquire_fresh(thread_id, holder, seconds)
        except LogUnavailableError:
            return await self._ledger.acquire(thread_id, holder, seconds)
        if was_free and await self._ledger.find_holder(thread_id) not in {None, holder}:
            await self._release_in_redis(thread_id, holder)
            return False
        return was_free is not None

    async def hand_over(self, thread_id: str, holder: str, new_holder: str, seconds: float) -> bool:
        try:
            if await self._redis.hand_over(thread_id, holder, new_holder, seconds):
                return True
        except LogUnavailableError:
            # The lease may stand in Redis, which others do not see either.
            return await self._ledger.hand_over(thread_id, holder, new_holder, seconds) or await self._ledger.acquire(
                thread_id, new_holder, seconds
            )
        return await self._ledger.hand_over(thread_id, holder, new_holder, seconds)

    async def find_holder(self, thread_id: str) -> str | None:
        """Find who holds a lease now.

        Raises:
            GatewayError: The ledger has none, and Redis does not say whether it has one.
        """
        try:
            holder, is_reached = await self._redis.find_holder(thread_id), True
        except LogUnavailableError:
            holder, is_reached = None, False
        holder = holder or await self._ledger.find_holder(thread_id)
        if holder is None and not is_reached:
            message = f"Redis does not say at the moment who holds the lease on {thread_id}."
            raise GatewayError(ErrorCode.LEDGER_UNAVAILABLE, message, retryable=True)
        return holder

    async def release(self, thread_id: str, holder: str) -> None:
        await self._release_in_redis(thread_id, holder)
        await self._ledger.release(thread_id, holder)

    async def _release_in_redis(self, thread_id: str, holder: str) -> None:
        try:
            await self._redis.release(thread_id, holder)
        except LogUnavailableError:
            # It ends by itself.
            return

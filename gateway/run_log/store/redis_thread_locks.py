"""The leases on conversations in Redis, single or cluster: at most one run at a time, on all gateways."""

from __future__ import annotations

from urllib.parse import quote

from gateway.redis.scoped_names import scoped_prefix
from gateway.run_log.store.redis_connection import RedisConnection
from gateway.run_log.store.redis_scripts import RedisScript

_HOLDER = """
-- KEYS: the lease. A key of another type counts as a missing one.
local holder = redis.pcall('GET', KEYS[1])
if type(holder) ~= 'string' then holder = false end
"""

_ACQUIRE = RedisScript(
    _HOLDER
    + """
-- ARGV: holder, milliseconds.
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return holder and 1 or 2
"""
)

_HAND_OVER = RedisScript(
    _HOLDER
    + """
-- ARGV: holder, new holder, milliseconds.
if holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
)

_FIND_HOLDER = RedisScript(_HOLDER + "return holder")

_RELEASE = RedisScript(
    _HOLDER
    + """
-- ARGV: holder.
if holder == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
"""
)


class RedisLocks:
    """The `ThreadLocks` of all gateways that share a Redis. Its clock ends them. Raises `LogUnavailableError`.

    `upstream` is the digest of the upstream. Whoever made the connection closes it.
    """

    def __init__(self, connection: RedisConnection, upstream: str) -> None:
        self._connection = connection
        self._upstream = upstream

    async def acquire(self, thread_id: str, holder: str, seconds: float) -> bool:
        return await self.acquire_fresh(thread_id, holder, seconds) is not None

    async def acquire_fresh(self, thread_id: str, holder: str, seconds: float) -> bool | None:
        """Take a lease, or renew it. Returns whether it was free before, and None if another holds it."""
        arguments = (_to_bytes(holder), _to_milliseconds(seconds))
        answer = await self._connection.run_script(_ACQUIRE, [self._name(thread_id)], arguments)
        return answer == 2 if answer else None

    async def hand_over(self, thread_id: str, holder: str, new_holder: str, seconds: float) -> bool:
        arguments = (_to_bytes(holder), _to_bytes(new_holder), _to_milliseconds(seconds))
        return bool(await self._connection.run_script(_HAND_OVER, [self._name(thread_id)], arguments))

    async def find_holder(self, thread_id: str) -> str | None:
        holder = await self._connection.run_script(_FIND_HOLDER, [self._name(thread_id)], ())
        return None if holder is None else holder.decode("utf-8", "surrogatepass")

    async def release(self, thread_id: str, holder: str) -> None:
        await self._connection.run_script(_RELEASE, [self._name(thread_id)], (_to_bytes(holder),))

    def _name(self, thread_id: str) -> str:
        return scoped_prefix("tl", self._upstream, quote(thread_id, safe="", errors="surrogatepass")) + "lock"


def _to_bytes(holder: str) -> bytes:
    return holder.encode("utf-8", "surrogatepass")


def _to_milliseconds(seconds: float) -> int:
    return max(int(seconds * 1000), 1)

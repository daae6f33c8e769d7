"""Leases: single flight among processes that share a Redis.

The process that holds the short lease of a read fetches from the upstream; the others wait for its result. They do not
wait for a holder that died (its lease expires when it is not renewed), nor longer than a fetch would take.

A result is handed over under the holder's own token, which only those processes know that were already waiting. A
later read takes a lease of its own, so a result that may not be stored is never reused after this. For another
process, "later" comes later by the rest of the holder's batch and by the time that releasing the lease takes.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from gateway.cache.cache_keys import CacheKey
from gateway.cache.redis_link import Command, RedisLink, redis_key

LEASE_SECONDS = 0.4
RENEWAL_SECONDS = LEASE_SECONDS / 4
HANDOVER_MS = 2_000
FIRST_PAUSE_SECONDS = 0.002
LONGEST_PAUSE_SECONDS = 0.02

# Only its holder changes a lease.
_RENEW = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0"
_RELEASE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"


class Leases:
    """The leases of one process. Never raises: without Redis, every process fetches for itself."""

    def __init__(self, link: RedisLink, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._link = link
        self._sleep = sleep
        self._own_tokens: set[str] = set()

    async def acquire_leases(
        self, scope: str, leases: Collection[CacheKey], deadline: float
    ) -> tuple[str, dict[CacheKey, str]]:
        """Try to acquire leases.

        Returns:
            The token of this read, and the holder's token for each lease that another process holds.
        """
        token = secrets.token_hex(8)
        self._own_tokens.add(token)
        own_before = frozenset(self._own_tokens)  # one of them may be released while this waits for Redis
        commands: list[Command] = []
        for lease in leases:
            key = redis_key(scope, "l", lease)
            commands += [("SET", key, token, "NX", "PX", int(LEASE_SECONDS * 1000)), ("GET", key)]
        try:
            replies = await self._link.send_commands(commands, deadline) if commands else None
        except BaseException:
            self._own_tokens.discard(token)
            raise
        holders = dict(zip(leases, map(_to_text, replies[1::2]), strict=True)) if replies is not None else {}
        # Reads of this process share their flights, so one of its own that still holds a lease has its result already.
        own = own_before | self._own_tokens
        held = {lease: holder for lease, holder in holders.items() if holder is not None and holder not in own}
        if len(held) == len(leases):
            self._own_tokens.discard(token)  # it holds no lease that it would release
        return token, held

    async def run_while_holding(
        self, scope: str, leases: Collection[CacheKey], token: str, work: Awaitable[Any]
    ) -> None:
        """Run `work` as the holder of leases, and renew them until it is done."""
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait([task], timeout=RENEWAL_SECONDS))[0]:
                keys = [redis_key(scope, "l", lease) for lease in leases]
                renewals: list[Command] = [("EVAL", _RENEW, 1, key, token, int(LEASE_SECONDS * 1000)) for key in keys]
                await self._link.send_commands(renewals, self._link.new_deadline())
            await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])

    async def release_leases(
        self, scope: str, leases: Collection[CacheKey], token: str, results: Mapping[CacheKey, bytes]
    ) -> None:
        """Release leases, and hand the encoded results over to the processes that wait."""
        commands: list[Command] = []
        for lease in leases:
            if lease in results:
                handover = redis_key(scope, "a", to_handover_key(lease, token))
                commands.append(("SET", handover, results[lease], "PX", HANDOVER_MS))
            commands.append(("EVAL", _RELEASE, 1, redis_key(scope, "l", lease), token))
        try:
            if commands:
                await self._link.send_commands(commands, self._link.new_deadline())
        finally:
            self._own_tokens.discard(token)

    async def wait_for_results(
        self, scope: str, holders: Mapping[CacheKey, str], timeout_seconds: float
    ) -> dict[CacheKey, bytes]:
        """Wait for the results of other processes, given the holder's token for each lease.

        Returns:
            The encoded results by lease. The caller has to fetch those that are missing.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + timeout_seconds
        waiting = dict(holders)
        results: dict[CacheKey, bytes] = {}
        pause = FIRST_PAUSE_SECONDS
        while waiting:
            handovers = {lease: to_handover_key(lease, token) for lease, token in waiting.items()}
            found = await self._link.read_keys(
                scope, {"a": list(handovers.values()), "l": list(waiting)}, self._link.new_deadline()
            )
            if found is None:
                break
            for lease, handover in handovers.items():
                if (result := found["a", handover]) is not None:
                    results[lease] = result
                    del waiting[lease]
                elif _to_text(found["l", lease]) != waiting[lease]:
                    del waiting[lease]  # its holder has no result to hand over, or died
            if not waiting or loop.time() + pause >= give_up_at:
                break
            await self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return results


def to_lease_key(cache_key: CacheKey, versions: Sequence[str]) -> CacheKey:
    """Return the lease of a read: two reads share it only if no write came between them."""
    digest = hashlib.blake2b(" ".join(versions).encode(), digest_size=8).hexdigest()
    return CacheKey(cache_key.group, f"{cache_key.name}@{digest}")


def to_handover_key(lease: CacheKey, token: str) -> CacheKey:
    """Return the cache key under which the holder of a lease hands its result over."""
    return CacheKey(lease.group, f"{lease.name}@{token}")


def _to_text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("latin-1")

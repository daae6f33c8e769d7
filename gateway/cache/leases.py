"""Who asks the upstream, among processes that share a Redis: one holds a short lease, others wait for its answer.

Nobody waits on a holder that died (its lease ends when it is not renewed), nor longer than asking would take. An
answer is handed over under the holder's own token, which only those know who already waited: whoever comes later
takes a lease of their own, so what may not be kept is never kept by this. In another process "later" is later by what
is left of the holder's batch, and the time that giving the lease back takes.
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

# A lease is only touched by its holder.
_RENEW = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0"
_END = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"


class Leases:
    """The leases of one process. Never raises: without Redis, every process asks for itself."""

    def __init__(self, link: RedisLink, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._link = link
        self._sleep = sleep
        self._own: set[str] = set()

    async def take(self, scope: str, leases: Collection[CacheKey], until: float) -> tuple[str, dict[CacheKey, str]]:
        """Take leases; gives this read's token, and the tokens of those who hold what it did not get."""
        token = secrets.token_hex(8)
        self._own.add(token)
        own_before = frozenset(self._own)  # one of them may be given back while this waits for Redis
        commands: list[Command] = []
        for lease in leases:
            key = redis_key(scope, "l", lease)
            commands += [("SET", key, token, "NX", "PX", int(LEASE_SECONDS * 1000)), ("GET", key)]
        try:
            answers = await self._link.send(commands, until) if commands else None
        except BaseException:
            self._own.discard(token)
            raise
        holders = dict(zip(leases, map(_text, answers[1::2]), strict=True)) if answers is not None else {}
        # Reads of this process share their flights: a holder of it that is met here has landed its answer before.
        own = own_before | self._own
        held = {lease: holder for lease, holder in holders.items() if holder is not None and holder not in own}
        if len(held) == len(leases):
            self._own.discard(token)  # it holds nothing that it would give back
        return token, held

    async def held_during(self, scope: str, leases: Collection[CacheKey], token: str, work: Awaitable[Any]) -> None:
        """Do work as the holder of leases, which are renewed until it is done."""
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait([task], timeout=RENEWAL_SECONDS))[0]:
                keys = [redis_key(scope, "l", lease) for lease in leases]
                renewals: list[Command] = [("EVAL", _RENEW, 1, key, token, int(LEASE_SECONDS * 1000)) for key in keys]
                await self._link.send(renewals, self._link.deadline())
            await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])

    async def end(
        self, scope: str, leases: Collection[CacheKey], token: str, answers: Mapping[CacheKey, bytes]
    ) -> None:
        """Give leases back and hand the answers over to those who wait."""
        commands: list[Command] = []
        for lease in leases:
            if lease in answers:
                handover = redis_key(scope, "a", handover_of(lease, token))
                commands.append(("SET", handover, answers[lease], "PX", HANDOVER_MS))
            commands.append(("EVAL", _END, 1, redis_key(scope, "l", lease), token))
        try:
            if commands:
                await self._link.send(commands, self._link.deadline())
        finally:
            self._own.discard(token)

    async def wait(self, scope: str, holders: Mapping[CacheKey, str], limit_seconds: float) -> dict[CacheKey, bytes]:
        """Wait for what others asked for; what is missing in the result has to be asked for after all."""
        loop = asyncio.get_running_loop()
        until = loop.time() + limit_seconds
        waiting = dict(holders)
        answers: dict[CacheKey, bytes] = {}
        pause = FIRST_PAUSE_SECONDS
        while waiting:
            handovers = {lease: handover_of(lease, token) for lease, token in waiting.items()}
            read = await self._link.read(
                scope, {"a": list(handovers.values()), "l": list(waiting)}, self._link.deadline()
            )
            if read is None:
                break
            for lease, handover in handovers.items():
                if (answer := read["a", handover]) is not None:
                    answers[lease] = answer
                    del waiting[lease]
                elif _text(read["l", lease]) != waiting[lease]:
                    del waiting[lease]  # its holder has no answer to give, or is no more
            if not waiting or loop.time() + pause >= until:
                break
            await self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return answers


def lease_of(place: CacheKey, versions: Sequence[str]) -> CacheKey:
    """Name the lease of a read: two reads share it only when no write came between them."""
    digest = hashlib.blake2b(" ".join(versions).encode(), digest_size=8).hexdigest()
    return CacheKey(place.group, f"{place.name}@{digest}")


def handover_of(lease: CacheKey, token: str) -> CacheKey:
    """Name where the holder of a lease leaves its answer."""
    return CacheKey(lease.group, f"{lease.name}@{token}")


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("latin-1")

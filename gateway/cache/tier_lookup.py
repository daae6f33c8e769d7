"""What the tiers hold: memory and the shared store, asked together and once for a batch."""

from __future__ import annotations

from typing import Any

from gateway.cache import entry_codec
from gateway.cache.cache_lookup import CacheLookup
from gateway.cache.entry import CacheEntry
from gateway.cache.policy import Answer
from gateway.cache.redis_link import redis_key
from gateway.cache.shared_cache import SharedCache
from gateway.cache.storing import ResultStorer
from gateway.cache.version_store import KnownVersions


class TierLookup:
    """Looks up for one principal."""

    def __init__(self, shared: SharedCache, scope: str) -> None:
        self._shared = shared
        self._scope = scope
        self._keeper = ResultStorer(shared, scope)

    async def find(self, wishes: list[CacheLookup], until: float) -> dict[Any, Answer]:
        """Give by key what is held and valid, and note on each wish what else was found out.

        There is one look-up, and a second only for what memory held and another process has changed.
        """
        shared = self._shared
        answers: dict[Any, Answer] = {}
        now = shared.now_seconds()
        for wish in wishes:
            wish.held = self._keeper.from_pages(wish.key, shared.memory.get(self._scope, wish.place))
        unheld = [wish for wish in wishes if wish.held is None or not wish.held.is_fresh(now)]
        outdated = self._take(wishes, answers, await self._look_up(wishes, unheld, until))
        if outdated and shared.store.holds_values:
            self._take(outdated, answers, await self._look_up(outdated, outdated, until))
        return answers

    def decode(self, wish: CacheLookup, data: bytes) -> CacheEntry | None:
        """Read an entry of this principal; None for what is none."""
        return entry_codec.decode(type(wish.key), redis_key(self._scope, "v", wish.place), data)

    async def _look_up(
        self, wishes: list[CacheLookup], unheld: list[CacheLookup], until: float
    ) -> KnownVersions | None:
        tags = dict.fromkeys(tag for wish in wishes for tag in wish.tags)
        return await self._shared.store.look_up(self._scope, tags, [wish.place for wish in unheld], until)

    def _take(
        self, wishes: list[CacheLookup], answers: dict[Any, Answer], known: KnownVersions | None
    ) -> list[CacheLookup]:
        """Note what was looked up; gives the wishes that memory held fresh, but not as it is now."""
        outdated = []
        now = self._shared.now_seconds()
        for wish in wishes:
            wish.note(known)
            wish.stale = None
            if known is None or not wish.is_known:
                continue
            entry = self._best(wish, known, now)
            if entry is not None and entry.is_fresh(now):
                answers[wish.key] = entry.value
            elif entry is not None:
                wish.stale = entry.value
            elif wish.held is not None and wish.held.is_fresh(now):
                outdated.append(wish)
        return outdated

    def _best(self, wish: CacheLookup, known: KnownVersions, now: float) -> CacheEntry | None:
        """Give the younger of the entries that are valid; what came from Redis is in memory from now on."""
        group = wish.place.group
        held = wish.held if wish.held is not None and wish.held.holds(group, known.versions) else None
        data = known.values.get(wish.place)
        found = None if data is None else self.decode(wish, data)
        if data is None or found is None or not (found.is_usable(now) and found.holds(group, known.versions)):
            return held
        if held is not None and held.stored_at >= found.stored_at:
            return held
        self._shared.memory.put(self._scope, wish.place, found, len(data))
        return found

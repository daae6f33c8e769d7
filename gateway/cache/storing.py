"""From an answer of the upstream to what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.cache import entry_codec
from gateway.cache.cache_keys import CacheKey, Key, to_cache_key
from gateway.cache.cache_lookup import CacheLookup
from gateway.cache.entry import CacheEntry, may_be_kept
from gateway.cache.page_index import IndexedPage, owner_of
from gateway.cache.policy import MAX_LIFETIME_SECONDS, Answer, Lifetime, lifetime_of
from gateway.cache.redis_link import redis_key
from gateway.cache.shared_cache import SharedCache
from gateway.cache.tags import dependencies
from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey
from schema.contract.ports import RunPageKey
from schema.contract.wire import Page, RunObject


@dataclass(frozen=True, slots=True)
class StoredResult:
    """An answer as it can be shared, when it came, and how long it may be kept: 0 for one that is only handed over."""

    data: bytes
    ttl_seconds: float
    stored_at: float


class ResultStorer:
    """Keeps answers for one principal, each under the versions that its tags had when its read began."""

    def __init__(self, shared: SharedCache, scope: str) -> None:
        self._shared = shared
        self._scope = scope

    def learn(self, key: Key, answer: Answer) -> None:
        """Note which runs are over."""
        ended = self._shared.ended_runs
        if isinstance(answer, RunObject) and isinstance(key, RunKey):
            ended.learn(self._scope, key, answer.status)
        elif isinstance(answer, Page) and isinstance(key, RunPageKey):
            for run in answer.data:
                ended.learn(self._scope, RunKey(key.thread_id, run.id), run.status)

    def keep(self, wish: CacheLookup, answer: Answer, moment: int, *, hand_over: bool) -> StoredResult | None:
        """Keep an answer in memory as long as it may be; None for what nobody else may have.

        With `hand_over`, what may not be kept is encoded too, for those who already wait for it.
        """
        now = self._shared.now_seconds()
        entry = self._entry(wish, answer, moment, now)
        if entry is None:
            if not hand_over or isinstance(answer, GatewayError):
                return None
            entry = CacheEntry(answer, {}, now, 0.0, 0.0)
        data = entry_codec.encode(redis_key(self._scope, "v", wish.place), entry)
        if data is None:
            return None
        if entry.fresh_seconds:
            self._shared.memory.put(self._scope, wish.place, entry, len(data))
        return StoredResult(data, entry.fresh_seconds + entry.stale_seconds, now)

    def hold(self, wish: CacheLookup, page: Page[Any], moment: int, kept: StoredResult | None) -> None:
        """Hold a page in memory for the sake of its objects; other processes find them by the page."""
        shared = self._shared
        if not page.data or not may_be_kept(wish.versions.values()):
            return
        if kept is not None and kept.ttl_seconds >= MAX_LIFETIME_SECONDS:
            # Its own entry lives as long as any object, under all the versions on which a settled one depends.
            shared.pages.note(self._scope, owner_of(wish.key), IndexedPage(wish.place, moment, kept.stored_at))
            return
        now = shared.now_seconds()
        # It answers nothing as a page.
        versions = {tag.name: version for tag, version in wish.versions.items()}
        entry = CacheEntry(page, versions, now, 0.0, MAX_LIFETIME_SECONDS)
        data = entry_codec.encode("", entry) if kept is None else kept.data
        if data is None:
            return
        place = CacheKey(wish.place.group, f"of/{wish.place.name}")
        shared.memory.put(self._scope, place, entry, len(data))
        shared.pages.note(self._scope, owner_of(wish.key), IndexedPage(place, moment, now))

    def from_pages(self, key: Key, held: CacheEntry | None) -> CacheEntry | None:
        """Give what memory holds of an object: `held`, or an entry made from a page that was read after it."""
        shared = self._shared
        for page in shared.pages.of(self._scope, key, float("-inf") if held is None else held.stored_at):
            listed = shared.memory.get(self._scope, page.place)
            if listed is None or not isinstance(listed.value, Page) or listed.stored_at != page.stored_at:
                shared.pages.forget(self._scope, key, page)
                continue
            one = page.search(listed, key[-1])
            if one is not None:
                return self._taken_out(key, one, listed, page.moment) or held
        return held

    def _taken_out(self, key: Key, one: Any, listed: CacheEntry, moment: int) -> CacheEntry | None:
        """Make an entry of an object of a page, as long-lived as its own state allowed when the page was read."""
        lifetime = self._lifetime(key, one, moment, listed.stored_at)
        if lifetime is None:
            return None
        tags = dependencies(key, found=True, settled=lifetime.settled, from_page=True)
        versions = {tag.name: listed.versions[tag.name] for tag in tags if tag.name in listed.versions}
        if len(versions) < len(tags):
            # The page was settled, but nobody remembers any more that the run was over.
            return None
        entry = CacheEntry(one, versions, listed.stored_at, lifetime.fresh_seconds, lifetime.stale_seconds)
        place = to_cache_key(key)
        name = redis_key(self._scope, "v", place)
        # Decoded once more, so that no object keeps the text of the whole page alive.
        data = entry_codec.encode(name, entry)
        own = None if data is None else entry_codec.decode(type(key), name, data)
        if data is None or own is None or not own.is_usable(self._shared.now_seconds()):
            return None
        self._shared.memory.put(self._scope, place, own, len(data))
        return own

    def _entry(self, wish: CacheLookup, answer: Answer, moment: int, now: float) -> CacheEntry | None:
        lifetime = self._lifetime(wish.key, answer, moment, now)
        if lifetime is None:
            return None
        tags = dependencies(wish.key, found=not isinstance(answer, GatewayError), settled=lifetime.settled)
        versions = {tag.name: wish.versions[tag] for tag in tags}
        if not may_be_kept(versions.values()):
            return None
        return CacheEntry(answer, versions, now, lifetime.fresh_seconds, lifetime.stale_seconds)

    def _lifetime(self, key: Key, answer: Answer, moment: int, now: float) -> Lifetime | None:
        ended = self._shared.ended_runs
        return lifetime_of(key, answer, lambda run: ended.was_over(self._scope, run, moment), now)

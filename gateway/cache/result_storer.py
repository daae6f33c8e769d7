"""The storer of upstream results: it stores a result in memory, and finds objects in stored pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.cache import entry_codec
from gateway.cache.cache_keys import CacheKey, to_cache_key
from gateway.cache.cache_lookup import CacheLookup
from gateway.cache.entry import CacheEntry, may_be_stored
from gateway.cache.page_index import IndexedPage, to_list_key
from gateway.cache.policy import MAX_LIFETIME_SECONDS, Lifetime, Result, choose_lifetime
from gateway.cache.shared_cache import SharedCache
from gateway.cache.tags import dependencies
from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey
from schema.contract.kinds import Key, RunPageKey
from schema.contract.wire import Page, RunObject


@dataclass(frozen=True, slots=True)
class StoredResult:
    """The entry of a result as JSON, its time to live, and its Unix time."""

    body: bytes
    ttl_seconds: float
    stored_at: float


class ResultStorer:
    """Stores results in memory for one principal, each under the versions that its tags had when its read began."""

    def __init__(self, shared: SharedCache, scope: str) -> None:
        self._shared = shared
        self._scope = scope

    def record_ended_runs(self, key: Key, result: Result) -> None:
        """Record the runs in a result that have ended."""
        ended_runs = self._shared.ended_runs
        if isinstance(result, RunObject) and isinstance(key, RunKey):
            ended_runs.record_status(self._scope, key, result.status)
        elif isinstance(result, Page) and isinstance(key, RunPageKey):
            for run in result.data:
                ended_runs.record_status(self._scope, RunKey(key.thread_id, run.id), run.status)

    def store_result(self, lookup: CacheLookup, result: Result, read_number: int) -> StoredResult | None:
        """Store a result in memory. Returns the encoded result, or None if it may not be stored."""
        now = self._shared.now_seconds()
        entry = self._to_entry(lookup, result, read_number, now)
        if entry is None:
            return None
        body = entry_codec.encode_entry(entry)
        if body is None:
            return None
        self._shared.memory.store_entry(self._scope, lookup.cache_key, entry, len(body))
        return StoredResult(body, entry.fresh_seconds + entry.stale_seconds, now)

    def index_page(self, lookup: CacheLookup, page: Page[Any], read_number: int, stored: StoredResult | None) -> None:
        """Make a page's objects findable in memory; `stored` is the result of `store_result` for the page.

        A page whose own entry does not live long enough is stored once more for its objects alone.
        """
        shared = self._shared
        if not page.data or not may_be_stored(lookup.versions.values()):
            return
        list_key = to_list_key(lookup.key)
        if stored is not None and stored.ttl_seconds >= MAX_LIFETIME_SECONDS:
            # The page's own entry lives as long as any object, under all the versions that a settled one depends on.
            indexed_page = IndexedPage(lookup.cache_key, read_number, stored.stored_at)
            shared.page_index.add_page(self._scope, list_key, indexed_page)
            return
        now = shared.now_seconds()
        # It is never fresh, so it does not answer a read of the page.
        versions = {tag.name: version for tag, version in lookup.versions.items()}
        entry = CacheEntry(page, versions, now, 0.0, MAX_LIFETIME_SECONDS)
        body = entry_codec.encode_entry(entry) if stored is None else stored.body
        if body is None:
            return
        cache_key = CacheKey(lookup.cache_key.group, f"of/{lookup.cache_key.name}")
        shared.memory.store_entry(self._scope, cache_key, entry, len(body))
        shared.page_index.add_page(self._scope, list_key, IndexedPage(cache_key, read_number, now))

    def find_in_memory(self, key: Key, cache_key: CacheKey) -> CacheEntry | None:
        """Return the key's entry in memory, or one taken from a page that was stored after it."""
        shared = self._shared
        entry = shared.memory.get_entry(self._scope, cache_key)
        newer_than = float("-inf") if entry is None else entry.stored_at
        for page in shared.page_index.find_pages(self._scope, key, newer_than):
            page_entry = shared.memory.get_entry(self._scope, page.cache_key)
            if page_entry is None or not isinstance(page_entry.value, Page) or page_entry.stored_at != page.stored_at:
                shared.page_index.remove_page(self._scope, key, page)
                continue
            found = page.find_object(page_entry, key[-1])
            if found is not None:
                return self._store_from_page(key, found, page_entry, page.read_number) or entry
        return entry

    def _store_from_page(self, key: Key, found: Any, page_entry: CacheEntry, read_number: int) -> CacheEntry | None:
        """Store an object of a page under its own key, for as long as its state allowed when the page was read."""
        lifetime = self._choose_lifetime(key, found, read_number, page_entry.stored_at)
        if lifetime is None:
            return None
        tags = dependencies(key, found=True, settled=lifetime.settled, from_page=True)
        versions = {tag.name: page_entry.versions[tag.name] for tag in tags if tag.name in page_entry.versions}
        if len(versions) < len(tags):
            # The page was settled, but `EndedRuns` has evicted the run since, so the object counts as unsettled.
            return None
        entry = CacheEntry(found, versions, page_entry.stored_at, lifetime.fresh_seconds, lifetime.stale_seconds)
        cache_key = to_cache_key(key)
        # The object is encoded and decoded, so that it does not hold the text of the whole page in memory.
        body = entry_codec.encode_entry(entry)
        own_entry = None if body is None else entry_codec.decode_entry(type(key), body)
        if body is None or own_entry is None or not own_entry.is_usable(self._shared.now_seconds()):
            return None
        self._shared.memory.store_entry(self._scope, cache_key, own_entry, len(body))
        return own_entry

    def _to_entry(self, lookup: CacheLookup, result: Result, read_number: int, now: float) -> CacheEntry | None:
        lifetime = self._choose_lifetime(lookup.key, result, read_number, now)
        if lifetime is None:
            return None
        tags = dependencies(lookup.key, found=not isinstance(result, GatewayError), settled=lifetime.settled)
        versions = {tag.name: lookup.versions[tag] for tag in tags}
        if not may_be_stored(versions.values()):
            return None
        return CacheEntry(result, versions, now, lifetime.fresh_seconds, lifetime.stale_seconds)

    def _choose_lifetime(self, key: Key, result: Result, read_number: int, now: float) -> Lifetime | None:
        ended_runs = self._shared.ended_runs
        return choose_lifetime(key, result, lambda run: ended_runs.ended_before(self._scope, run, read_number), now)

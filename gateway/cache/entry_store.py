"""The entries in the memory of one process: results that may be stored, and objects found in stored pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

from cachetools import FIFOCache

from gateway.cache import entry_codec
from gateway.cache.cache_keys import CacheKey, to_cache_key
from gateway.cache.entry import CacheEntry, may_be_stored
from gateway.cache.page_index import IndexedPage, PageIndex, to_list_key
from gateway.cache.policy import MAX_LIFETIME_SECONDS, Lifetime, Result, choose_lifetime
from gateway.cache.scoped_lru import ScopedLRU
from gateway.cache.tags import Tag, Tags, candidate_tags, dependencies
from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey
from schema.contract.kinds import Key, RunPageKey
from schema.contract.statuses import is_terminal
from schema.contract.wire import Page, RunObject

ENTRY_OVERHEAD_BYTES = 600
"""The bytes that an entry takes besides its text: its cache key, its versions, its share of the table."""

BYTES_PER_TEXT_BYTE = 2
"""About how many bytes a decoded object takes for each byte of its text."""

MAX_ENDED_RUNS = 20_000


@dataclass(slots=True)
class CacheLookup:
    """One key of a batch, and what is known of it.

    `memory_entry` is the key's entry in memory, `stale_result` a result that may be used if the upstream fails.
    `versions` are those that the key's tags had when the read began; empty if `has_versions` is false.
    """

    key: Key
    cache_key: CacheKey
    tags: Tags
    memory_entry: CacheEntry | None = None
    has_versions: bool = False
    versions: dict[Tag, str] = field(default_factory=dict)
    stale_result: Result | None = None

    @classmethod
    def for_key(cls, key: Key) -> CacheLookup:
        """Start the look-up of a key."""
        return cls(key, to_cache_key(key), candidate_tags(key))

    def set_versions(self, known: Mapping[Tag, str]) -> None:
        """Set the versions of the key's tags: all of them, or none if one is unknown."""
        self.has_versions = all(tag in known for tag in self.tags)
        self.versions = {tag: known[tag] for tag in self.tags} if self.has_versions else {}


class StoredResult(NamedTuple):
    """The entry of a result as JSON, its time to live, and its Unix time."""

    body: bytes
    ttl_seconds: float
    stored_at: float


class EndedRuns:
    """The runs that this process saw in a terminal state: such a run never changes again, nor do its objects.

    Reads are numbered in the order in which they begin. Only a read that began after a run was known to have ended is
    sure to return the final state of that run's objects.
    """

    def __init__(self, max_runs: int = MAX_ENDED_RUNS) -> None:
        self._seen_at: FIFOCache[tuple[str, RunKey], int] = FIFOCache(max_runs)
        self._read_number = 0

    def begin_read(self) -> int:
        """Return the number of a read that begins now."""
        self._read_number += 1
        return self._read_number

    def record_status(self, scope: str, key: RunKey, status: str) -> None:
        """Record the status of a run; only the first terminal one counts."""
        if is_terminal(status) and (scope, key) not in self._seen_at:
            self._seen_at[scope, key] = self._read_number

    def ended_before(self, scope: str, key: RunKey, read_number: int) -> bool:
        """Return whether a run was known to have ended before the read with this number began."""
        seen_at = self._seen_at.get((scope, key))
        return seen_at is not None and seen_at < read_number


class EntryStore:
    """Entries of all scopes, bounded by bytes, least recently used out first; `now_seconds` returns Unix time."""

    def __init__(self, max_bytes: int, now_seconds: Callable[[], float]) -> None:
        self._now_seconds = now_seconds
        # Each entry with its bytes.
        self._entries: ScopedLRU[CacheKey, tuple[CacheEntry, int]] = ScopedLRU(max_bytes, itemgetter(1))
        self.page_index = PageIndex()
        self.ended_runs = EndedRuns()

    def __len__(self) -> int:
        """Count the entries."""
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """About how many bytes all entries take."""
        return int(self._entries.currsize)

    def get_entry(self, scope: str, cache_key: CacheKey) -> CacheEntry | None:
        """Return an entry that is fresh or stale, or None; the versions of its tags are not checked."""
        try:
            entry, _ = self._entries[scope, cache_key]
        except KeyError:
            return None
        if entry.is_usable(self._now_seconds()):
            return entry
        del self._entries[scope, cache_key]
        return None

    def store_entry(self, scope: str, cache_key: CacheKey, entry: CacheEntry, text_bytes: int) -> None:
        """Store an entry whose JSON has `text_bytes` bytes, unless it is too large."""
        self._entries.pop((scope, cache_key), None)
        size_bytes = ENTRY_OVERHEAD_BYTES + BYTES_PER_TEXT_BYTE * text_bytes
        if size_bytes <= self._entries.maxsize:
            self._entries[scope, cache_key] = (entry, size_bytes)

    def remove_entry(self, scope: str, cache_key: CacheKey) -> None:
        """Remove an entry, if there is one."""
        self._entries.pop((scope, cache_key), None)

    def remove_scope(self, scope: str) -> list[CacheKey]:
        """Remove all entries of a scope. Returns their cache keys."""
        return self._entries.remove_scope(scope)

    def store_result(self, scope: str, lookup: CacheLookup, result: Result, read_number: int) -> StoredResult | None:
        """Store a result under the versions of its look-up. Returns its JSON, or None if it may not be stored."""
        self._record_ended_runs(scope, lookup.key, result)
        now = self._now_seconds()
        lifetime = self._choose_lifetime(scope, lookup.key, result, read_number, now)
        if lifetime is None or not lookup.has_versions:
            return None
        tags = dependencies(lookup.key, found=not isinstance(result, GatewayError), settled=lifetime.settled)
        versions = {tag.name: lookup.versions[tag] for tag in tags}
        if not may_be_stored(versions.values()):
            return None
        entry = CacheEntry(result, versions, now, lifetime.fresh_seconds, lifetime.stale_seconds)
        body = entry_codec.encode_entry(entry)
        if body is None:
            return None
        self.store_entry(scope, lookup.cache_key, entry, len(body))
        return StoredResult(body, entry.fresh_seconds + entry.stale_seconds, now)

    def index_page(
        self, scope: str, lookup: CacheLookup, page: Page[Any], read_number: int, stored: StoredResult | None
    ) -> None:
        """Make a page's objects findable; `stored` is the result of `store_result` for the page.

        A page whose own entry does not live long enough is stored once more for its objects alone.
        """
        if not page.data or not lookup.has_versions or not may_be_stored(lookup.versions.values()):
            return
        list_key = to_list_key(lookup.key)
        if stored is not None and stored.ttl_seconds >= MAX_LIFETIME_SECONDS:
            # The page's own entry lives as long as any object, under all the versions that a settled one depends on.
            self.page_index.add_page(scope, list_key, IndexedPage(lookup.cache_key, read_number, stored.stored_at))
            return
        now = self._now_seconds()
        # It is never fresh, so it does not answer a read of the page.
        versions = {tag.name: version for tag, version in lookup.versions.items()}
        entry = CacheEntry(page, versions, now, 0.0, MAX_LIFETIME_SECONDS)
        body = entry_codec.encode_entry(entry) if stored is None else stored.body
        if body is None:
            return
        cache_key = CacheKey(lookup.cache_key.group, f"of/{lookup.cache_key.name}")
        self.store_entry(scope, cache_key, entry, len(body))
        self.page_index.add_page(scope, list_key, IndexedPage(cache_key, read_number, now))

    def find_entry(self, scope: str, key: Key, cache_key: CacheKey) -> CacheEntry | None:
        """Return the key's own entry, or one taken from a page that was stored after it."""
        entry = self.get_entry(scope, cache_key)
        newer_than = float("-inf") if entry is None else entry.stored_at
        for page in self.page_index.find_pages(scope, key, newer_than):
            page_entry = self.get_entry(scope, page.cache_key)
            if page_entry is None or not isinstance(page_entry.value, Page) or page_entry.stored_at != page.stored_at:
                self.page_index.remove_page(scope, key, page)
                continue
            found = page.find_object(page_entry, key[-1])
            if found is not None:
                return self._store_from_page(scope, key, found, page_entry, page.read_number) or entry
        return entry

    def _store_from_page(
        self, scope: str, key: Key, found: Any, page_entry: CacheEntry, read_number: int
    ) -> CacheEntry | None:
        """Store an object of a page under its own key, for as long as its state allowed when the page was read."""
        lifetime = self._choose_lifetime(scope, key, found, read_number, page_entry.stored_at)
        if lifetime is None:
            return None
        tags = dependencies(key, found=True, settled=lifetime.settled, from_page=True)
        versions = {tag.name: page_entry.versions[tag.name] for tag in tags if tag.name in page_entry.versions}
        if len(versions) < len(tags):
            # The page was settled, but `EndedRuns` has evicted the run since, so the object counts as unsettled.
            return None
        entry = CacheEntry(found, versions, page_entry.stored_at, lifetime.fresh_seconds, lifetime.stale_seconds)
        # The object is encoded and decoded, so that it does not hold the text of the whole page in memory.
        body = entry_codec.encode_entry(entry)
        own_entry = None if body is None else entry_codec.decode_entry(type(key), body)
        if body is None or own_entry is None or not own_entry.is_usable(self._now_seconds()):
            return None
        self.store_entry(scope, to_cache_key(key), own_entry, len(body))
        return own_entry

    def _record_ended_runs(self, scope: str, key: Key, result: Result) -> None:
        if isinstance(result, RunObject) and isinstance(key, RunKey):
            self.ended_runs.record_status(scope, key, result.status)
        elif isinstance(result, Page) and isinstance(key, RunPageKey):
            for run in result.data:
                self.ended_runs.record_status(scope, RunKey(key.thread_id, run.id), run.status)

    def _choose_lifetime(
        self, scope: str, key: Key, result: Result, read_number: int, now_seconds: float
    ) -> Lifetime | None:
        ended_before = self.ended_runs.ended_before
        return choose_lifetime(key, result, lambda run: ended_before(scope, run, read_number), now_seconds)

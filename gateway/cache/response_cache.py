"""The response cache: responses of whole queries, each valid as long as its reads would give the same results.

The data of a query is a function of its response key and of the results of its reads. So a response is valid as long as
each read would return the very same object: its entry is in memory, fresh, and current.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import ReferenceType, ref

from cachetools import LRUCache

from gateway.cache.cache_keys import CacheKey, to_cache_key
from gateway.cache.entry import CLOCK_SKEW_SECONDS, CacheEntry
from gateway.cache.entry_store import EntryStore
from gateway.cache.tags import Tag
from gateway.cache.version_store import VersionStore
from schema.contract.kinds import Key
from schema.contract.ports import ResponseKey

RESPONSE_OVERHEAD_BYTES = 1_000
"""The bytes that a response takes besides its texts."""

RECORDED_READ_BYTES = 400
"""The bytes that one recorded read takes: its key, the reference to its entry, its versions."""

MIN_RESPONSES = 10
"""A response is stored only if there is room for so many of its size."""

_IN_FLIGHT = object()


class RecordedReads:
    """The reads of one operation, and their results."""

    def __init__(self) -> None:
        # By cache key, since keys of different types may be equal.
        self.by_cache_key: dict[CacheKey, tuple[Key, Any]] = {}
        self.has_conflict = False

    def record_start(self, keys: Sequence[Any]) -> None:
        """Record that a read has begun; no response is stored while a result is missing."""
        for key in keys:
            self.by_cache_key.setdefault(to_cache_key(key), (key, _IN_FLIGHT))

    def record_result(self, key: Any, result: Any) -> None:
        """Record the result of a read; it may be recorded more than once."""
        cache_key = to_cache_key(key)
        _, recorded = self.by_cache_key[cache_key]
        if recorded is _IN_FLIGHT:
            self.by_cache_key[cache_key] = (key, result)
        elif recorded is not result:
            self.has_conflict = True


@dataclass(frozen=True, slots=True, eq=False)
class CachedResponse:
    """The data of a query as JSON, its recorded reads, and the versions of all their tags.

    A recorded read refers to its entry weakly, so it keeps no entry in memory. An entry that memory evicted is another
    one when it is read again.
    """

    data: bytes
    reads: tuple[tuple[Key, CacheKey, ReferenceType[CacheEntry]], ...]
    versions: Mapping[Tag, str]
    latest_stored_at: float
    fresh_until: float
    size_bytes: int

    def is_fresh(self, now_seconds: float) -> bool:
        """Return whether every entry is fresh, by the same rule as `CacheEntry.is_fresh`."""
        return self.latest_stored_at - CLOCK_SKEW_SECONDS <= now_seconds < self.fresh_until


class ResponseCache:
    """The responses of all principals, bounded by bytes, least recently used out first."""

    def __init__(
        self, max_bytes: int, memory: EntryStore, versions: VersionStore, *, now_seconds: Callable[[], float]
    ) -> None:
        self._memory = memory
        self._versions = versions
        self._now_seconds = now_seconds
        self._responses: LRUCache[tuple[str, ResponseKey], CachedResponse] = LRUCache(
            max_bytes, lambda response: response.size_bytes
        )

    def __len__(self) -> int:
        """Count the responses."""
        return len(self._responses)

    @property
    def size_bytes(self) -> int:
        """About how many bytes all responses take."""
        return int(self._responses.currsize)

    async def find_response(self, scope: str, response_key: ResponseKey, deadline: float) -> CachedResponse | None:
        """Return the stored response if it is valid, else remove it; wait for Redis until `deadline`."""
        response = self._responses.get((scope, response_key))
        if response is None or await self._is_valid(scope, response, deadline):
            return response
        if self._responses.get((scope, response_key)) is response:
            del self._responses[scope, response_key]
        return None

    def store_response(self, scope: str, response_key: ResponseKey, data: bytes, recorded: RecordedReads) -> None:
        """Store the data of an operation, if memory holds every result that it read.

        A result that is not in memory may soon differ.
        """
        response = self._to_response(scope, response_key, data, recorded)
        if response is None:
            return
        self._responses.pop((scope, response_key), None)
        if response.size_bytes * MIN_RESPONSES <= self._responses.maxsize:
            self._responses[scope, response_key] = response

    def _to_response(
        self, scope: str, response_key: ResponseKey, data: bytes, recorded: RecordedReads
    ) -> CachedResponse | None:
        if recorded.has_conflict:
            return None
        now = self._now_seconds()
        reads = []
        versions: dict[Tag, str] = {}
        latest_stored_at, fresh_until = float("-inf"), float("inf")
        for cache_key, (key, result) in recorded.by_cache_key.items():
            entry = self._memory.get_entry(scope, cache_key)
            if entry is None or entry.value is not result or not entry.is_fresh(now):
                return None
            for name, version in entry.versions.items():
                if versions.setdefault(Tag(cache_key.group, name), version) != version:
                    return None  # a write came between two reads
            latest_stored_at = max(latest_stored_at, entry.stored_at)
            fresh_until = min(fresh_until, entry.stored_at + entry.fresh_seconds)
            reads.append((key, cache_key, ref(entry)))
        text_bytes = sys.getsizeof(response_key.text) + len(response_key.variables) + len(data)
        size_bytes = RESPONSE_OVERHEAD_BYTES + text_bytes + RECORDED_READ_BYTES * max(len(reads), len(versions))
        return CachedResponse(data, tuple(reads), versions, latest_stored_at, fresh_until, size_bytes)

    async def _is_valid(self, scope: str, response: CachedResponse, deadline: float) -> bool:
        """Check all recorded reads as reads would: first the entries in memory, then all versions in one look-up."""
        if not response.is_fresh(self._now_seconds()):
            return False
        for key, cache_key, entry_ref in response.reads:
            entry = self._memory.find_entry(scope, key, cache_key)
            if entry is None or entry is not entry_ref():
                return False
        if not response.versions:
            return True  # it depends on nothing that changes
        known = await self._versions.look_up(scope, response.versions, (), deadline)
        # The look-up takes time, so the response may have expired.
        return known is not None and response.is_fresh(self._now_seconds()) and response.versions == known.versions

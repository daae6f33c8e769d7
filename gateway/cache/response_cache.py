"""The response cache: the rendered data of whole queries, with the cache entries that it was rendered from."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from gateway.cache.cache_keys import CacheKey, Key, to_cache_key
from gateway.cache.entry import CLOCK_SKEW_SECONDS, CacheEntry
from gateway.cache.tags import Tag
from schema.contract.cost import Cost
from schema.contract.ports import ResponseKey

if TYPE_CHECKING:
    # `SharedCache` owns the tier below.
    from gateway.cache.result_storer import ResultStorer
    from gateway.cache.shared_cache import SharedCache

RESPONSE_OVERHEAD_BYTES = 1_000
"""The bytes that a response takes besides its texts."""

RECORDED_READ_BYTES = 400
"""The bytes that one recorded read takes: its key, the reference to its entry, its versions."""

MIN_RESPONSES_IN_TIER = 10
"""A response is stored only if the tier has room for so many of its size."""

_IN_FLIGHT = object()


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

    def is_fresh(self, now_seconds: float) -> bool:
        """Return whether every entry is fresh, by the same rule as `CacheEntry.is_fresh`."""
        return self.latest_stored_at - CLOCK_SKEW_SECONDS <= now_seconds < self.fresh_until

    def size_bytes(self, response_key: ResponseKey) -> int:
        """Return about how many bytes it takes to store the response."""
        text_bytes = sys.getsizeof(response_key.text) + len(response_key.variables) + len(self.data)
        return RESPONSE_OVERHEAD_BYTES + text_bytes + RECORDED_READ_BYTES * max(len(self.reads), len(self.versions))


class ResponseTier:
    """Responses in memory by principal and response key, bounded by bytes, least recently used out first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._responses: OrderedDict[tuple[str, ResponseKey], CachedResponse] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        """Count the responses."""
        return len(self._responses)

    def get_response(self, scope: str, response_key: ResponseKey) -> CachedResponse | None:
        """Return the stored response, valid or not."""
        response = self._responses.get((scope, response_key))
        if response is not None:
            self._responses.move_to_end((scope, response_key))
        return response

    def store_response(self, scope: str, response_key: ResponseKey, response: CachedResponse) -> None:
        """Store a response; it replaces one with the same key, and evicts the least recently used ones."""
        self.remove_response(scope, response_key, self._responses.get((scope, response_key)))
        size_bytes = response.size_bytes(response_key)
        if size_bytes * MIN_RESPONSES_IN_TIER > self._max_bytes:
            return
        self._responses[scope, response_key] = response
        self.size_bytes += size_bytes
        while self.size_bytes > self._max_bytes:
            (_, oldest_key), evicted = self._responses.popitem(last=False)
            self.size_bytes -= evicted.size_bytes(oldest_key)

    def remove_response(self, scope: str, response_key: ResponseKey, response: CachedResponse | None) -> None:
        """Remove a response, if it is still the stored one."""
        if response is not None and self._responses.get((scope, response_key)) is response:
            del self._responses[scope, response_key]
            self.size_bytes -= response.size_bytes(response_key)


class ResponseRecorder:
    """Finds the stored responses of one principal, and records the reads of one operation to store its response.

    The data of a query is a function of its response key and of the results of its reads. So a response is valid as
    long as each read would return the very same object: its entry is in memory, fresh, and current.
    """

    def __init__(self, shared: SharedCache, storer: ResultStorer, scope: str, cost: Cost) -> None:
        self._shared = shared
        self._storer = storer
        self._scope = scope
        self._cost = cost
        # By cache key, since keys of different types may be equal.
        self._reads: dict[CacheKey, tuple[Key, Any]] = {}
        self._has_conflict = False

    def record_start(self, keys: Sequence[Any]) -> None:
        """Record that a read has begun; no response is stored while a result is missing."""
        for key in keys:
            self._reads.setdefault(to_cache_key(key), (key, _IN_FLIGHT))

    def record_result(self, key: Any, result: Any) -> None:
        """Record the result of a read; it may be recorded more than once."""
        cache_key = to_cache_key(key)
        _, recorded = self._reads[cache_key]
        if recorded is _IN_FLIGHT:
            self._reads[cache_key] = (key, result)
        elif recorded is not result:
            self._has_conflict = True

    async def find_response(self, response_key: ResponseKey) -> bytes | None:
        """Return the data of the stored response if it is valid, else remove the response."""
        responses = self._shared.responses
        response = responses.get_response(self._scope, response_key)
        if response is None:
            return None
        if await self._is_valid(response):
            self._cost.cache_hits += len(response.reads)
            return response.data
        responses.remove_response(self._scope, response_key, response)
        return None

    def store_response(self, response_key: ResponseKey, data: bytes) -> None:
        """Store the data of the operation, if memory holds every result that it read.

        A result that is not in memory may soon differ.
        """
        memory, now = self._shared.memory, self._shared.now_seconds()
        reads = []
        versions: dict[Tag, str] = {}
        latest_stored_at, fresh_until = float("-inf"), float("inf")
        if self._has_conflict:
            return
        for cache_key, (key, result) in self._reads.items():
            entry = memory.get_entry(self._scope, cache_key)
            if entry is None or entry.value is not result or not entry.is_fresh(now):
                return
            for name, version in entry.versions.items():
                if versions.setdefault(Tag(cache_key.group, name), version) != version:
                    return  # a write came between two reads
            latest_stored_at = max(latest_stored_at, entry.stored_at)
            fresh_until = min(fresh_until, entry.stored_at + entry.fresh_seconds)
            reads.append((key, cache_key, ref(entry)))
        response = CachedResponse(data, tuple(reads), versions, latest_stored_at, fresh_until)
        self._shared.responses.store_response(self._scope, response_key, response)

    async def _is_valid(self, response: CachedResponse) -> bool:
        """Check all recorded reads as reads would: first the entries in memory, then all versions in one look-up."""
        shared = self._shared
        if not response.is_fresh(shared.now_seconds()):
            return False
        for key, cache_key, entry_ref in response.reads:
            entry = self._storer.find_in_memory(key, cache_key)
            if entry is None or entry is not entry_ref():
                return False
        if not response.versions:
            return True  # it depends on nothing that changes
        known = await shared.store.look_up(self._scope, response.versions, (), shared.redis_deadline())
        # The look-up takes time, so the response may have expired.
        return known is not None and response.is_fresh(shared.now_seconds()) and response.versions == known.versions

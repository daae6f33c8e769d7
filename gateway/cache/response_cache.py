"""The response cache: whether the stored response of a whole query is still what its reads would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import ref

from gateway.cache.cache_keys import CacheKey, to_cache_key
from gateway.cache.response_tier import CachedResponse
from gateway.cache.result_storer import ResultStorer
from gateway.cache.shared_cache import SharedCache
from gateway.cache.tags import Tag
from schema.contract.cost import Cost
from schema.contract.kinds import Key
from schema.contract.ports import ResponseKey

_IN_FLIGHT = object()


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
        if response is None or self._shared.is_refused(self._scope):
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

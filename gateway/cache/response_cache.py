"""The response cache: responses of whole queries, each valid as long as its reads would give the same results.

The data of a query is a function of its response key and of the results of its reads. So a response is valid as long as
all entries that it was made of are fresh and current, and memory holds no other entry for one of its reads. An entry
that memory evicted may be missing: a long response takes less memory than its entries, and stays longer.

A response belongs to its caller. Its reads may lie in several scopes: the entries of a thread belong to its owner.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from weakref import ReferenceType, ref

from gateway.cache.cache_keys import CacheKey, to_cache_key
from gateway.cache.entry import CLOCK_SKEW_SECONDS, CacheEntry
from gateway.cache.entry_store import EntryStore
from gateway.cache.scoped_lru import ScopedLRU
from gateway.cache.tags import Tag
from gateway.cache.version_store import VersionStore
from schema.contract.encoded_json import EncodedJson
from schema.contract.kinds import Key
from schema.contract.ports import ResponseKey

RESPONSE_OVERHEAD_BYTES = 1_000
"""The bytes that a response takes besides its texts."""

RECORDED_READ_BYTES = 400
"""The bytes that one recorded read takes: its key, the reference to its entry, its versions."""

OBJECT_SCOPE_BYTES = 200
"""The bytes that the scope of one thread or file takes."""

MIN_RESPONSES = 10
"""A response is stored only if there is room for so many of its size."""

ObjectScopes: TypeAlias = Mapping[Any, str | None]
"""The scope of each object whose owner was looked up, None for those that the caller may not reach."""

_IN_FLIGHT = object()


class RecordedReads:
    """The reads of one operation in one scope, and their results."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
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


@dataclass(frozen=True, slots=True)
class ResponseReads:
    """The recorded reads of a response in one scope, and the versions of all their tags.

    A recorded read refers to its entry weakly, so it keeps no entry in memory. An entry that memory evicted is another
    one once it is read again.
    """

    scope: str
    reads: tuple[tuple[Key, CacheKey, ReferenceType[CacheEntry]], ...]
    versions: Mapping[Tag, str]


@dataclass(frozen=True, slots=True, eq=False)
class CachedResponse:
    """The data of a query as JSON, and its recorded reads by scope.

    `object_scopes` are those of the threads and files that the query named. The port that knows the owners compares
    them before the response is used.
    """

    data: EncodedJson
    parts: tuple[ResponseReads, ...]
    object_scopes: ObjectScopes
    latest_stored_at: float
    fresh_until: float
    size_bytes: int

    @property
    def read_count(self) -> int:
        """The number of recorded reads."""
        return sum(len(part.reads) for part in self.parts)

    def is_fresh(self, now_seconds: float) -> bool:
        """Return whether every entry is fresh, by the same rule as `CacheEntry.is_fresh`."""
        return self.latest_stored_at - CLOCK_SKEW_SECONDS <= now_seconds < self.fresh_until


class ResponseCache:
    """The responses of all callers, bounded by bytes, least recently used out first."""

    def __init__(
        self, max_bytes: int, memory: EntryStore, versions: VersionStore, *, now_seconds: Callable[[], float]
    ) -> None:
        self._memory = memory
        self._versions = versions
        self._now_seconds = now_seconds
        self._responses: ScopedLRU[ResponseKey, CachedResponse] = ScopedLRU(
            max_bytes, lambda response: response.size_bytes
        )

    def __len__(self) -> int:
        """Count the responses."""
        return len(self._responses)

    @property
    def size_bytes(self) -> int:
        """About how many bytes all responses take."""
        return int(self._responses.currsize)

    def get_response(self, caller: str, response_key: ResponseKey) -> CachedResponse | None:
        """Return the stored response, valid or not."""
        return self._responses.get((caller, response_key))

    def remove_caller(self, caller: str) -> None:
        """Remove all responses of a caller."""
        self._responses.remove_scope(caller)

    async def find_response(self, caller: str, response_key: ResponseKey, deadline: float) -> CachedResponse | None:
        """Return the stored response if it is valid, else remove it; wait for Redis until `deadline`."""
        response = self._responses.get((caller, response_key))
        if response is None or await self._is_valid(response, deadline):
            return response
        if self._responses.get((caller, response_key)) is response:
            del self._responses[caller, response_key]
        return None

    def store_response(
        self,
        caller: str,
        response_key: ResponseKey,
        data: EncodedJson,
        recorded: Sequence[RecordedReads],
        object_scopes: ObjectScopes | None = None,
    ) -> None:
        """Store the data of an operation, if memory holds every result that it read.

        A result that is not in memory may soon differ.
        """
        response = self._to_response(response_key, data, recorded, object_scopes or {})
        if response is None:
            return
        self._responses.pop((caller, response_key), None)
        if response.size_bytes * MIN_RESPONSES <= self._responses.maxsize:
            self._responses[caller, response_key] = response

    def _to_response(
        self,
        response_key: ResponseKey,
        data: EncodedJson,
        recorded: Sequence[RecordedReads],
        object_scopes: ObjectScopes,
    ) -> CachedResponse | None:
        parts = []
        latest_stored_at, fresh_until = float("-inf"), float("inf")
        text_bytes = sys.getsizeof(response_key.text) + len(response_key.variables) + len(data)
        size_bytes = RESPONSE_OVERHEAD_BYTES + text_bytes + OBJECT_SCOPE_BYTES * len(object_scopes)
        for reads_of_scope in recorded:
            part = self._to_part(reads_of_scope)
            if part is None:
                return None
            parts.append(part)
            size_bytes += RECORDED_READ_BYTES * max(len(part.reads), len(part.versions))
            for _, _, entry_ref in part.reads:
                entry = entry_ref()
                if entry is None:
                    return None
                latest_stored_at = max(latest_stored_at, entry.stored_at)
                fresh_until = min(fresh_until, entry.stored_at + entry.fresh_seconds)
        return CachedResponse(data, tuple(parts), object_scopes, latest_stored_at, fresh_until, size_bytes)

    def _to_part(self, recorded: RecordedReads) -> ResponseReads | None:
        """Return the reads of one scope with their entries, or None if a result is not the one in memory."""
        if recorded.has_conflict:
            return None
        now = self._now_seconds()
        reads = []
        versions: dict[Tag, str] = {}
        for cache_key, (key, result) in recorded.by_cache_key.items():
            entry = self._memory.get_entry(recorded.scope, cache_key)
            if entry is None or entry.value is not result or not entry.is_fresh(now):
                return None
            for name, version in entry.versions.items():
                if versions.setdefault(Tag(cache_key.group, name), version) != version:
                    return None  # a write came between two reads
            reads.append((key, cache_key, ref(entry)))
        return ResponseReads(recorded.scope, tuple(reads), versions)

    async def _is_valid(self, response: CachedResponse, deadline: float) -> bool:
        """Check all recorded reads: first the entries that memory holds, then all versions of each scope."""
        if not response.is_fresh(self._now_seconds()):
            return False
        for part in response.parts:
            for key, cache_key, entry_ref in part.reads:
                entry = self._memory.find_entry(part.scope, key, cache_key)
                if entry is not None and entry is not entry_ref():
                    return False
        versioned = [part for part in response.parts if part.versions]  # the others depend on nothing that changes
        if len(versioned) == 1:
            are_current = await self._is_current(versioned[0], deadline)
        else:
            are_current = all(await asyncio.gather(*(self._is_current(part, deadline) for part in versioned)))
        # The look-up takes time, so the response may have expired.
        return are_current and response.is_fresh(self._now_seconds())

    async def _is_current(self, part: ResponseReads, deadline: float) -> bool:
        known = await self._versions.look_up(part.scope, part.versions, (), deadline)
        return known is not None and part.versions == known.versions

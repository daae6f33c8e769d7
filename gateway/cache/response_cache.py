"""What one operation was answered, and whether a whole answer of before is what it would be answered again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import ref

from gateway.cache.cache_keys import CacheKey, Key, to_cache_key
from gateway.cache.response_tier import CachedResponse
from gateway.cache.shared_cache import SharedCache
from gateway.cache.storing import ResultStorer
from gateway.cache.tags import Tag
from schema.contract.cost import Cost
from schema.contract.ports import ResponseKey

_UNDER_WAY = object()


class ResponseRecorder:
    """Knows a principal's questions again, and notes for one operation what its answer is made of.

    A query's data is a function of its question and of the port's answers. So what was rendered is right as long as
    each read would give the very same object: as long as memory holds it, fresh, and under the present versions.
    """

    def __init__(self, shared: SharedCache, scope: str, cost: Cost) -> None:
        self._shared = shared
        self._scope = scope
        self._cost = cost
        self._keeper = ResultStorer(shared, scope)
        # By place, since keys of different types may be equal.
        self._noted: dict[CacheKey, tuple[Key, Any]] = {}
        self._contradicted = False

    def begin(self, keys: Sequence[Any]) -> None:
        """Note that a read begins: an operation that is over before has not seen all of it."""
        for key in keys:
            self._noted.setdefault(to_cache_key(key), (key, _UNDER_WAY))

    def note(self, key: Any, answer: Any) -> None:
        """Note an answer, or the same once more."""
        place = to_cache_key(key)
        _, before = self._noted[place]
        if before is _UNDER_WAY:
            self._noted[place] = (key, answer)
        elif before is not answer:
            self._contradicted = True

    async def find(self, question: ResponseKey) -> bytes | None:
        """Give the data that was kept, if every read for it would be answered from memory as then; else forget it."""
        repeats = self._shared.repeats
        repeat = repeats.get(self._scope, question)
        if repeat is None:
            return None
        if await self._is_true(repeat):
            self._cost.cache_hits += len(repeat.parts)
            return repeat.data
        repeats.drop(self._scope, question, repeat)
        return None

    def keep(self, question: ResponseKey, data: bytes) -> None:
        """Keep the data of an operation, if memory holds all it was made of; what it does not hold may differ soon."""
        memory, now = self._shared.memory, self._shared.now_seconds()
        parts = []
        versions: dict[Tag, str] = {}
        latest_stored_at, fresh_until = float("-inf"), float("inf")
        if self._contradicted:
            return
        for place, (key, answer) in self._noted.items():
            entry = memory.get(self._scope, place)
            if entry is None or entry.value is not answer or not entry.is_fresh(now):
                return
            for name, version in entry.versions.items():
                if versions.setdefault(Tag(place.group, name), version) != version:
                    return  # a write came between two reads
            latest_stored_at = max(latest_stored_at, entry.stored_at)
            fresh_until = min(fresh_until, entry.stored_at + entry.fresh_seconds)
            parts.append((key, place, ref(entry)))
        repeat = CachedResponse(data, tuple(parts), versions, latest_stored_at, fresh_until)
        self._shared.repeats.put(self._scope, question, repeat)

    async def _is_true(self, repeat: CachedResponse) -> bool:
        """Look all parts up as reads would: first in memory, then their versions, in one go."""
        shared, scope = self._shared, self._scope
        if not repeat.is_fresh(shared.now_seconds()):
            return False
        for key, place, entry in repeat.parts:
            held = self._keeper.from_pages(key, shared.memory.get(scope, place))
            if held is None or held is not entry():
                return False
        if not repeat.versions:
            return True  # it asks for nothing that changes
        known = await shared.store.look_up(scope, repeat.versions, (), shared.deadline())
        # Time may have passed.
        return known is not None and repeat.is_fresh(shared.now_seconds()) and repeat.versions == known.versions

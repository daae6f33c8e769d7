"""The memory tier of the response cache: rendered data of whole queries, with the entries that it was rendered from."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from weakref import ReferenceType

from gateway.cache.cache_keys import CacheKey
from gateway.cache.entry import CLOCK_SKEW_SECONDS, CacheEntry
from gateway.cache.tags import Tag
from schema.contract.kinds import Key
from schema.contract.ports import ResponseKey

RESPONSE_OVERHEAD_BYTES = 1_000
"""The bytes that a response takes besides its texts."""

RECORDED_READ_BYTES = 400
"""The bytes that one recorded read takes: its key, the reference to its entry, its versions."""

MIN_RESPONSES_IN_TIER = 10
"""A response is stored only if the tier has room for so many of its size."""


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

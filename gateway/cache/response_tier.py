"""The tier of whole answers: the rendered data of queries with what it was made of, bounded by bytes."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from weakref import ReferenceType

from gateway.cache.cache_keys import CacheKey, Key
from gateway.cache.entry import CLOCK_SKEW_SECONDS, CacheEntry
from gateway.cache.tags import Tag
from schema.contract.ports import ResponseKey

REPEAT_OVERHEAD_BYTES = 1_000
"""What a repeat costs beside its texts."""

PART_BYTES = 400
"""What it costs to know one part again: its name, its reference, its versions."""

LARGEST_SHARE = 10
"""A repeat that would take more than one part in so many of the room is not kept."""


@dataclass(frozen=True, slots=True, eq=False)
class CachedResponse:
    """The data of a query as JSON, the entries of memory that it was made of, and the versions of all their tags.

    It keeps none of the entries alive: an entry that memory has let go is another one when it is read again.
    """

    data: bytes
    parts: tuple[tuple[Key, CacheKey, ReferenceType[CacheEntry]], ...]
    versions: Mapping[Tag, str]
    latest_stored_at: float
    fresh_until: float

    def is_fresh(self, now_seconds: float) -> bool:
        """Tell whether every part is, as entries are."""
        return self.latest_stored_at - CLOCK_SKEW_SECONDS <= now_seconds < self.fresh_until

    def size_bytes(self, question: ResponseKey) -> int:
        """Tell what keeping it takes, about."""
        texts = sys.getsizeof(question.text) + len(question.variables) + len(self.data)
        return REPEAT_OVERHEAD_BYTES + texts + PART_BYTES * max(len(self.parts), len(self.versions))


class ResponseTier:
    """Repeats by principal and question, the least used leave first."""

    def __init__(self, max_bytes: int) -> None:
        """Keep nothing yet."""
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[str, ResponseKey], CachedResponse] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        """Count the repeats."""
        return len(self._kept)

    def get(self, scope: str, question: ResponseKey) -> CachedResponse | None:
        """Give what was kept, true or not."""
        repeat = self._kept.get((scope, question))
        if repeat is not None:
            self._kept.move_to_end((scope, question))
        return repeat

    def put(self, scope: str, question: ResponseKey, repeat: CachedResponse) -> None:
        """Keep a repeat in place of one of the same question, and of those not used for longest."""
        self.drop(scope, question, self._kept.get((scope, question)))
        size_bytes = repeat.size_bytes(question)
        if size_bytes * LARGEST_SHARE > self._max_bytes:
            return
        self._kept[scope, question] = repeat
        self.size_bytes += size_bytes
        while self.size_bytes > self._max_bytes:
            (_, oldest), dropped = self._kept.popitem(last=False)
            self.size_bytes -= dropped.size_bytes(oldest)

    def drop(self, scope: str, question: ResponseKey, repeat: CachedResponse | None) -> None:
        """Forget a repeat, if it is still this one."""
        if repeat is not None and self._kept.get((scope, question)) is repeat:
            del self._kept[scope, question]
            self.size_bytes -= repeat.size_bytes(question)

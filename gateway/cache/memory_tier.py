"""The tier in front: decoded entries of this process, bounded by bytes and by number, the least used leave first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from gateway.cache.cache_keys import CacheKey
from gateway.cache.entry import CacheEntry

ENTRY_OVERHEAD_BYTES = 600
"""What an entry costs beside its text: its place, its versions, its share of the table."""

TEXT_FACTOR = 2
"""How many bytes a decoded object takes for each byte of its text, about."""


@dataclass(slots=True)
class _Held:
    entry: CacheEntry
    size_bytes: int


class MemoryTier:
    """Entries by principal and place; `now_seconds` gives Unix time."""

    def __init__(self, *, max_bytes: int, max_entries: int, now_seconds: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._now_seconds = now_seconds
        self._held: OrderedDict[tuple[str, CacheKey], _Held] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        """Count the entries."""
        return len(self._held)

    def get(self, scope: str, place: CacheKey) -> CacheEntry | None:
        """Give an entry that is fresh or may still serve, whatever its tags say; None when there is none."""
        held = self._held.get((scope, place))
        if held is None:
            return None
        if not held.entry.is_usable(self._now_seconds()):
            self.drop(scope, place)
            return None
        self._held.move_to_end((scope, place))
        return held.entry

    def put(self, scope: str, place: CacheKey, entry: CacheEntry, text_bytes: int) -> None:
        """Keep an entry whose encoded text has this many bytes; one that is too large for the tier is not kept."""
        self.drop(scope, place)
        size_bytes = ENTRY_OVERHEAD_BYTES + TEXT_FACTOR * text_bytes
        if size_bytes > self._max_bytes:
            return
        self._held[scope, place] = _Held(entry, size_bytes)
        self.size_bytes += size_bytes
        while self.size_bytes > self._max_bytes or len(self._held) > self._max_entries:
            _, oldest = self._held.popitem(last=False)
            self.size_bytes -= oldest.size_bytes

    def drop(self, scope: str, place: CacheKey) -> None:
        """Forget an entry."""
        held = self._held.pop((scope, place), None)
        if held is not None:
            self.size_bytes -= held.size_bytes

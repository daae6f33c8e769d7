"""The memory tier: decoded entries of this process, bounded by bytes and by number, least recently used out first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from gateway.cache.cache_keys import CacheKey
from gateway.cache.entry import CacheEntry

ENTRY_OVERHEAD_BYTES = 600
"""The bytes that an entry takes besides its text: its cache key, its versions, its share of the table."""

BYTES_PER_TEXT_BYTE = 2
"""About how many bytes a decoded object takes for each byte of its text."""


@dataclass(slots=True)
class _SizedEntry:
    entry: CacheEntry
    size_bytes: int


class MemoryTier:
    """Entries by principal and cache key; `now_seconds` returns Unix time."""

    def __init__(self, *, max_bytes: int, max_entries: int, now_seconds: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._now_seconds = now_seconds
        self._entries: OrderedDict[tuple[str, CacheKey], _SizedEntry] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        """Count the entries."""
        return len(self._entries)

    def get_entry(self, scope: str, cache_key: CacheKey) -> CacheEntry | None:
        """Return an entry that is fresh or stale, or None; the versions of its tags are not checked."""
        sized = self._entries.get((scope, cache_key))
        if sized is None:
            return None
        if not sized.entry.is_usable(self._now_seconds()):
            self.remove_entry(scope, cache_key)
            return None
        self._entries.move_to_end((scope, cache_key))
        return sized.entry

    def store_entry(self, scope: str, cache_key: CacheKey, entry: CacheEntry, text_bytes: int) -> None:
        """Store an entry whose encoded text has `text_bytes` bytes, unless it is too large for the tier."""
        self.remove_entry(scope, cache_key)
        size_bytes = ENTRY_OVERHEAD_BYTES + BYTES_PER_TEXT_BYTE * text_bytes
        if size_bytes > self._max_bytes:
            return
        self._entries[scope, cache_key] = _SizedEntry(entry, size_bytes)
        self.size_bytes += size_bytes
        while self.size_bytes > self._max_bytes or len(self._entries) > self._max_entries:
            _, oldest = self._entries.popitem(last=False)
            self.size_bytes -= oldest.size_bytes

    def remove_entry(self, scope: str, cache_key: CacheKey) -> None:
        """Remove an entry, if there is one."""
        sized = self._entries.pop((scope, cache_key), None)
        if sized is not None:
            self.size_bytes -= sized.size_bytes

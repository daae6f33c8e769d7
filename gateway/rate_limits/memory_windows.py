"""The counters of one process, as a storage of the library `limits`.

The library's own storage in memory has no bound, looks at every counter at each hit and reads the system's clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache
from limits.aio.storage import MemoryStorage

from gateway.rate_limits.window_counts import WindowCounts, count_used

MAX_COUNTERS = 30_000
"""The counters that a process keeps: those of 10,000 callers, if everything is limited. The longest unused go first."""


@dataclass(slots=True)
class _Window:
    """The counters of a window that began at a time, and of the one before."""

    began: float
    previous: int = 0
    current: int = 0


class MemoryWindows(MemoryStorage):
    """Counters in memory. As those over Redis, a window begins with the first hit. `clock` never goes back."""

    STORAGE_SCHEME: list[str] | None = None  # type: ignore[assignment]  # no URL makes one

    def __init__(self, clock: Callable[[], float] = time.monotonic, max_counters: int = MAX_COUNTERS) -> None:
        super().__init__()
        self._clock = clock
        self._windows: LRUCache[str, _Window] = LRUCache(max_counters)

    def __len__(self) -> int:
        """Count the counters."""
        return len(self._windows)

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Take an amount if it is left. Returns whether it was."""
        now = self._clock()
        if amount > limit or count_used(self._read(key, expiry, now), expiry) + amount > limit:
            return False
        window = self._windows.setdefault(key, _Window(now))
        window.current += amount
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> WindowCounts:
        """Return the counts of the previous and of the current window, each with its seconds."""
        return self._read(key, expiry, self._clock())

    async def clear_sliding_window(self, key: str, expiry: int) -> None:  # noqa: ARG002 - the library's method
        """Forget a counter."""
        self._windows.pop(key, None)

    async def release_sliding_window_entry(self, key: str, expiry: int, amount: int, age_seconds: float) -> None:
        """Give back what was taken so many seconds ago, in the window in which it was taken."""
        now = self._clock()
        self._read(key, expiry, now)
        window = self._windows.get(key)
        if window is None:
            return
        if now - age_seconds >= window.began:
            window.current -= min(amount, window.current)
        elif now - age_seconds >= window.began - expiry:
            window.previous -= min(amount, window.previous)

    def _read(self, key: str, expiry: int, now: float) -> WindowCounts:
        """Read a counter after moving it on to the window of now."""
        window = self._windows.get(key)
        if window is None:
            return WindowCounts()
        windows_later = int((now - window.began) // expiry)
        if windows_later > 1:
            del self._windows[key]
            return WindowCounts()
        if windows_later == 1:
            window.began, window.previous, window.current = window.began + expiry, window.current, 0
        left = window.began + expiry - now
        return WindowCounts(window.previous, left if window.previous else 0.0, window.current, left + expiry)

"""The counters of all callers in one storage: take, charge, give back, read."""

from __future__ import annotations

from limits.aio.strategies import SlidingWindowCounterRateLimiter

from gateway.rate_limits.limit_kinds import LimitKind, RateLimitOptions
from gateway.rate_limits.memory_windows import MemoryWindows
from gateway.rate_limits.redis_windows import RedisWindows
from gateway.rate_limits.window_counts import WindowCounts

_NO_LIMIT = 1 << 50


class LimitCounters:
    """Counters by caller and kind. What has no limit is not counted."""

    def __init__(self, windows: MemoryWindows | RedisWindows, options: RateLimitOptions) -> None:
        self._windows = windows
        self._items = options.items
        self._strategy = SlidingWindowCounterRateLimiter(windows)

    async def take(self, kind: LimitKind, caller: str, amount: int) -> bool:
        """Take an amount if it is left. Returns whether it was."""
        return await self._strategy.hit(self._items[kind], caller, cost=amount)

    async def charge(self, kind: LimitKind, caller: str, amount: int) -> None:
        """Count an amount that was used already, whether it was left or not."""
        item = self._items[kind]
        await self._windows.acquire_sliding_window_entry(item.key_for(caller), _NO_LIMIT, item.get_expiry(), amount)

    async def give_back(self, kind: LimitKind, caller: str, amount: int, age_seconds: float) -> None:
        """Give back an amount that was taken so many seconds ago and not used."""
        item = self._items[kind]
        await self._windows.release_sliding_window_entry(item.key_for(caller), item.get_expiry(), amount, age_seconds)

    async def read(self, kind: LimitKind, caller: str) -> WindowCounts:
        """Read the counts of one limit."""
        item = self._items[kind]
        return await self._windows.get_sliding_window(item.key_for(caller), item.get_expiry())

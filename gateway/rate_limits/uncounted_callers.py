"""The deeds of callers whose credential the upstream has not accepted yet: they are counted once it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from cachetools import TTLCache

from gateway.rate_limits.limit_kinds import LimitKind

MAX_UNCOUNTED = 1_000
"""The callers that a process remembers before the upstream accepted them; the oldest go first."""


class UncountedCallers:
    """Amounts by caller, forgotten after a window. They refuse nobody, and are never stored in Redis."""

    def __init__(self, window_seconds: float, clock: Callable[[], float], max_callers: int = MAX_UNCOUNTED) -> None:
        self._amounts: TTLCache[str, Counter[LimitKind]] = TTLCache(max_callers, window_seconds, timer=clock)

    def __len__(self) -> int:
        """Count the callers."""
        return len(self._amounts)

    def add(self, caller: str, amounts: Counter[LimitKind]) -> None:
        """Add what a caller did."""
        self._amounts[caller] = self._amounts.get(caller, Counter()) + amounts

    def pop(self, caller: str) -> Counter[LimitKind]:
        """Take out what a caller did, because its credential is accepted now."""
        return self._amounts.pop(caller, Counter())

"""When to poll: the delay until the next poll of one object, and the rate limit of all polls of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_MAX_GROWTH_STEPS = 64


@dataclass(frozen=True, slots=True)
class PollIntervals:
    """Limits of the adaptive interval: short after a change, longer with each poll that shows none.

    `waiting_*` apply to a run that waits for its caller, `failing_*` to polls that fail.
    """

    min_seconds: float = 0.25
    max_seconds: float = 5.0
    growth: float = 1.5
    waiting_min_seconds: float = 1.0
    waiting_max_seconds: float = 10.0
    failing_min_seconds: float = 0.5
    failing_max_seconds: float = 30.0


def next_poll_delay_seconds(
    intervals: PollIntervals,
    *,
    unchanged_polls: int = 0,
    failed_polls: int = 0,
    is_waiting: bool = False,
    retry_after_ms: int | None = None,
) -> float:
    """Return the seconds until the next poll, at least `retry_after_ms` of the upstream. Pure.

    `unchanged_polls` and `failed_polls` count polls in a row.
    """
    if failed_polls:
        shortest, longest = intervals.failing_min_seconds, intervals.failing_max_seconds
        delay = _backoff_seconds(shortest, longest, 2.0, failed_polls - 1)
    elif is_waiting:
        shortest, longest = intervals.waiting_min_seconds, intervals.waiting_max_seconds
        delay = _backoff_seconds(shortest, longest, intervals.growth, unchanged_polls)
    else:
        delay = _backoff_seconds(intervals.min_seconds, intervals.max_seconds, intervals.growth, unchanged_polls)
    return max(delay, (retry_after_ms or 0) / 1000)


def _backoff_seconds(shortest: float, longest: float, growth: float, steps: int) -> float:
    return float(min(longest, shortest * growth ** min(steps, _MAX_GROWTH_STEPS)))


class RateLimiter:
    """At most `per_second` permits a second, and `burst` at once after a pause. First come, first served.

    `now` is a monotonic clock.
    """

    def __init__(
        self,
        *,
        per_second: float,
        burst: int,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._interval_seconds = 1 / per_second
        self._tolerance_seconds = (burst - 1) * self._interval_seconds
        self._now = now
        self._sleep = sleep
        self._next_at = now()

    async def acquire(self) -> None:
        """Wait for a permit."""
        now = self._now()
        pause_seconds = self._next_at - self._tolerance_seconds - now
        self._next_at = max(self._next_at, now) + self._interval_seconds
        if pause_seconds > 0:
            try:
                await self._sleep(pause_seconds)
            except asyncio.CancelledError:
                # A cancelled wait returns its permit, so that later callers do not wait for it.
                self._next_at -= self._interval_seconds
                raise

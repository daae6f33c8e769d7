"""One limit for all who poll: turns are given out at an even rate, after a burst."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class RateLimiter:
    """At most `per_second` turns a second, and `burst` at once after a pause; who comes first has the first turn.

    `now` is a clock that does not go back.
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
        """Wait for a turn."""
        now = self._now()
        pause_seconds = self._next_at - self._tolerance_seconds - now
        self._next_at = max(self._next_at, now) + self._interval_seconds
        if pause_seconds > 0:
            try:
                await self._sleep(pause_seconds)
            except asyncio.CancelledError:
                # Who leaves without a turn is not to keep those waiting who come later.
                self._next_at -= self._interval_seconds
                raise

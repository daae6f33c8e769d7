"""Tells the time and waits for it, so that a run's life can be driven by a test."""

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """Says what time it is, in unix seconds, and waits for a later one."""

    def now(self) -> float:
        """Return the present instant in unix seconds."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Return once ``now()`` is at least ``when``; at once if it already is."""
        ...


class SystemClock:
    """The machine's own clock, but one that never goes back: what a stream has shown stays in the past."""

    def __init__(self) -> None:
        self._latest = 0.0

    def now(self) -> float:
        """Return the present instant in unix seconds."""
        self._latest = max(self._latest, time.time())
        return self._latest

    async def sleep_until(self, when: float) -> None:
        """Return once the machine's clock shows ``when`` or later."""
        # The event loop sleeps by the monotonic clock, so the wall clock may still be short of it on waking.
        while (remaining := when - self.now()) > 0:  # noqa: ASYNC110 - no event tells of the time
            await asyncio.sleep(remaining)


class ManualClock:
    """A clock that stands still until it is advanced."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        """Return the instant that the clock was last advanced to."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward and wake whoever waited for an instant that has now come, earliest first."""
        if seconds < 0:
            message = f"expected a number of seconds of at least 0, got {seconds}"
            raise ValueError(message)
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)

    async def sleep_until(self, when: float) -> None:
        """Return once the clock has been advanced to ``when`` or later."""
        if when <= self._now:
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (when, next(self._order), woken))
        await woken

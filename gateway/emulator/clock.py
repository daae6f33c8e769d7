"""Clocks: the present time and a way to wait for a later one. A test can drive runs with a manual clock."""

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """A source of the present time in unix seconds that can wait for a later time."""

    def now(self) -> float:
        """Return the present time in unix seconds."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Return once `now()` is at least `when`, or at once if it already is."""
        ...


class SystemClock:
    """The machine's own clock, except that it never goes back: an event that was shown stays in the past."""

    def __init__(self) -> None:
        self._latest = 0.0

    def now(self) -> float:
        """Return the present time in unix seconds."""
        self._latest = max(self._latest, time.time())
        return self._latest

    async def sleep_until(self, when: float) -> None:
        """Return once the machine's clock shows `when` or later."""
        # The event loop sleeps by the monotonic clock, so the wall clock may still be a little early on waking.
        while (remaining := when - self.now()) > 0:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(remaining)


class ManualClock:
    """A clock that stands still until it is advanced."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        """Return the time that the clock was last advanced to."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward and wake the tasks whose time has come, earliest first.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            message = f"expected a number of seconds of at least 0, got {seconds}"
            raise ValueError(message)
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, wakeup = heapq.heappop(self._sleepers)
            if not wakeup.done():
                wakeup.set_result(None)

    async def sleep_until(self, when: float) -> None:
        """Return once the clock has been advanced to `when` or later."""
        if when <= self._now:
            return
        wakeup = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (when, next(self._order), wakeup))
        await wakeup

"""A deadline that a busy event loop does not use up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def busy_aware_timeout(seconds: float) -> AsyncIterator[None]:
    """Raise `TimeoutError` if the body takes longer than `seconds`.

    A loop that was itself blocked for half of that time proves nothing about the other side: then wait once more.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    timers: list[asyncio.TimerHandle] = []
    async with asyncio.timeout(None) as scope:

        def give_up() -> None:
            if len(timers) == 1 and loop.time() - until > seconds / 2:
                timers.append(loop.call_later(seconds, give_up))
            else:
                scope.reschedule(loop.time())

        timers.append(loop.call_at(until, give_up))
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()

"""A deadline that a busy event loop does not use up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SLICES = 10
"""The parts of a deadline. The event loop has at least so many turns before it is over."""


@asynccontextmanager
async def busy_aware_timeout(seconds: float) -> AsyncIterator[None]:
    """Raise `TimeoutError` if the body takes longer than `seconds`, by which the event loop was late not counted.

    An answer takes several turns of the loop, and a loop whose turns are long proves nothing about the other side. So
    the time is counted in slices, each as one however late the loop comes to its end.
    """
    loop = asyncio.get_running_loop()
    slices_left = SLICES
    timer: asyncio.TimerHandle | None = None
    async with asyncio.timeout(None) as scope:

        def end_slice() -> None:
            nonlocal slices_left, timer
            slices_left -= 1
            if slices_left and seconds > 0:
                timer = loop.call_later(seconds / SLICES, end_slice)
            else:
                scope.reschedule(loop.time())

        timer = loop.call_later(seconds / SLICES, end_slice)
        try:
            yield
        finally:
            timer.cancel()

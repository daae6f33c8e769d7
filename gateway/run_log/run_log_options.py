"""The bounds of run events, and what they need of the world: a clock and a way to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.run_log.poll_timing import PollIntervals
from gateway.run_log.replay_buffer import ReplayBufferLimits

Sleep: TypeAlias = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RunLogOptions:
    """How much is held, how often is asked, and how long is waited.

    `mirror` bounds what each feed holds of its log. `snapshot_every_entries`: how often a writer says again what its
    log is about. `polls_per_second` and `poll_burst` bound all watchers of the process together. `open_seconds`: how
    long a reader waits for the first news of a run. `follow_seconds`: how often who does not lead tries to, and
    `settle_seconds`: how long it waits for more news before it tries.
    """

    mirror: ReplayBufferLimits = field(default_factory=ReplayBufferLimits)
    poll_intervals: PollIntervals = field(default_factory=PollIntervals)
    snapshot_every_entries: int = 1_000
    polls_per_second: float = 50.0
    poll_burst: int = 20
    open_seconds: float = 30.0
    follow_seconds: float = 1.0
    settle_seconds: float = 0.25


async def wait_for_event(event: asyncio.Event, seconds: float, sleep: Sleep) -> bool:
    """Wait for an event, but not longer than some seconds; tells whether it came."""
    if event.is_set():
        return True
    tasks = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(sleep(seconds))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return event.is_set()

"""Options of run events, and how their parts wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.background_tasks import wait_for_first
from gateway.config import DEFAULTS
from gateway.run_log.poll_timing import PollIntervals
from gateway.run_log.replay_buffer import ReplayBufferLimits

Sleep: TypeAlias = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RunLogOptions:
    """The limits and intervals of run events.

    `mirror` limits the replay buffers of each log. `snapshot_every_entries` is how often a writer repeats the baseline.
    `polls_per_second` and `poll_burst` limit all polls of the process together. `open_seconds` is how long a reader
    waits for a run to become known. A process without the lease tries to acquire it every `follow_seconds`, and waits
    `settle_seconds` after a notification before it tries.
    """

    mirror: ReplayBufferLimits = field(default_factory=ReplayBufferLimits)
    poll_intervals: PollIntervals = field(default_factory=PollIntervals)
    snapshot_every_entries: int = 1_000
    polls_per_second: float = DEFAULTS.gateway_run_polls_per_second
    poll_burst: int = 20
    open_seconds: float = 30.0
    follow_seconds: float = 1.0
    settle_seconds: float = 0.25


async def wait_for_event(event: asyncio.Event, seconds: float, sleep: Sleep) -> bool:
    """Wait for an event, but at most `seconds`. Returns whether the event is set."""
    if event.is_set():
        return True
    await wait_for_first(event.wait(), sleep(seconds))
    return event.is_set()

"""How long to wait before the next look at something that may change. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_STEPS = 64


@dataclass(frozen=True, slots=True)
class PollIntervals:
    """The bounds of an adaptive interval: quick after a change, slower with each look that showed none.

    `waiting_*` are for what waits for its caller, `failing_*` for looks that fail.
    """

    min_seconds: float = 0.25
    max_seconds: float = 5.0
    growth: float = 1.5
    waiting_min_seconds: float = 1.0
    waiting_max_seconds: float = 10.0
    failing_min_seconds: float = 0.5
    failing_max_seconds: float = 30.0


def next_poll_delay_seconds(
    poll_intervals: PollIntervals,
    *,
    unchanged_polls: int = 0,
    failed_polls: int = 0,
    is_waiting: bool = False,
    retry_after_ms: int | None = None,
) -> float:
    """Give the seconds until the next look; never sooner than the upstream asked for.

    `unchanged_polls` and `failed_polls` are how many there were in a row.
    """
    if failed_polls:
        shortest, longest = poll_intervals.failing_min_seconds, poll_intervals.failing_max_seconds
        delay = _grown_delay(shortest, longest, 2.0, failed_polls - 1)
    elif is_waiting:
        delay = _grown_delay(
            poll_intervals.waiting_min_seconds,
            poll_intervals.waiting_max_seconds,
            poll_intervals.growth,
            unchanged_polls,
        )
    else:
        delay = _grown_delay(
            poll_intervals.min_seconds, poll_intervals.max_seconds, poll_intervals.growth, unchanged_polls
        )
    return max(delay, (retry_after_ms or 0) / 1000)


def _grown_delay(shortest: float, longest: float, growth: float, steps: int) -> float:
    return float(min(longest, shortest * growth ** min(steps, _MOST_STEPS)))

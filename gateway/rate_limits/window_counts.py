"""The arithmetic of a sliding window: what counts now, and when something fits. Pure.

A window is approximated by two counters, as the library `limits` has it: the one of the current window counts whole,
the one before by the part of it that the sliding window still covers.
"""

from __future__ import annotations

from math import floor
from typing import NamedTuple


class WindowCounts(NamedTuple):
    """The two counters of one limit and one caller, and the seconds until each of them counts no more."""

    previous: int = 0
    previous_seconds: float = 0.0
    current: int = 0
    current_seconds: float = 0.0


def count_used(counts: WindowCounts, window_seconds: float) -> int:
    """Return how much of a limit is used now."""
    return floor(counts.previous * counts.previous_seconds / window_seconds) + counts.current


def seconds_until_fits(counts: WindowCounts, amount: int, limit: int, window_seconds: float) -> float:
    """Return the seconds until an amount fits into a limit, if nothing more is used meanwhile.

    Expects an amount that is not above the limit.
    """
    if count_used(counts, window_seconds) + amount <= limit:
        return 0.0
    room = limit - amount
    if counts.previous and counts.current <= room:
        return counts.previous_seconds - _covered_seconds(room - counts.current, counts.previous, window_seconds)
    # Not before the current window is the previous one, which begins to leave the sliding window.
    return counts.current_seconds - _covered_seconds(room, counts.current, window_seconds)


def seconds_until_unused(counts: WindowCounts) -> float:
    """Return the seconds until nothing of a limit is used, if nothing more is used meanwhile."""
    return max(counts.previous_seconds if counts.previous else 0.0, counts.current_seconds if counts.current else 0.0)


def _covered_seconds(room: int, count: int, window_seconds: float) -> float:
    """Return for how many seconds the previous window may still count, so that no more than `room` of it do."""
    return min(window_seconds, (room + 1) * window_seconds / count)

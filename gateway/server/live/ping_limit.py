"""The rate at which the pings of one WebSocket are answered, and when they are a flood."""

from __future__ import annotations

from collections.abc import Callable

BURST_PINGS = 50
"""Pings that are answered at once."""

PINGS_PER_SECOND = 20
"""Pings that are answered in a second after that."""


class PingLimit:
    """The pings of one client: frames of the WebSocket and messages of its sub-protocol."""

    __slots__ = ("_delayed_since", "_due_at", "_flood_seconds", "_now")

    def __init__(self, flood_seconds: float, now: Callable[[], float]) -> None:
        """Start without pings."""
        self._flood_seconds = flood_seconds
        self._now = now
        # When the last ping would be due if all were sent at the same distance.
        self._due_at = now() - BURST_PINGS / PINGS_PER_SECOND
        self._delayed_since: float | None = None

    def count(self) -> float | None:
        """Count one ping.

        Returns:
            How many seconds to wait before it is answered and the next message is read, or None if the client has sent
            too many for `flood_seconds` on end, so that its WebSocket is to be closed.
        """
        now = self._now()
        self._due_at = max(self._due_at, now - BURST_PINGS / PINGS_PER_SECOND) + 1 / PINGS_PER_SECOND
        delay = self._due_at - now
        if delay <= 0:
            self._delayed_since = None
        elif self._delayed_since is None:
            self._delayed_since = now
        elif now - self._delayed_since >= self._flood_seconds:
            return None
        return max(0.0, delay)

"""The patience with a client that sends a file: one that is slow is waited for, one that only seems to move is not.

Pure, except for a clock. The rule is a token bucket of seconds: it is full at first, waiting empties it, and bytes fill
it. So nobody holds one of the few places for uploads for long with a byte now and then.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MIN_BYTES_PER_SECOND = 1024
"""The slowest pace that is waited for without end."""


class ClientPace:
    """The patience that is left with one client, in seconds."""

    def __init__(self, max_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with all of it."""
        self._max_seconds = max_seconds
        self._clock = clock
        self._waiting_since = 0.0
        self.seconds_left = max_seconds

    def begin_wait(self) -> None:
        """Begin to wait for the client."""
        self._waiting_since = self._clock()

    def end_wait(self, byte_count: int) -> None:
        """End the wait with this many bytes."""
        waited = self._clock() - self._waiting_since
        earned = byte_count / MIN_BYTES_PER_SECOND
        self.seconds_left = min(self._max_seconds, max(0.0, self.seconds_left - waited) + earned)

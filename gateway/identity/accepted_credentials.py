"""The callers whose own credential the upstream accepted last: only for them is anything counted."""

from __future__ import annotations

import time
from collections.abc import Callable

from cachetools import LRUCache

MAX_ACCEPTED = 10_000
"""The number of accepted callers that a process remembers, the latest."""


class AcceptedCredentials:
    """Principals, by their digest, from an answer by the upstream until it refuses them.

    `now_seconds` is any clock that does not go back.
    """

    def __init__(self, max_accepted: int = MAX_ACCEPTED, *, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._accepted_at: LRUCache[str, float] = LRUCache(max_accepted)
        self._now_seconds = now_seconds

    def __contains__(self, digest: str) -> bool:
        """Return whether the upstream accepted the principal and has not refused it since."""
        return self._accepted_at.get(digest) is not None

    def is_recent(self, digest: str, seconds: float) -> bool:
        """Return whether the upstream answered the principal in the last seconds, and has not refused it since."""
        accepted_at = self._accepted_at.get(digest)
        return accepted_at is not None and self._now_seconds() - accepted_at < seconds

    def record_status(self, digest: str, status: int) -> None:
        """Record the status of a response to a call of the principal."""
        if 200 <= status < 300:
            self._accepted_at[digest] = self._now_seconds()
        elif status == 401:
            self._accepted_at.pop(digest, None)

    def record_accepted(self, digest: str) -> None:
        """Record that something is kept for the principal, which the upstream gave it before, nobody knows when."""
        if digest not in self:
            self._accepted_at[digest] = float("-inf")

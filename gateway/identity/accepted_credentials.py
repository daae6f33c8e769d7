"""The callers whose own credential the upstream accepted last: only for them is anything counted."""

from __future__ import annotations

from cachetools import LRUCache

MAX_ACCEPTED = 10_000
"""The number of accepted callers that a process remembers, the latest."""


class AcceptedCredentials:
    """Principals, by their digest, from an answer by the upstream until it refuses them."""

    def __init__(self, max_accepted: int = MAX_ACCEPTED) -> None:
        self._accepted: LRUCache[str, None] = LRUCache(max_accepted)

    def __contains__(self, digest: str) -> bool:
        """Return whether the upstream accepted the principal and has not refused it since."""
        return self._accepted.get(digest, digest) is None

    def record_status(self, digest: str, status: int) -> None:
        """Record the status of a response to a call of the principal."""
        if 200 <= status < 300:
            self.record_accepted(digest)
        elif status == 401:
            self._accepted.pop(digest, None)

    def record_accepted(self, digest: str) -> None:
        """Record that something is kept for the principal, which the upstream gave it before."""
        self._accepted[digest] = None

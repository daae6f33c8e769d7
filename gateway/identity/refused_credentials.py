"""The callers whose own credential the upstream refused last: nothing that was kept for them may be read."""

from __future__ import annotations

from cachetools import LRUCache

MAX_REFUSED = 100_000
"""The number of refused callers that a process remembers, the latest."""


class RefusedCredentials:
    """Principals, by their digest, from a refusal by the upstream until it accepts them again."""

    def __init__(self, max_refused: int = MAX_REFUSED) -> None:
        self._refused: LRUCache[str, None] = LRUCache(max_refused)

    def __contains__(self, digest: str) -> bool:
        """Return whether the upstream refused the principal and has not accepted it since."""
        return digest in self._refused

    def record_status(self, digest: str, status: int) -> bool:
        """Record the status of a response to a call of the principal. Returns whether it is the first refusal."""
        if 200 <= status < 300:
            self._refused.pop(digest, None)
        if status != 401:
            return False
        is_first = digest not in self._refused
        self._refused[digest] = None
        return is_first

"""The pauses that the upstream asks for with Retry-After, one for each credential. Pure, except for a clock."""

from collections.abc import Callable

from gateway.upstream.upstream_options import MAX_TRACKED_CALLERS

MAX_PAUSE_SECONDS = 60.0
"""After this time one call is sent again, whatever delay was asked for."""

TOLERANCE_SECONDS = 0.001
"""A rest of a pause that counts as none, since a sleep may end a moment early."""


class RateLimitPauses:
    """Stores until when no call is to be sent under a credential."""

    def __init__(self, monotonic_seconds: Callable[[], float], *, max_credentials: int = MAX_TRACKED_CALLERS) -> None:
        self._monotonic_seconds = monotonic_seconds
        self._max_credentials = max_credentials
        self._ends: dict[str | None, float] = {}

    def begin_pause(self, credential: str | None, seconds: float) -> None:
        """Pause the calls of a credential, for `MAX_PAUSE_SECONDS` at most. Never shortens a pause."""
        now = self._monotonic_seconds()
        end = max(now + min(seconds, MAX_PAUSE_SECONDS), self._ends.pop(credential, now))
        self._ends = {other: other_end for other, other_end in self._ends.items() if other_end > now}
        self._ends[credential] = end
        if len(self._ends) > self._max_credentials:
            del self._ends[next(iter(self._ends))]

    def remaining_seconds(self, credential: str | None) -> float:
        """Return the rest of the pause of a credential, or 0 if there is none."""
        end = self._ends.get(credential)
        if end is None:
            return 0.0
        remaining = end - self._monotonic_seconds()
        if remaining > TOLERANCE_SECONDS:
            return remaining
        del self._ends[credential]
        return 0.0

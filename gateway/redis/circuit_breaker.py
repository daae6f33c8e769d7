"""A circuit breaker: after a failure nobody tries for a while, then one tries for all. Pure."""

from __future__ import annotations

from collections.abc import Callable


class CircuitBreaker:
    """Tells whether a service is worth a try; `now_seconds` is any clock that does not go back."""

    def __init__(self, now_seconds: Callable[[], float], *, open_seconds: float) -> None:
        self._now_seconds = now_seconds
        self._open_seconds = open_seconds
        self._closed_again_at: float | None = None
        self._probing = False

    @property
    def is_closed(self) -> bool:
        """Whether the last try succeeded."""
        return self._closed_again_at is None

    def admits(self) -> bool:
        """Tell whether to try now; while open, it admits one at a time once the pause is over.

        Whoever was admitted says how it went: `succeeded`, `failed` or `gave_up`.
        """
        if self._closed_again_at is None:
            return True
        if self._probing or self._now_seconds() < self._closed_again_at:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Note that the service answered."""
        self._closed_again_at = None
        self._probing = False

    def failed(self) -> None:
        """Note that it did not: from now on there is a pause."""
        self._closed_again_at = self._now_seconds() + self._open_seconds
        self._probing = False

    def gave_up(self) -> None:
        """Note that nobody waited for the answer: the next may try."""
        self._probing = False

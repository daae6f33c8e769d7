"""A circuit breaker: closed, open after a failure, half-open after a pause. Pure."""

from __future__ import annotations

from collections.abc import Callable


class CircuitBreaker:
    """Decides whether a request to a service may be sent.

    Closed, it allows every request. A failure opens it: for `open_seconds` it allows none. Then it is half-open and
    allows one request at a time, the probe: a success closes it, a failure opens it again.

    The caller reports the outcome of each request that was allowed with `record_success`, `record_failure` or
    `record_abandoned`. `now_seconds` is any clock that does not go back.
    """

    def __init__(self, now_seconds: Callable[[], float], *, open_seconds: float) -> None:
        self._now_seconds = now_seconds
        self._open_seconds = open_seconds
        self._half_open_at: float | None = None
        self._probe_in_flight = False

    @property
    def is_closed(self) -> bool:
        """Whether no failure was reported since the last success."""
        return self._half_open_at is None

    def allow_request(self) -> bool:
        """Return whether a request may be sent now; while half-open, the allowed request becomes the probe."""
        if self._half_open_at is None:
            return True
        if self._probe_in_flight or self._now_seconds() < self._half_open_at:
            return False
        self._probe_in_flight = True
        return True

    def record_success(self) -> None:
        """Close the breaker: the service answered."""
        self._half_open_at = None
        self._probe_in_flight = False

    def record_failure(self) -> None:
        """Open the breaker for `open_seconds`: the service did not answer."""
        self._half_open_at = self._now_seconds() + self._open_seconds
        self._probe_in_flight = False

    def record_abandoned(self) -> None:
        """Let the next request be the probe: the caller did not wait for the answer, so the state is unchanged."""
        self._probe_in_flight = False

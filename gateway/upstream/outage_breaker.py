"""A circuit breaker for one kind of operation that no single caller can open for the others. Pure, except for a clock.

The breaker of Redis (`gateway.redis.circuit_breaker`) opens on one failure and has one trial in flight, which suits one
client of a quick server. Here many callers share an upstream, any of them may send calls that always fail, and a trial
may hang until the deadline.
"""

from collections.abc import Callable

from gateway.upstream.upstream_options import MAX_TRACKED_CALLERS

WINDOW_SECONDS = 10.0
TRIAL_SECONDS = 0.4
"""The time between two trials. The same caller makes the next one only after twice this time."""

MIN_FAILURES = 10


class OutageBreaker:
    """Decides whether a call may be sent, from the latest outcome of each caller in a window of ten seconds.

    Closed, it lets every call pass. It opens when the latest calls of at least half of the callers failed, of two
    callers at least unless there is only one, and when these callers failed `MIN_FAILURES` times in a row in all. If
    only one caller fails, it is open for this caller alone. While open, it lets one call pass every `TRIAL_SECONDS`; an
    answer to any call closes it.
    """

    def __init__(self, monotonic_seconds: Callable[[], float], *, max_callers: int = MAX_TRACKED_CALLERS) -> None:
        self._monotonic_seconds = monotonic_seconds
        self._max_callers = max_callers
        self._window_end = 0.0
        # The failures in a row of each caller that was seen in the window. A caller that got an answer has 0.
        self._failures: dict[str, int] = {}
        self._failing_callers = 0
        self._failures_in_all = 0
        self._next_trial_at: float | None = None
        self._last_trial_caller: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the breaker holds calls back, at least those of one caller."""
        return self._next_trial_at is not None

    def admit_call(self, caller: str) -> float:
        """Decide about a call that is about to be sent.

        Returns:
            0 if it may be sent, otherwise the seconds until the next trial.
        """
        if self._next_trial_at is None or (self._failing_callers == 1 and not self._failures.get(caller)):
            return 0.0
        now = self._monotonic_seconds()
        # A caller whose calls always fail must not take the trials from callers whose calls would succeed.
        trial_at = self._next_trial_at + (TRIAL_SECONDS if caller == self._last_trial_caller else 0.0)
        if now < trial_at:
            return trial_at - now
        self._next_trial_at = now + TRIAL_SECONDS
        self._last_trial_caller = caller
        return 0.0

    def record_answer(self, caller: str) -> None:
        """Close the breaker: the upstream works, whether it did as asked or refused."""
        now = self._monotonic_seconds()
        if self._next_trial_at is not None or now >= self._window_end:
            self._begin_window(now)
        self._record_failures(caller, 0)

    def record_failure(self, caller: str) -> None:
        """Count a call that the upstream failed to answer, and open the breaker if enough callers agree."""
        now = self._monotonic_seconds()
        if self._next_trial_at is None and now >= self._window_end:
            self._begin_window(now)
        self._record_failures(caller, self._failures.get(caller, 0) + 1)
        if self._next_trial_at is None and self._is_outage():
            self._next_trial_at = now + TRIAL_SECONDS

    def _is_outage(self) -> bool:
        callers = len(self._failures)
        return self._failing_callers >= max(min(callers, 2), callers / 2) and self._failures_in_all >= MIN_FAILURES

    def _begin_window(self, now: float) -> None:
        self._window_end = now + WINDOW_SECONDS
        self._failures.clear()
        self._failing_callers = self._failures_in_all = 0
        self._next_trial_at = self._last_trial_caller = None

    def _record_failures(self, caller: str, failures: int) -> None:
        before = self._failures.get(caller)
        if before is None and len(self._failures) >= self._max_callers:
            return
        self._failures[caller] = failures
        self._failing_callers += bool(failures) - bool(before)
        self._failures_in_all += failures - (before or 0)

"""Decides whether the calls of a caller may be sent, and learns from their outcomes. Pure, except for a clock."""

import math
from collections.abc import Callable

from gateway.upstream.outage_breaker import OutageBreaker
from gateway.upstream.rate_limit_pauses import RateLimitPauses
from gateway.upstream.retry import CallFailure
from gateway.upstream.retry_budget import RetryBudget
from schema.contract.errors import ErrorCode, GatewayError


class CallAdmission:
    """The state of one upstream: the budget of retries, the pauses, and a breaker for each operation."""

    def __init__(self, monotonic_seconds: Callable[[], float]) -> None:
        self._monotonic_seconds = monotonic_seconds
        self.retry_budget = RetryBudget()
        self.pauses = RateLimitPauses(monotonic_seconds)
        self._breakers: dict[str, OutageBreaker] = {}

    def list_open_breakers(self) -> list[str]:
        """List the operations whose breaker is open."""
        return [operation for operation, breaker in self._breakers.items() if breaker.is_open]

    def breaker(self, operation: str) -> OutageBreaker:
        """Return the breaker of an operation, by its id in the specification."""
        breaker = self._breakers.get(operation)
        if breaker is None:
            breaker = self._breakers[operation] = OutageBreaker(self._monotonic_seconds)
        return breaker


class CallerAdmission:
    """The admission of one caller's calls, which are sent with one upstream credential.

    `caller` is whose calls are counted together. Callers may share a credential.
    """

    def __init__(self, admission: CallAdmission, caller: str, credential: str | None) -> None:
        self._admission = admission
        self._caller = caller
        self._credential = credential

    @property
    def pause_seconds(self) -> float:
        """The rest of the pause that the upstream asked for, or 0."""
        return self._admission.pauses.remaining_seconds(self._credential)

    def refusal(self, operation: str) -> CallFailure | None:
        """Return why a call must not be sent now, or None if it is to be sent."""
        pause_seconds = self.pause_seconds
        if pause_seconds:
            code, reason = ErrorCode.RATE_LIMITED, "it asked for a pause"
        else:
            pause_seconds = self._admission.breaker(operation).admit_call(self._caller)
            if not pause_seconds:
                return None
            code, reason = ErrorCode.UPSTREAM_FAILED, f"the latest calls of {operation} failed"
        message = f"The upstream was not asked, because {reason}."
        return CallFailure(GatewayError(code, message, retry_after_ms=math.ceil(pause_seconds * 1000)), refused=True)

    def take_retry(self) -> bool:
        """Take a retry from the budget. Returns False if there is none left."""
        return self._admission.retry_budget.take_retry(self._caller)

    def record_outcome(self, operation: str, failure: CallFailure | None) -> None:
        """Learn from a call that was sent. `failure` is None if it succeeded."""
        admission = self._admission
        if failure is None or not failure.transient:
            admission.retry_budget.record_answer(self._caller)
        if failure is not None and failure.pause_seconds:
            admission.pauses.begin_pause(self._credential, failure.pause_seconds)
        if failure is not None and failure.is_outage:
            self.record_outage(operation)
        else:
            admission.breaker(operation).record_answer(self._caller)

    def record_outage(self, operation: str) -> None:
        """Count a call that the upstream failed to answer."""
        self._admission.breaker(operation).record_failure(self._caller)

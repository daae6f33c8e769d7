"""Decides whether and when a failed read is sent again. A write is never sent again. Pure.

Sent again are reads that failed before or during the response (a refused or reset connection, a body cut short), and
statuses that the upstream calls temporary (429, 502, 503, 504). If the deadline leaves no time for the wait, the caller
gets the error at once, with the upstream's requested delay in `retry_after_ms`. The budget of retries has to agree; see
`retry_budget`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from schema.contract.errors import ErrorCode, GatewayError

MAX_RETRIES = 2
BASE_DELAY_SECONDS = 0.2
MAX_BACKOFF_SECONDS = 5.0
MAX_PAUSE_WAIT_SECONDS = 1.0
"""Longest rest of a pause that a call waits for before it is sent at all."""

TRANSIENT_STATUSES = frozenset({429, 502, 503, 504})
PAUSE_STATUSES = frozenset({429, 503})
MAY_HAVE_TAKEN_PLACE = "The write may have taken place: look before you send it again."


@dataclass(frozen=True, slots=True)
class CallFailure:
    """The failure of one call.

    `transient`: the same read may succeed a moment later. `refused`: the upstream has said that it did not do the work.
    After any other failure, it may have done it. `status`: the status of the response, if it was an error.
    """

    error: GatewayError
    transient: bool = False
    refused: bool = False
    status: int | None = None

    @property
    def is_outage(self) -> bool:
        """Whether the upstream itself failed: a 5xx, no connection, or no response in time.

        A 501 is an answer about one operation, and a 408 is about the request.
        """
        if self.status is not None:
            return self.status >= 500 and self.status != 501
        return self.error.code in {ErrorCode.UPSTREAM_UNREACHABLE, ErrorCode.UPSTREAM_TIMEOUT}

    @property
    def pause_seconds(self) -> float:
        """The time in which the upstream wants no more calls under the same credential, or 0."""
        if self.status not in PAUSE_STATUSES or self.error.retry_after_ms is None:
            return 0.0
        return self.error.retry_after_ms / 1000


def delay_before_retry(
    failure: CallFailure, *, retries_made: int, remaining_seconds: float, random_fraction: Callable[[], float]
) -> float | None:
    """Compute the wait before a read is sent again, in seconds.

    `retries_made` is the number of retries so far. `random_fraction` returns a number from 0 to 1. The delay has full
    jitter below a limit that doubles with each retry. A Retry-After of the upstream is the minimum, and the jitter is
    added to it, so that callers with the same Retry-After do not all return at the same moment.

    Returns:
        The delay, or None if the read is not to be sent again.
    """
    if not failure.transient or retries_made >= MAX_RETRIES:
        return None
    delay = random_fraction() * min(MAX_BACKOFF_SECONDS, BASE_DELAY_SECONDS * 2**retries_made)
    if failure.error.retry_after_ms is not None:
        delay += failure.error.retry_after_ms / 1000
    return delay if delay < remaining_seconds else None


def delay_before_first_call(
    pause_seconds: float, *, remaining_seconds: float, random_fraction: Callable[[], float]
) -> float | None:
    """Compute the wait for the end of a pause before a call is sent for the first time, in seconds.

    A call waits for the end of a short pause, because users hardly notice the delay, but would notice an error. It does
    not wait for the end of a longer one: its failure is known already, and a stale answer may be at hand.

    Returns:
        The delay, or None if the call is not to wait. Then it fails.
    """
    delay = pause_seconds + random_fraction() * BASE_DELAY_SECONDS
    return delay if pause_seconds <= MAX_PAUSE_WAIT_SECONDS and delay < remaining_seconds else None


def write_error(failure: CallFailure, *, sent: bool) -> GatewayError:
    """Build the error of a failed write. Its message says so if the write may have taken place.

    `sent`: a part of the request may have left. Then only a refusal is certain. All other errors are not retryable,
    even if their code usually is, because a second request might do the work twice.
    """
    error = failure.error
    if failure.refused or not sent:
        return error
    return GatewayError(
        error.code,
        f"{error.message} {MAY_HAVE_TAKEN_PLACE}",
        retryable=False,
        upstream_request_id=error.upstream_request_id,
        argument=error.argument,
    )

"""Whether a failed read is sent again, and when; a write is never sent again. Pure.

Again: what failed before an answer came or while it came (a refused or reset connection, a body cut short) and what
the upstream calls passing (429, 502, 503, 504). A wait that the deadline forbids is not begun: the caller gets the
error at once, with the upstream's own wish in `retry_after_ms`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from schema.contract.errors import GatewayError

MAX_FURTHER_TRIES = 2
BASE_DELAY_SECONDS = 0.2
MAX_BACKOFF_SECONDS = 5.0
TRANSIENT_STATUSES = frozenset({429, 502, 503, 504})
MAY_HAVE_TAKEN_PLACE = "The write may have taken place: look before you send it again."


@dataclass(frozen=True, slots=True)
class CallFailure:
    """What kept an answer away.

    `transient`: the same read may well succeed in a moment. `declined`: the upstream has said that it did not do what
    was asked; after any other failure nobody knows.
    """

    error: GatewayError
    transient: bool = False
    declined: bool = False


def delay_before_retry(
    failure: CallFailure, *, further_tries: int, remaining_seconds: float, random: Callable[[], float]
) -> float | None:
    """Seconds to wait before the read is sent again, or None when it is not to be.

    `further_tries` were made already; `random` answers from 0 to 1. The delay has full jitter below a doubling bound.
    What the upstream asked for with Retry-After is the least; the jitter comes on top, so that those who were told
    the same moment do not all come in it.
    """
    if not failure.transient or further_tries >= MAX_FURTHER_TRIES:
        return None
    delay = random() * min(MAX_BACKOFF_SECONDS, BASE_DELAY_SECONDS * 2**further_tries)
    if failure.error.retry_after_ms is not None:
        delay += failure.error.retry_after_ms / 1000
    return delay if delay < remaining_seconds else None


def error_of_write(failure: CallFailure, *, sent: bool) -> GatewayError:
    """The error of a write that failed: its message says so where the write may have taken place all the same.

    `sent`: some of the request may have left. Then only a refusal is certain, and anything else is not retryable,
    whatever its code promises: the same write once more might be the second.
    """
    error = failure.error
    if failure.declined or not sent:
        return error
    return GatewayError(
        error.code,
        f"{error.message} {MAY_HAVE_TAKEN_PLACE}",
        retryable=False,
        upstream_request_id=error.upstream_request_id,
        argument=error.argument,
    )

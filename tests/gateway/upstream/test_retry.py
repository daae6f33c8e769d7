import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.retry import (
    MAX_RETRIES,
    MAY_HAVE_TAKEN_PLACE,
    CallFailure,
    delay_before_first_call,
    delay_before_retry,
    write_error,
)
from schema.contract.errors import ErrorCode, GatewayError


def failure(retry_after_ms: int | None = None, *, transient: bool = True) -> CallFailure:
    return CallFailure(GatewayError(ErrorCode.RATE_LIMITED, "slow down", retry_after_ms=retry_after_ms), transient)


@pytest.mark.parametrize(
    ("failed", "retries_made", "remaining_seconds", "fraction", "expected"),
    [
        (failure(), 0, 30.0, 1.0, 0.2),
        (failure(), 0, 30.0, 0.0, 0.0),
        (failure(), 1, 30.0, 1.0, 0.4),
        (failure(), 1, 30.0, 0.25, 0.1),
        (failure(), 2, 30.0, 1.0, None),
        (failure(transient=False), 0, 30.0, 1.0, None),
        (failure(2000), 0, 30.0, 0.0, 2.0),
        (failure(2000), 0, 30.0, 1.0, 2.2),
        (failure(30_000), 0, 30.0, 0.0, None),
        (failure(0), 1, 30.0, 0.5, 0.2),
        (failure(), 0, 0.1, 1.0, None),
        (failure(), 0, -1.0, 0.0, None),
    ],
)
def test_the_delay_of_each_failure(
    failed: CallFailure, retries_made: int, remaining_seconds: float, fraction: float, expected: float | None
) -> None:
    delay = delay_before_retry(
        failed, retries_made=retries_made, remaining_seconds=remaining_seconds, random_fraction=lambda: fraction
    )
    assert delay == (expected if expected is None else pytest.approx(expected))


@given(
    st.none() | st.integers(0, 86_400_000),
    st.booleans(),
    st.integers(0, 5),
    st.floats(-1, 60),
    st.floats(0, 1),
)
def test_a_delay_is_above_retry_after_below_its_bound_and_within_the_deadline(
    retry_after_ms: int | None, transient: bool, retries_made: int, remaining_seconds: float, fraction: float
) -> None:
    failed = failure(retry_after_ms, transient=transient)
    delay = delay_before_retry(
        failed, retries_made=retries_made, remaining_seconds=remaining_seconds, random_fraction=lambda: fraction
    )
    if delay is None:
        return
    assert transient
    assert retries_made < MAX_RETRIES
    assert (retry_after_ms or 0) / 1000 <= delay < remaining_seconds


@pytest.mark.parametrize(
    ("pause_seconds", "remaining_seconds", "fraction", "expected"),
    [
        (0.5, 30.0, 0.0, 0.5),
        (0.5, 30.0, 0.5, 0.6),
        (1.0, 30.0, 1.0, 1.2),
        (1.01, 30.0, 0.0, None),
        (0.5, 0.5, 0.0, None),
    ],
)
def test_only_the_end_of_a_short_pause_is_waited_for(
    pause_seconds: float, remaining_seconds: float, fraction: float, expected: float | None
) -> None:
    delay = delay_before_first_call(
        pause_seconds, remaining_seconds=remaining_seconds, random_fraction=lambda: fraction
    )
    assert delay == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("code", "status", "is_outage", "pause_seconds"),
    [
        (ErrorCode.RATE_LIMITED, 429, False, 7.0),
        (ErrorCode.UPSTREAM_FAILED, 500, True, 0.0),
        (ErrorCode.UNSUPPORTED_BY_UPSTREAM, 501, False, 0.0),
        (ErrorCode.UPSTREAM_FAILED, 502, True, 0.0),
        (ErrorCode.UPSTREAM_FAILED, 503, True, 7.0),
        (ErrorCode.UPSTREAM_TIMEOUT, 504, True, 0.0),
        (ErrorCode.UPSTREAM_TIMEOUT, 408, False, 0.0),
        (ErrorCode.NOT_FOUND, 404, False, 0.0),
        (ErrorCode.UPSTREAM_UNREACHABLE, None, True, 0.0),
        (ErrorCode.UPSTREAM_TIMEOUT, None, True, 0.0),
        (ErrorCode.UPSTREAM_INVALID_RESPONSE, None, False, 0.0),
        (ErrorCode.INTERNAL, None, False, 0.0),
    ],
)
def test_the_failures_that_open_a_breaker_or_begin_a_pause(
    code: ErrorCode, status: int | None, is_outage: bool, pause_seconds: float
) -> None:
    failed = CallFailure(GatewayError(code, "no", retry_after_ms=7000), status=status)
    assert (failed.is_outage, failed.pause_seconds) == (is_outage, pause_seconds)


@pytest.mark.parametrize(("sent", "refused"), [(False, False), (False, True), (True, True)])
def test_a_write_that_certainly_did_not_take_place_has_its_plain_error(sent: bool, refused: bool) -> None:
    failed = CallFailure(GatewayError(ErrorCode.RATE_LIMITED, "slow down", retry_after_ms=7), refused=refused)
    assert write_error(failed, sent=sent) is failed.error
    assert failed.error.retryable


def test_a_write_that_may_have_taken_place_is_not_retryable() -> None:
    failed = CallFailure(
        GatewayError(ErrorCode.UPSTREAM_FAILED, "Busy.", retry_after_ms=7, upstream_request_id="req_1"), transient=True
    )
    error = write_error(failed, sent=True)
    assert error.extensions == {"code": "UPSTREAM_FAILED", "retryable": False, "upstreamRequestId": "req_1"}
    assert error.message == f"Busy. {MAY_HAVE_TAKEN_PLACE}"

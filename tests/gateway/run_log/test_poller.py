"""One result is given, or its error raised."""

import pytest

from gateway.run_log.poller import FATAL_CODES, single_result
from schema.contract.errors import RETRYABLE_CODES, ErrorCode, GatewayError


def test_the_one_result_is_given_or_raised() -> None:
    assert single_result([3]) == 3
    with pytest.raises(GatewayError, match=r"No\."):
        single_result([GatewayError(ErrorCode.NOT_FOUND, "No.")])


def test_what_may_pass_ends_nobody() -> None:
    assert not FATAL_CODES & RETRYABLE_CODES
    assert ErrorCode.UPSTREAM_INVALID_RESPONSE not in FATAL_CODES

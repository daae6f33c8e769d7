"""The single result of a port call is returned, or raised if it is an error."""

import pytest

from gateway.run_log.poller import FATAL_CODES, single_result
from schema.contract.errors import RETRYABLE_CODES, ErrorCode, GatewayError


def test_a_single_result_is_returned_or_raised() -> None:
    assert single_result([3]) == 3
    with pytest.raises(GatewayError, match=r"No\."):
        single_result([GatewayError(ErrorCode.NOT_FOUND, "No.")])


def test_a_retryable_code_is_never_fatal() -> None:
    assert not FATAL_CODES & RETRYABLE_CODES
    assert ErrorCode.UPSTREAM_INVALID_RESPONSE not in FATAL_CODES

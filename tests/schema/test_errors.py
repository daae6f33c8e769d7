import pytest

from schema.errors import RETRYABLE_CODES, ErrorCode, GatewayError, bad_argument


@pytest.mark.parametrize("code", ErrorCode)
def test_whether_trying_again_can_help_follows_from_the_code_unless_it_is_said(code: ErrorCode) -> None:
    assert GatewayError(code, "no").extensions == {"code": code.value, "retryable": code in RETRYABLE_CODES}
    assert GatewayError(code, "no", retryable=True).extensions["retryable"] is True
    assert GatewayError(code, "no", retryable=False).extensions["retryable"] is False


def test_extensions_hold_what_a_program_needs_to_act() -> None:
    error = GatewayError(
        ErrorCode.RATE_LIMITED, "slow down", retry_after_ms=0, upstream_request_id="req_1", argument="id"
    )
    assert str(error) == error.message == "slow down"
    assert error.extensions == {
        "code": "RATE_LIMITED",
        "retryable": True,
        "retryAfterMs": 0,
        "upstreamRequestId": "req_1",
        "argument": "id",
    }


@pytest.mark.parametrize("got", ["x" * 10_000, "\n\x00" * 100, None, 5, ["x"] * 1000])
def test_a_refused_argument_is_shown_short_and_without_control_characters(got: object) -> None:
    error = bad_argument("id", "an id", got)
    assert error.message.startswith("Argument 'id': expected an id, got ")
    assert len(error.message) < 130
    assert error.message.isprintable()


def test_an_error_can_be_told_in_the_callers_own_words_for_the_argument() -> None:
    upstream = GatewayError(
        ErrorCode.BAD_USER_INPUT, "Invalid 'thread_id': 'x'.", upstream_request_id="req_1", argument="thread_id"
    )
    own = upstream.about("id")
    assert own.message == "Argument 'id': Invalid 'thread_id': 'x'."
    assert own.extensions == upstream.extensions | {"argument": "id"}

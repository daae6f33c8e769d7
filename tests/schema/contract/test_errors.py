import pytest

from schema.contract.errors import (
    MAX_VALUE_LENGTH,
    RETRYABLE_CODES,
    ErrorCode,
    GatewayError,
    bad_argument,
    format_value,
)


@pytest.mark.parametrize("code", ErrorCode)
def test_the_code_decides_whether_a_retry_can_help_unless_it_is_set(code: ErrorCode) -> None:
    assert GatewayError(code, "no").extensions == {"code": code.value, "retryable": code in RETRYABLE_CODES}
    assert GatewayError(code, "no", retryable=True).extensions["retryable"] is True
    assert GatewayError(code, "no", retryable=False).extensions["retryable"] is False


def test_extensions_hold_the_facts_that_a_program_needs() -> None:
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


def test_an_error_can_take_the_callers_own_name_for_the_argument() -> None:
    upstream = GatewayError(
        ErrorCode.BAD_USER_INPUT, "Invalid 'thread_id': 'x'.", upstream_request_id="req_1", argument="thread_id"
    )
    own = upstream.with_argument("id")
    assert own.message == "Argument 'id': Invalid 'thread_id': 'x'."
    assert own.extensions == upstream.extensions | {"argument": "id"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("Grüße", '"Grüße"'),
        ('a "b"', r'"a \"b\""'),
        ({"a": None, "b": [False, "x"]}, '{"a": null, "b": [false, "x"]}'),
        ("\u202e\ud800", r'"\u202e\ud800"'),
        ({"a": {1}}, '{"a": "{1}"}'),
        ({(1, 2): 3}, "{(1, 2): 3}"),
    ],
)
def test_a_value_is_formatted_as_printable_json(value: object, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize("value", ["x" * 10_000, "\u202e" * 80, {"a": ["x" * 79]}])
def test_a_long_value_is_cut(value: object) -> None:
    assert len(format_value(value)) == MAX_VALUE_LENGTH
    assert format_value(value).endswith("...")


def test_a_deeply_nested_or_circular_value_can_be_formatted() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert format_value(deep) == "something too deeply nested"
    within: list[object] = []
    within.append(within)
    assert format_value(within) == "[[...]]"

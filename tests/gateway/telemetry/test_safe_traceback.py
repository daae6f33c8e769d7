import errno

import pytest

from gateway.telemetry.safe_traceback import MAX_EXCEPTIONS, MAX_TRACEBACK_LENGTH, describe_exception, format_safely

PLANTED = "what a user wrote"


def caught(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Return an error that was raised beside a local variable that holds what a user wrote."""
    local_text = PLANTED
    try:
        raise_because_of(error, cause)
    except BaseException as raised:
        assert local_text
        return raised
    raise AssertionError


def raise_because_of(error: BaseException, cause: BaseException | None) -> None:
    if cause is None:
        raise error
    try:
        raise_because_of(cause, None)
    except BaseException:
        raise error from cause


def test_the_lines_and_the_type_are_shown_and_no_value() -> None:
    text = format_safely(caught(ValueError(f"cannot read {PLANTED}")))
    assert text.startswith("Traceback (most recent call last):\n")
    assert "test_safe_traceback.py" in text
    assert "raise error" in text
    assert text.endswith("ValueError\n")
    assert PLANTED not in text


def test_causes_stand_above_what_they_caused() -> None:
    text = format_safely(caught(RuntimeError(PLANTED), KeyError(PLANTED)))
    assert text.index("KeyError\n") < text.index("The next one was raised because of it") < text.index("RuntimeError\n")
    assert PLANTED not in text


def test_the_members_of_a_group_are_shown() -> None:
    text = format_safely(ExceptionGroup(PLANTED, [ValueError(PLANTED), TypeError(PLANTED)]))
    assert text == "ExceptionGroup\nOne of the group:\nValueError\nOne of the group:\nTypeError\n"


def test_a_long_chain_has_a_bound() -> None:
    error: BaseException = ValueError()
    for _ in range(50):
        error = caught(ValueError("x" * 1000), error)
    text = format_safely(error)
    assert text.count("Traceback") <= MAX_EXCEPTIONS
    assert len(text) <= MAX_TRACEBACK_LENGTH


def test_a_circle_of_causes_ends() -> None:
    one, other = ValueError(), TypeError()
    one.__cause__, other.__cause__ = other, one
    assert format_safely(one).count("Error\n") == 2


def no_such_attribute() -> object:
    return getattr(object(), "missing")  # noqa: B009 - the error is wanted


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOENT, PLANTED, "/path/of/someone"), "FileNotFoundError: [Errno 2] No such file or directory"),
        (ConnectionResetError(PLANTED), "ConnectionResetError"),
        (AttributeError(PLANTED), "AttributeError"),
        (NameError(PLANTED, name=PLANTED), "NameError"),
        (KeyError(PLANTED), "KeyError"),
        (UnicodeDecodeError("utf-8", PLANTED.encode(), 0, 1, PLANTED), "UnicodeDecodeError"),
    ],
)
def test_only_words_of_the_system_are_shown(error: BaseException, expected: str) -> None:
    assert describe_exception(error) == expected


def test_the_interpreter_s_own_words_are_shown() -> None:
    with pytest.raises(AttributeError) as raised:
        no_such_attribute()
    assert describe_exception(raised.value) == "AttributeError: 'object' object has no attribute 'missing'"

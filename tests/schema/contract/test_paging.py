import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey, to_global_id, to_opaque
from schema.contract.paging import CursorScope, PagingLimits, Window, window_from_arguments
from tests.support.full_runs import examples

SCOPE = CursorScope("messages", ("thread_1",))
LIMITS = PagingLimits()
CURSOR = SCOPE.to_cursor("msg_1")

sizes = st.none() | st.integers(-3, 3) | st.sampled_from([999, 1000, 1001, 2**31 - 1])
cursors = st.none() | st.text(max_size=8) | st.sampled_from([CURSOR, CursorScope("runs").to_cursor("run_1"), "msg_1"])


@pytest.mark.parametrize(
    ("arguments", "window"),
    [
        ({}, Window(20, "asc")),
        ({"first": 3}, Window(3, "asc")),
        ({"first": 1000}, Window(1000, "asc")),
        ({"last": 3}, Window(3, "desc")),
        ({"after": CURSOR}, Window(20, "asc", "msg_1")),
        ({"first": 2, "after": CURSOR}, Window(2, "asc", "msg_1")),
        ({"before": CURSOR}, Window(20, "desc", "msg_1")),
        ({"last": 1, "before": CURSOR}, Window(1, "desc", "msg_1")),
        ({"first": None, "last": 1, "after": None}, Window(1, "desc")),
    ],
)
def test_relay_arguments_become_a_window(arguments: dict[str, object], window: Window) -> None:
    assert window_from_arguments(SCOPE, LIMITS, **arguments) == window  # type: ignore[arg-type]  # a table of keyword arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first": 0}, "Argument 'first': expected an integer from 1 to 1000, got 0."),
        ({"first": -1}, "Argument 'first': expected an integer from 1 to 1000, got -1."),
        ({"first": 1001}, "Argument 'first': expected an integer from 1 to 1000, got 1001."),
        ({"last": 0}, "Argument 'last': expected an integer from 1 to 1000, got 0."),
        ({"last": 1001}, "Argument 'last': expected an integer from 1 to 1000, got 1001."),
        ({"first": 1, "last": 2}, "Argument 'last': expected either 'first' or 'last', not both, got 2."),
        ({"after": "a", "before": "b"}, "Argument 'before': expected either 'after' or 'before', not both, got \"b\"."),
        ({"last": 1, "after": "a"}, "Argument 'after': expected 'before' as the companion of 'last', got \"a\"."),
        ({"first": 1, "before": "b"}, "Argument 'before': expected 'after' as the companion of 'first', got \"b\"."),
        ({"after": "abc"}, "Argument 'after': expected a cursor made by this gateway, got \"abc\"."),
        ({"before": ""}, "Argument 'before': expected a cursor made by this gateway, got \"\"."),
    ],
)
def test_a_refusal_names_the_argument_and_what_was_expected(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(GatewayError) as error:
        window_from_arguments(SCOPE, LIMITS, **arguments)  # type: ignore[arg-type]  # a table of keyword arguments
    assert error.value.message == message
    assert error.value.argument is not None
    assert f"'{error.value.argument}'" in message


@given(sizes, cursors, sizes, cursors)
@examples(500)
def test_any_combination_gives_a_window_or_an_error_that_names_an_argument(
    first: int | None, after: str | None, last: int | None, before: str | None
) -> None:
    given_arguments = {"first": first, "after": after, "last": last, "before": before}
    planned: Window | GatewayError
    try:
        planned = window_from_arguments(SCOPE, LIMITS, first=first, after=after, last=last, before=before)
    except GatewayError as error:
        planned = error
    if isinstance(planned, GatewayError):
        assert planned.code is ErrorCode.BAD_USER_INPUT
        assert planned.argument is not None
        assert given_arguments[planned.argument] is not None
    else:
        assert 1 <= planned.limit <= LIMITS.max_page_size
        assert planned.after in {None, "msg_1"}
        assert planned.backwards is (last is not None or before is not None)


def test_the_page_size_limit_is_a_setting() -> None:
    with pytest.raises(GatewayError, match="from 1 to 5, got 6"):
        window_from_arguments(SCOPE, PagingLimits(max_page_size=5), first=6)


@given(st.text("abcXYZ019_.~:@+-", max_size=40).map(lambda rest: f"m{rest}"))
@examples(100)
def test_a_cursor_decodes_to_its_object_id(object_id: str) -> None:
    assert SCOPE.object_id_from_cursor(SCOPE.to_cursor(object_id), "after") == object_id


@pytest.mark.parametrize(
    "foreign",
    [
        CursorScope("messages", ("thread_2",)).to_cursor("msg_1"),
        CursorScope("messages", ("thread_1", "run_1")).to_cursor("msg_1"),
        CursorScope("messages").to_cursor("msg_1"),
        CursorScope("runs", ("thread_1",)).to_cursor("run_1"),
        to_global_id(ThreadKey("thread_1")),
        to_opaque("cursor", "messages", "thread_1", "../runs"),
        to_opaque("cursor", "messages", "thread_1", ""),
        to_opaque("cursor", "messages", "thread_1"),
    ],
)
def test_a_cursor_of_another_list_is_refused(foreign: str) -> None:
    with pytest.raises(GatewayError, match="expected a cursor of this messages connection"):
        SCOPE.object_id_from_cursor(foreign, "after")


@pytest.mark.parametrize("damaged", [CURSOR[:-1], CURSOR[1:], CURSOR + "A", CURSOR.swapcase(), "x" * 10_000, "é", "\0"])
def test_a_damaged_cursor_is_refused(damaged: str) -> None:
    with pytest.raises(GatewayError, match="Argument 'before': expected a cursor made by this gateway") as error:
        SCOPE.object_id_from_cursor(damaged, "before")
    assert len(error.value.message) < 200

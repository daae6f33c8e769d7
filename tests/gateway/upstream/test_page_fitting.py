"""A page is fitted to its window, for servers that ignore parts of the request."""

from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.reply_readers import UnexpectedReplyError, fit_page
from schema.contract.paging import Order, Window
from schema.contract.wire import MessageObject, Page

Sent: TypeAlias = tuple[list[MessageObject], bool]


def listed(*created_at: float) -> list[MessageObject]:
    return [MessageObject(id=f"msg_{second}", created_at=second) for second in created_at]


def page(*created_at: float, has_more: bool = False) -> "Sent":
    return listed(*created_at), has_more


def ids(page: Page[MessageObject]) -> list[str]:
    return [message.id for message in page.data]


@pytest.mark.parametrize(
    ("sent", "window", "expected", "has_more"),
    [
        (page(1, 2, 3), Window(2, "asc"), [1, 2], True),
        (page(3, 2, 1), Window(2, "desc"), [3, 2], True),
        (page(3, 2, 1), Window(5, "asc"), [1, 2, 3], False),
        (page(1, 2, 3), Window(5, "desc"), [3, 2, 1], False),
        (page(3, 2, 1), Window(2, "asc"), [1, 2], True),
        (page(5, 4), Window(2, "asc", "msg_3"), [4, 5], False),
        (page(1, 2, 3, 4, has_more=True), Window(4, "asc", "msg_2"), [3, 4], True),
        (page(1, 2, 3, 4), Window(1, "asc", "msg_2"), [3], True),
        (page(1, 2, has_more=True), Window(2, "asc", "msg_2"), [], False),
        (page(4, 3, 2, has_more=True), Window(5, "asc", "msg_2"), [3, 4], False),
        (page(2, 1, has_more=True), Window(2, "asc", "msg_2"), [], False),
        (page(2, 3, 4, has_more=True), Window(5, "desc", "msg_4"), [3, 2], False),
        (page(0, 5, 0, has_more=True), Window(5, "asc"), [0, 5, 0], True),
        (page(5, 5, 5), Window(5, "desc"), [5, 5, 5], False),
    ],
)
def test_a_page_of_a_careless_server_is_fitted_to_its_window(
    sent: Sent, window: Window, expected: list[int], has_more: bool
) -> None:
    got = fit_page(*sent, window)
    assert ids(got) == [f"msg_{second}" for second in expected]
    assert got.has_more == has_more


@pytest.mark.parametrize(
    ("sent", "window", "said"),
    [
        (page(3, 2, has_more=True), Window(2, "asc"), "expected a page in the order 'asc', got one in the opposite"),
        (page(9, 8, has_more=True), Window(2, "asc", "msg_3"), "order 'asc'"),
        (page(2, 3, has_more=True), Window(2, "desc", "msg_9"), "order 'desc'"),
    ],
)
def test_a_page_that_cannot_be_the_requested_one_is_refused(sent: Sent, window: Window, said: str) -> None:
    with pytest.raises(UnexpectedReplyError, match=said):
        fit_page(*sent, window)


@given(
    st.lists(st.integers(0, 5), max_size=12),
    st.booleans(),
    st.integers(1, 12),
    st.sampled_from(["asc", "desc"]),
)
def test_a_page_never_breaks_its_window(seconds: list[int], has_more: bool, limit: int, order: Order) -> None:
    seconds = sorted(seconds, reverse=order == "desc")
    data = [MessageObject(id=f"msg_{number}", created_at=second) for number, second in enumerate(seconds)]
    got = fit_page(list(data), has_more, Window(limit, order))
    assert got.data == data[:limit]
    assert got.has_more == (len(data) > limit or (bool(data) and has_more))

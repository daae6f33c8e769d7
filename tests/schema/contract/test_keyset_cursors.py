"""Cursors of kept lists: bound to one list, its order and its filter, and never misread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.contract.errors import GatewayError
from schema.contract.keys import to_opaque
from schema.contract.keyset_cursors import WAITING_RUNS, keyset_window_from_arguments, record_scope
from schema.contract.paging import CursorScope, PagingLimits
from schema.contract.thread_records import (
    KeysetWindow,
    RecordFilter,
    RecordOrder,
    RecordPosition,
    WaitingRunPosition,
)

SCOPE = record_scope(RecordFilter(is_archived=False), RecordOrder.LAST_ACTIVITY)
IDS = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.~:@=+-]{0,8}\Z")
CONDITIONS = st.builds(
    RecordFilter,
    st.sampled_from([None, True, False]),
    st.none() | st.text(),
    st.none() | IDS,
    st.none() | st.integers(0),
)


@given(st.integers(-(2**60), 2**60), IDS, IDS)
def test_a_position_survives_its_cursor(time_ms: int, thread_id: str, run_id: str) -> None:
    record, waiting = RecordPosition(time_ms, thread_id), WaitingRunPosition(time_ms, thread_id, run_id)
    assert SCOPE.position_from_cursor(SCOPE.to_cursor(record), "after") == record
    assert WAITING_RUNS.position_from_cursor(WAITING_RUNS.to_cursor(waiting), "after") == waiting


@given(CONDITIONS, st.sampled_from(RecordOrder), CONDITIONS, st.sampled_from(RecordOrder))
def test_a_cursor_is_read_by_equal_lists_alone(
    one: RecordFilter, one_order: RecordOrder, other: RecordFilter, other_order: RecordOrder
) -> None:
    cursor = record_scope(one, one_order).to_cursor(RecordPosition(1, "thread_1"))
    reader = record_scope(other, other_order)
    if (one, one_order) == (other, other_order):
        assert reader.position_from_cursor(cursor, "after") == (1, "thread_1")
    else:
        with pytest.raises(GatewayError, match="a cursor of the same list"):
            reader.position_from_cursor(cursor, "after")


@pytest.mark.parametrize(
    ("cursor", "expected"),
    [
        ("", "a cursor made by this gateway"),
        ("cursor", "a cursor made by this gateway"),
        (to_opaque("cursor"), "a cursor made by this gateway"),
        (to_opaque("Thread", "thread_1"), "a cursor of the list viewer.threads"),
        (CursorScope("assistants").to_cursor("asst_1"), "a cursor of the list viewer.threads"),
        (WAITING_RUNS.to_cursor(WaitingRunPosition(1, "thread_1", "run_1")), "a cursor of the list viewer.threads"),
        (to_opaque("cursor", "viewer.threads", *SCOPE.variant, "now", "thread_1"), "a cursor made by this gateway"),
        (to_opaque("cursor", "viewer.threads", *SCOPE.variant, "1", "a/b"), "a cursor made by this gateway"),
        (to_opaque("cursor", "viewer.threads", *SCOPE.variant, "1"), "a cursor of the list viewer.threads"),
    ],
)
def test_any_other_text_is_refused_by_the_name_of_its_argument(cursor: str, expected: str) -> None:
    with pytest.raises(GatewayError) as refused:
        SCOPE.position_from_cursor(cursor, "before")
    assert refused.value.argument == "before"
    assert expected in refused.value.message


def test_arguments_become_windows() -> None:
    cursor, limits = SCOPE.to_cursor(RecordPosition(5, "thread_1")), PagingLimits()
    assert keyset_window_from_arguments(SCOPE, limits) == KeysetWindow(20)
    position = RecordPosition(5, "thread_1")
    assert keyset_window_from_arguments(SCOPE, limits, first=3, after=cursor) == KeysetWindow(3, position)
    assert keyset_window_from_arguments(SCOPE, limits, last=3) == KeysetWindow(3, None, True)
    assert keyset_window_from_arguments(SCOPE, limits, before=cursor) == KeysetWindow(20, position, True)

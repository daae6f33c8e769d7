import pytest

from gateway.emulator.bodies.api_errors import ApiError
from gateway.emulator.bodies.list_query import ListQuery, parse_list_query, slice_ids


def test_a_list_is_newest_first_and_twenty_long_by_default() -> None:
    assert parse_list_query({}) == ListQuery(limit=20, order="desc", after=None, before=None)
    assert parse_list_query({"limit": "100", "order": "asc", "after": "msg_1", "api-version": "x"}) == ListQuery(
        limit=100, order="asc", after="msg_1"
    )


@pytest.mark.parametrize(
    ("parameters", "param", "code"),
    [
        ({"limit": "0"}, "limit", "integer_below_min_value"),
        ({"limit": "-" + "9" * 5000}, "limit", "integer_below_min_value"),
        ({"limit": "101"}, "limit", "integer_above_max_value"),
        ({"limit": "9" * 5000}, "limit", "integer_above_max_value"),
        ({"limit": "ten"}, "limit", "invalid_type"),
        ({"limit": "1.5"}, "limit", "invalid_type"),
        ({"limit": ""}, "limit", "invalid_type"),
        ({"limit": "٣"}, "limit", "invalid_type"),
        ({"order": "up"}, "order", "invalid_value"),
    ],
)
def test_parameters_outside_their_limits_are_refused(parameters: dict[str, str], param: str, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_list_query(parameters)
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, param, code)


@pytest.mark.parametrize(
    ("query", "page", "has_more"),
    [
        (ListQuery(order="asc"), ["a", "b", "c", "d"], False),
        (ListQuery(), ["d", "c", "b", "a"], False),
        (ListQuery(order="asc", limit=2), ["a", "b"], True),
        (ListQuery(order="asc", limit=2, after="b"), ["c", "d"], False),
        (ListQuery(order="asc", limit=1, before="c"), ["b"], True),
        (ListQuery(order="desc", limit=1, before="c"), ["d"], False),
        (ListQuery(order="asc", limit=1, after="a", before="d"), ["b"], True),
        (ListQuery(order="asc", after="d"), [], False),
    ],
)
def test_a_short_list_is_sliced_between_its_cursors(query: ListQuery, page: list[str], has_more: bool) -> None:
    assert slice_ids(["a", "b", "c", "d"], query) == (page, has_more)

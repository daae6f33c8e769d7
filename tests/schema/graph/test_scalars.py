from datetime import UTC, datetime
from typing import Any

import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st

from schema.contract.errors import ErrorCode, GatewayError
from schema.graph.scalars import SCALARS, DateTime, Metadata, to_date_time, to_json, to_metadata, to_rfc3339
from tests.support.full_runs import examples

LAST_SECOND = 253_402_300_799  # of the year 9999
FIRST_SECOND = -62_135_596_800


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_699_009_709, "2023-11-03T11:08:29Z"),
        (1_699_009_709.0, "2023-11-03T11:08:29Z"),
        (1_699_009_709.25, "2023-11-03T11:08:29.250Z"),
        (LAST_SECOND, "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_is_rfc_3339_in_utc(seconds: float, text: str) -> None:
    assert to_rfc3339(seconds) == text


@given(st.integers(FIRST_SECOND, LAST_SECOND))
@examples(100)
def test_a_whole_second_is_kept_exactly(seconds: int) -> None:
    assert datetime.fromisoformat(to_rfc3339(seconds)) == datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize("seconds", [1_699_009_709_000, 1e20, 1e308, -1e20])
def test_a_time_beyond_the_calendar_is_the_upstreams_fault(seconds: float) -> None:
    with pytest.raises(GatewayError, match="expected Unix seconds") as refused:
        to_rfc3339(seconds)
    assert refused.value.code is ErrorCode.UPSTREAM_INVALID_RESPONSE


def test_a_missing_time_is_null_and_the_epoch_is_a_time() -> None:
    assert to_date_time(None) is None
    assert to_date_time(0) is not None


def test_missing_json_is_null_and_any_other_value_stays() -> None:
    assert to_json(None) is None
    values: list[object] = [0, "", [], {}]
    assert [to_json(value) for value in values] == values


def test_metadata_is_always_an_object_of_strings() -> None:
    assert to_metadata(None) == {}
    assert to_metadata({"a": "b", "n": 1, "yes": True, "none": None, "list": [1, {"x": "y"}]}) == {
        "a": "b",
        "n": "1",
        "yes": "true",
        "none": "null",
        "list": '[1, {"x": "y"}]',
    }


@pytest.mark.parametrize("value", ["text", 5, ["a"], {"a": 1}, {"a": None}, None])
def test_metadata_as_an_input_has_only_strings(value: object) -> None:
    parse = SCALARS[Metadata].parse_value
    assert parse is not None
    with pytest.raises(GraphQLError, match="Expected an object whose values are strings"):
        parse(value)
    assert parse({"a": "b"}) == {"a": "b"}


def test_a_refused_value_is_not_sent_back_whole() -> None:
    parse = SCALARS[Metadata].parse_value
    assert parse is not None
    with pytest.raises(GraphQLError) as refused:
        parse({"a": ["x" * 1_000_000]})
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-23T09:30:00Z", 1_795_426_200.0),
        ("2026-11-23t10:30:00.250+01:00", 1_795_426_200.25),
        ("1969-12-31T23:59:59z", -1.0),
    ],
)
def test_a_time_as_an_input_may_have_any_offset(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "value", ["2026-11-23", "2026-11-23T09:30:00", "2026-11-23 09:30:00Z", "2026-02-30T09:30:00Z", "now", "", 5, None]
)
def test_anything_else_is_no_time(value: object) -> None:
    with pytest.raises(GraphQLError, match="Expected a time in RFC 3339, such as 2026-11-23T09:30:00Z, got"):
        parse_time(value)


def parse_time(value: Any) -> Any:
    parse = SCALARS[DateTime].parse_value
    assert parse is not None
    return parse(value)

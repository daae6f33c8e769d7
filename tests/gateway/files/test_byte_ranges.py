import pytest

from gateway.files.byte_ranges import is_unsatisfied_range, parse_content_range, range_to_pass

TAG = '"file-1"'


@pytest.mark.parametrize(
    ("ranges", "if_range", "expected"),
    [
        ([], None, None),
        (["bytes=0-1"], None, "bytes=0-1"),
        (["Bytes=5-"], None, "bytes=5-"),
        ([" bytes=-5 "], None, "bytes=-5"),
        (["bytes=0-1"], TAG, "bytes=0-1"),
        (["bytes=0-1"], 'W/"file-1"', None),
        (["bytes=0-1"], "Sat, 28 Nov 2026 10:00:00 GMT", None),
        (["bytes=0-1,3-4"], None, None),
        (["bytes=0-1", "bytes=0-1"], None, None),
        (["bytes=-"], None, None),
        (["bytes=a-b"], None, None),
        (["bytes=0-1\r\nX: y"], None, None),
        (["bytes=" + "9" * 30 + "-"], None, None),
        (["seconds=1-2"], None, None),
    ],
)
def test_one_well_formed_range_is_passed_on(ranges: list[str], if_range: str | None, expected: str | None) -> None:
    assert range_to_pass(ranges, if_range, TAG) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes 0-9/100", range(10)),
        ("bytes 5-5/*", range(5, 6)),
        (None, None),
        ("", None),
        ("bytes 9-0/100", None),
        ("bytes */100", None),
        ("bytes=0-9/100", None),
        ("bytes 0-9/100\r\nX: y", None),
    ],
)
def test_a_content_range_is_read(header: str | None, expected: range | None) -> None:
    assert parse_content_range(header) == expected


def test_a_range_beyond_the_end_says_how_long_the_content_is() -> None:
    assert is_unsatisfied_range("bytes */100")
    assert not is_unsatisfied_range("bytes 0-1/100")
    assert not is_unsatisfied_range(None)

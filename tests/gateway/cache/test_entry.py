import pytest

from gateway.cache.entry import CLOCK_SKEW_SECONDS, CacheEntry, may_be_stored
from gateway.cache.tags import Tag
from tests.support.wire_samples import thread

ENTRY = CacheEntry(thread(), {"all": "v1", "thread": "v2"}, stored_at=1000.0, fresh_seconds=10.0, stale_seconds=20.0)


@pytest.mark.parametrize(
    ("now", "fresh", "usable"),
    [
        (1000.0, True, True),
        (1009.9, True, True),
        (1010.0, False, True),
        (1029.9, False, True),
        (1030.0, False, False),
        (1000.0 - CLOCK_SKEW_SECONDS, True, True),
        (900.0, False, False),
    ],
)
def test_an_entry_is_fresh_then_stale_then_expired(now: float, fresh: bool, usable: bool) -> None:
    assert (ENTRY.is_fresh(now), ENTRY.is_usable(now)) == (fresh, usable)


@pytest.mark.parametrize(
    ("versions", "current"),
    [
        ({Tag("g", "all"): "v1", Tag("g", "thread"): "v2", Tag("g", "other"): "v9"}, True),
        ({Tag("g", "all"): "v1", Tag("g", "thread"): "v3"}, False),
        ({Tag("g", "all"): "v1"}, False),
        ({Tag("h", "all"): "v1", Tag("h", "thread"): "v2"}, False),
    ],
)
def test_an_entry_is_current_while_each_of_its_tags_has_its_version(versions: dict[Tag, str], current: bool) -> None:
    assert ENTRY.is_current("g", versions) is current


def test_nothing_is_stored_under_a_tag_that_is_being_written() -> None:
    assert may_be_stored(["v1", "v2"])
    assert not may_be_stored(["v1", "w2"])

from typing import Any
from weakref import ref

from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.cache_keys import to_cache_key
from gateway.cache.entry import CacheEntry
from gateway.cache.response_tier import MIN_RESPONSES_IN_TIER, CachedResponse, ResponseTier
from schema.contract.ports import ResponseKey
from tests.gateway.cache.cached_queries import response_key
from tests.gateway.cache.upstream import THREAD
from tests.support.wire_samples import thread


def response(data_bytes: int = 10, *, stored_at: float = 100.0, fresh_until: float = 200.0) -> CachedResponse:
    return CachedResponse(b"x" * data_bytes, (), {}, stored_at, fresh_until)


def test_a_response_is_found_by_its_principal_and_its_whole_key_only() -> None:
    tier = ResponseTier(1_000_000)
    key = response_key("{ a }", b'{"n":1}', "A")
    stored = response()
    tier.store_response("ann", key, stored)
    assert tier.get_response("ann", response_key("{ a }", b'{"n":1}', "A")) is stored
    assert tier.get_response("bob", key) is None
    for index in range(len(key)):
        other: Any = ResponseKey._make([*key[:index], object(), *key[index + 1 :]])
        assert tier.get_response("ann", other) is None


def test_the_least_recently_used_response_leaves_first() -> None:
    one = response_key("{ a }")
    tier = ResponseTier(11 * response().size_bytes(one))
    keys = [response_key(f"{{ {name} }}") for name in "abcdefghijk"]
    for key in keys:
        tier.store_response("ann", key, response())
    assert tier.get_response("ann", keys[0]) is not None
    tier.store_response("ann", response_key("{ z }"), response())
    assert tier.get_response("ann", keys[0]) is not None
    assert tier.get_response("ann", keys[1]) is None


def test_a_response_larger_than_a_tenth_of_the_tier_is_not_stored_and_removes_the_one_it_replaces() -> None:
    key = response_key()
    tier = ResponseTier(MIN_RESPONSES_IN_TIER * response().size_bytes(key))
    tier.store_response("ann", key, response())
    assert len(tier) == 1
    tier.store_response("ann", key, response(11))
    assert (len(tier), tier.size_bytes) == (0, 0)


def test_only_the_given_response_is_removed() -> None:
    tier = ResponseTier(1_000_000)
    first, second = response(), response()
    tier.store_response("ann", response_key(), first)
    tier.store_response("ann", response_key(), second)
    tier.remove_response("ann", response_key(), first)
    assert tier.get_response("ann", response_key()) is second
    tier.remove_response("ann", response_key(), second)
    assert (len(tier), tier.size_bytes) == (0, 0)


@given(st.lists(st.tuples(st.sampled_from(["store", "get", "remove"]), st.integers(0, 9), st.integers(0, 4000))))
def test_it_never_exceeds_its_limit(steps: list[tuple[str, int, int]]) -> None:
    tier = ResponseTier(20_000)
    for action, number, size in steps:
        key = response_key(variables=b"%d" % number)
        if action == "store":
            tier.store_response("ann", key, response(size))
        else:
            found = tier.get_response("ann", key)
            if action == "remove":
                tier.remove_response("ann", key, found)
        assert tier.size_bytes <= 20_000
    for number in range(10):
        key = response_key(variables=b"%d" % number)
        tier.remove_response("ann", key, tier.get_response("ann", key))
    assert tier.size_bytes == 0


def test_every_part_of_a_response_counts_in_its_size() -> None:
    entry = CacheEntry(thread(), {}, 0.0, 1.0, 1.0)
    recorded_read = (THREAD, to_cache_key(THREAD), ref(entry))
    sizes = [
        response().size_bytes(response_key()),
        response(11).size_bytes(response_key()),
        response().size_bytes(response_key("{ __typename #\N{SNOWMAN} }")),
        response().size_bytes(response_key(variables=b'{"a":1}')),
        CachedResponse(b"x" * 10, (recorded_read,), {}, 0.0, 1.0).size_bytes(response_key()),
    ]
    assert all(size > sizes[0] for size in sizes[1:])


def test_it_is_fresh_as_long_as_every_entry_is_and_tolerates_clock_skew() -> None:
    stored = response(stored_at=100.0, fresh_until=200.0)
    times = [(94.9, False), (95.0, True), (199.9, True), (200.0, False)]
    assert [stored.is_fresh(now) for now, _ in times] == [fresh for _, fresh in times]

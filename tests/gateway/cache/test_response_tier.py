from typing import Any
from weakref import ref

from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.cache_keys import to_cache_key
from gateway.cache.entry import CacheEntry
from gateway.cache.response_tier import LARGEST_SHARE, CachedResponse, ResponseTier
from schema.contract.ports import ResponseKey
from tests.gateway.cache.asking_again import question
from tests.gateway.cache.upstream import THREAD
from tests.support.wire_samples import thread


def repeat(data_bytes: int = 10, *, stored_at: float = 100.0, fresh_until: float = 200.0) -> CachedResponse:
    return CachedResponse(b"x" * data_bytes, (), {}, stored_at, fresh_until)


def test_a_repeat_is_found_by_its_principal_and_its_whole_question_only() -> None:
    tier = ResponseTier(1_000_000)
    asked = question("{ a }", b'{"n":1}', "A")
    kept = repeat()
    tier.put("ann", asked, kept)
    assert tier.get("ann", question("{ a }", b'{"n":1}', "A")) is kept
    assert tier.get("bob", asked) is None
    for place in range(len(asked)):
        other: Any = ResponseKey._make([*asked[:place], object(), *asked[place + 1 :]])
        assert tier.get("ann", other) is None


def test_what_is_asked_again_stays_and_the_least_used_leaves() -> None:
    one = question("{ a }")
    tier = ResponseTier(11 * repeat().size_bytes(one))
    asked = [question(f"{{ {name} }}") for name in "abcdefghijk"]
    for each in asked:
        tier.put("ann", each, repeat())
    assert tier.get("ann", asked[0]) is not None
    tier.put("ann", question("{ z }"), repeat())
    assert tier.get("ann", asked[0]) is not None
    assert tier.get("ann", asked[1]) is None


def test_what_would_take_more_than_a_tenth_of_the_room_is_not_kept_nor_is_what_it_replaces() -> None:
    asked = question()
    tier = ResponseTier(LARGEST_SHARE * repeat().size_bytes(asked))
    tier.put("ann", asked, repeat())
    assert len(tier) == 1
    tier.put("ann", asked, repeat(11))
    assert (len(tier), tier.size_bytes) == (0, 0)


def test_only_the_very_repeat_is_dropped() -> None:
    tier = ResponseTier(1_000_000)
    first, second = repeat(), repeat()
    tier.put("ann", question(), first)
    tier.put("ann", question(), second)
    tier.drop("ann", question(), first)
    assert tier.get("ann", question()) is second
    tier.drop("ann", question(), second)
    assert (len(tier), tier.size_bytes) == (0, 0)


@given(st.lists(st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 9), st.integers(0, 4000))))
def test_it_never_outgrows_its_bound(steps: list[tuple[str, int, int]]) -> None:
    tier = ResponseTier(20_000)
    for action, number, size in steps:
        asked = question(variables=b"%d" % number)
        if action == "put":
            tier.put("ann", asked, repeat(size))
        else:
            found = tier.get("ann", asked)
            if action == "drop":
                tier.drop("ann", asked, found)
        assert tier.size_bytes <= 20_000
    for number in range(10):
        asked = question(variables=b"%d" % number)
        tier.drop("ann", asked, tier.get("ann", asked))
    assert tier.size_bytes == 0


def test_all_that_a_repeat_holds_counts() -> None:
    entry = CacheEntry(thread(), {}, 0.0, 1.0, 1.0)
    part = (THREAD, to_cache_key(THREAD), ref(entry))
    sizes = [
        repeat().size_bytes(question()),
        repeat(11).size_bytes(question()),
        repeat().size_bytes(question("{ __typename #\N{SNOWMAN} }")),
        repeat().size_bytes(question(variables=b'{"a":1}')),
        CachedResponse(b"x" * 10, (part,), {}, 0.0, 1.0).size_bytes(question()),
    ]
    assert all(size > sizes[0] for size in sizes[1:])


def test_it_is_fresh_as_long_as_every_entry_is_whatever_the_clock_does() -> None:
    made = repeat(stored_at=100.0, fresh_until=200.0)
    times = [(94.9, False), (95.0, True), (199.9, True), (200.0, False)]
    assert [made.is_fresh(now) for now, _ in times] == [fresh for _, fresh in times]

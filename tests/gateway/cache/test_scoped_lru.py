from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.scoped_lru import ScopedLRU

MAX_SIZE = 5

actions = st.lists(
    st.tuples(
        st.sampled_from(["set", "get", "pop", "remove"]), st.sampled_from("ab"), st.integers(0, 4), st.integers(0, 3)
    ),
    max_size=60,
)


def test_all_entries_of_a_scope_and_no_others_are_removed() -> None:
    cache = ScopedLRU[int, str](10, len)
    for scope in "ab":
        for name in range(3):
            cache[scope, name] = "x"
    assert sorted(cache.remove_scope("a")) == [0, 1, 2]
    assert cache.remove_scope("a") == []
    assert (sorted(cache), cache.currsize) == ([("b", 0), ("b", 1), ("b", 2)], 3)


@given(actions)
def test_removal_finds_each_entry_whatever_was_set_evicted_or_removed_before(
    steps: list[tuple[str, str, int, int]],
) -> None:
    cache = ScopedLRU[int, int](MAX_SIZE, lambda value: value)
    for action, scope, name, value in steps:
        if action == "set":
            cache[scope, name] = value
        elif action == "get":
            cache.get((scope, name))
        elif action == "pop":
            cache.pop((scope, name), None)
        else:
            expected = sorted(each for held, each in cache if held == scope)
            assert sorted(cache.remove_scope(scope)) == expected
            assert not any(held == scope for held, _ in cache)
    assert cache.currsize == sum(cache.values()) <= MAX_SIZE

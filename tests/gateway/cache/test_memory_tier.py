from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.cache_keys import CacheKey
from gateway.cache.entry import CacheEntry
from gateway.cache.memory_tier import BYTES_PER_TEXT_BYTE, ENTRY_OVERHEAD_BYTES, MemoryTier
from tests.support.wire_samples import thread


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def tier(clock: Clock | None = None, *, max_bytes: int = 100_000, max_entries: int = 100) -> MemoryTier:
    return MemoryTier(max_bytes=max_bytes, max_entries=max_entries, now_seconds=clock or Clock())


def entry(stored_at: float = 1000.0) -> CacheEntry:
    return CacheEntry(thread(), {}, stored_at, 10.0, 20.0)


def cache_key(name: object) -> CacheKey:
    return CacheKey("g", str(name))


def test_an_entry_is_found_until_it_is_neither_fresh_nor_stale() -> None:
    clock = Clock()
    memory = tier(clock)
    stored = entry()
    memory.store_entry("ann", cache_key(1), stored, 10)
    clock.now = 1029.0
    assert memory.get_entry("ann", cache_key(1)) is stored
    clock.now = 1030.0
    assert memory.get_entry("ann", cache_key(1)) is None
    assert (len(memory), memory.size_bytes) == (0, 0)


def test_an_entry_is_found_by_its_principal_only() -> None:
    memory = tier()
    memory.store_entry("ann", cache_key(1), entry(), 10)
    assert memory.get_entry("bob", cache_key(1)) is None


def test_the_least_recently_used_entry_leaves_first() -> None:
    memory = tier(max_entries=2)
    memory.store_entry("ann", cache_key(1), entry(), 10)
    memory.store_entry("ann", cache_key(2), entry(), 10)
    memory.get_entry("ann", cache_key(1))
    memory.store_entry("ann", cache_key(3), entry(), 10)
    assert [memory.get_entry("ann", cache_key(name)) is not None for name in (1, 2, 3)] == [True, False, True]


def test_an_entry_larger_than_the_tier_is_not_stored_and_evicts_nothing() -> None:
    memory = tier(max_bytes=3000)
    memory.store_entry("ann", cache_key(1), entry(), 10)
    memory.store_entry("ann", cache_key(2), entry(), 5000)
    assert memory.get_entry("ann", cache_key(1)) is not None
    assert memory.get_entry("ann", cache_key(2)) is None


def test_a_cache_key_has_one_entry() -> None:
    memory = tier()
    for _ in range(3):
        memory.store_entry("ann", cache_key(1), entry(), 10)
    assert (len(memory), memory.size_bytes) == (1, ENTRY_OVERHEAD_BYTES + BYTES_PER_TEXT_BYTE * 10)
    memory.remove_entry("ann", cache_key(1))
    memory.remove_entry("ann", cache_key(1))
    assert memory.size_bytes == 0


@given(st.lists(st.tuples(st.sampled_from(["store", "get", "remove"]), st.integers(0, 9), st.integers(0, 4000))))
def test_it_never_exceeds_its_limits(steps: list[tuple[str, int, int]]) -> None:
    memory = tier(max_bytes=8000, max_entries=5)
    for action, name, size in steps:
        if action == "store":
            memory.store_entry("ann", cache_key(name), entry(), size)
        elif action == "get":
            memory.get_entry("ann", cache_key(name))
        else:
            memory.remove_entry("ann", cache_key(name))
        assert len(memory) <= 5
        assert memory.size_bytes <= 8000
    for name in range(10):
        memory.remove_entry("ann", cache_key(name))
    assert memory.size_bytes == 0

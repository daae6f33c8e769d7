from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.cache_keys import CacheKey
from gateway.cache.entry import CacheEntry
from gateway.cache.memory_tier import ENTRY_OVERHEAD_BYTES, TEXT_FACTOR, MemoryTier
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


def place(name: object) -> CacheKey:
    return CacheKey("g", str(name))


def test_an_entry_is_there_until_it_is_of_no_use() -> None:
    clock = Clock()
    memory = tier(clock)
    kept = entry()
    memory.put("ann", place(1), kept, 10)
    clock.now = 1029.0
    assert memory.get("ann", place(1)) is kept
    clock.now = 1030.0
    assert memory.get("ann", place(1)) is None
    assert (len(memory), memory.size_bytes) == (0, 0)


def test_an_entry_is_its_principals_own() -> None:
    memory = tier()
    memory.put("ann", place(1), entry(), 10)
    assert memory.get("bob", place(1)) is None


def test_the_least_used_leaves_first() -> None:
    memory = tier(max_entries=2)
    memory.put("ann", place(1), entry(), 10)
    memory.put("ann", place(2), entry(), 10)
    memory.get("ann", place(1))
    memory.put("ann", place(3), entry(), 10)
    assert [memory.get("ann", place(name)) is not None for name in (1, 2, 3)] == [True, False, True]


def test_what_is_larger_than_the_tier_is_not_kept_and_takes_nothing_else_away() -> None:
    memory = tier(max_bytes=3000)
    memory.put("ann", place(1), entry(), 10)
    memory.put("ann", place(2), entry(), 5000)
    assert memory.get("ann", place(1)) is not None
    assert memory.get("ann", place(2)) is None


def test_a_place_holds_one_entry() -> None:
    memory = tier()
    for _ in range(3):
        memory.put("ann", place(1), entry(), 10)
    assert (len(memory), memory.size_bytes) == (1, ENTRY_OVERHEAD_BYTES + TEXT_FACTOR * 10)
    memory.drop("ann", place(1))
    memory.drop("ann", place(1))
    assert memory.size_bytes == 0


@given(st.lists(st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 9), st.integers(0, 4000))))
def test_it_never_outgrows_its_bounds(steps: list[tuple[str, int, int]]) -> None:
    memory = tier(max_bytes=8000, max_entries=5)
    for action, name, size in steps:
        if action == "put":
            memory.put("ann", place(name), entry(), size)
        elif action == "get":
            memory.get("ann", place(name))
        else:
            memory.drop("ann", place(name))
        assert len(memory) <= 5
        assert memory.size_bytes <= 8000
    for name in range(10):
        memory.drop("ann", place(name))
    assert memory.size_bytes == 0

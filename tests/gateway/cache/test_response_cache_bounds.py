"""The bounds of the response cache, with responses that depend on no read."""

from typing import Any
from weakref import ref

from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.cache_keys import to_cache_key
from gateway.cache.entry import CacheEntry
from gateway.cache.entry_store import EntryStore
from gateway.cache.response_cache import (
    MIN_RESPONSES,
    OBJECT_SCOPE_BYTES,
    RECORDED_READ_BYTES,
    CachedResponse,
    RecordedReads,
    ResponseCache,
    ResponseReads,
)
from gateway.cache.version_store import LocalVersionStore
from schema.contract.encoded_json import EncodedJson
from schema.contract.ports import ResponseKey
from tests.gateway.cache.cached_queries import response_key
from tests.gateway.cache.upstream import THREAD
from tests.support.wire_samples import thread


def response_cache(max_bytes: int = 1_000_000) -> ResponseCache:
    return ResponseCache(max_bytes, EntryStore(100_000, lambda: 0.0), LocalVersionStore(), now_seconds=lambda: 0.0)


def store(cache: ResponseCache, key: ResponseKey, data_bytes: int = 10) -> None:
    cache.store_response("ann", key, b"x" * data_bytes, [RecordedReads("ann")])


async def find(cache: ResponseCache, key: ResponseKey, scope: str = "ann") -> EncodedJson | None:
    response = await cache.find_response(scope, key, float("inf"))
    return None if response is None else response.data


def size_of(key: ResponseKey, data_bytes: int = 10) -> int:
    cache = response_cache()
    store(cache, key, data_bytes)
    return cache.size_bytes


async def test_a_response_is_found_by_its_principal_and_its_whole_key_only() -> None:
    cache = response_cache()
    key = response_key("{ a }", b'{"n":1}', "A")
    store(cache, key)
    assert await find(cache, response_key("{ a }", b'{"n":1}', "A")) == b"x" * 10
    assert await find(cache, key, "bob") is None
    for index in range(len(key)):
        other: Any = ResponseKey._make([*key[:index], object(), *key[index + 1 :]])
        assert await find(cache, other) is None


async def test_the_least_recently_used_response_leaves_first() -> None:
    keys = [response_key(f"{{ {name} }}") for name in "abcdefghijk"]
    cache = response_cache(11 * size_of(keys[0]))
    for key in keys:
        store(cache, key)
    assert await find(cache, keys[0]) is not None
    store(cache, response_key("{ z }"))
    assert await find(cache, keys[0]) is not None
    assert await find(cache, keys[1]) is None


def test_a_response_larger_than_a_tenth_of_the_bytes_is_not_stored_and_removes_the_one_it_replaces() -> None:
    key = response_key()
    cache = response_cache(MIN_RESPONSES * size_of(key))
    store(cache, key)
    assert len(cache) == 1
    store(cache, key, 11)
    assert (len(cache), cache.size_bytes) == (0, 0)


@given(st.lists(st.tuples(st.sampled_from(["store", "find"]), st.integers(0, 9), st.integers(0, 4000))))
async def test_its_bytes_are_exact_and_within_the_limit(steps: list[tuple[str, int, int]]) -> None:
    cache = response_cache(20_000)
    for action, number, size in steps:
        key = response_key(variables=b"%d" % number)
        if action == "store":
            store(cache, key, size)
        else:
            await find(cache, key)
        assert cache.size_bytes <= 20_000
        keys = [response_key(variables=b"%d" % number) for number in range(10)]
        held = [(key, await find(cache, key)) for key in keys]
        assert cache.size_bytes == sum(size_of(key, len(data)) for key, data in held if data is not None)


def test_every_part_of_a_response_counts_in_its_size() -> None:
    least = size_of(response_key())
    assert size_of(response_key(), 11) > least
    assert size_of(response_key("{ __typename #\N{SNOWMAN} }")) > least
    assert size_of(response_key(variables=b'{"a":1}')) > least
    memory, recorded = EntryStore(100_000, lambda: 0.0), RecordedReads("ann")
    cache = ResponseCache(1_000_000, memory, LocalVersionStore(), now_seconds=lambda: 0.0)
    entry = CacheEntry(thread(), {}, 0.0, 1.0, 1.0)
    memory.store_entry("ann", to_cache_key(THREAD), entry, 10)
    recorded.record_start([THREAD])
    recorded.record_result(THREAD, entry.value)
    cache.store_response("ann", response_key(), b"x" * 10, [recorded])
    assert cache.size_bytes == least + RECORDED_READ_BYTES
    cache.store_response("ann", response_key(), b"x" * 10, [recorded], {"thread_1": "ann", "thread_2": None})
    assert cache.size_bytes == least + RECORDED_READ_BYTES + 2 * OBJECT_SCOPE_BYTES


def test_it_is_fresh_as_long_as_every_entry_is_and_tolerates_clock_skew() -> None:
    entry = CacheEntry(thread(), {}, 0.0, 1.0, 1.0)
    part = ResponseReads("ann", ((THREAD, to_cache_key(THREAD), ref(entry)),), {})
    stored = CachedResponse(b"x", (part,), {}, 100.0, 200.0, 1)
    times = [(94.9, False), (95.0, True), (199.9, True), (200.0, False)]
    assert [stored.is_fresh(now) for now, _ in times] == [fresh for _, fresh in times]

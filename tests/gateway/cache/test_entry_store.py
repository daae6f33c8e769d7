from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.cache_keys import CacheKey, to_cache_key
from gateway.cache.entry import CacheEntry
from gateway.cache.entry_store import BYTES_PER_TEXT_BYTE, ENTRY_OVERHEAD_BYTES, CacheLookup, EndedRuns, EntryStore
from gateway.cache.tags import Tag
from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey
from schema.contract.kinds import Key, MessagePageKey, RunPageKey
from schema.contract.paging import Window
from schema.contract.wire import Page
from tests.gateway.cache.processes import Clock, processes
from tests.gateway.cache.upstream import (
    ACTIVE,
    ASSISTANT_MESSAGE,
    ENDED,
    OPEN,
    PAGE_KEYS,
    THREAD,
    USER_MESSAGE,
    T,
    Upstream,
    cached,
    object_key,
    read,
)
from tests.support.wire_samples import run, thread


def entry_store(now: Callable[[], float] = lambda: 1000.0, *, max_bytes: int = 100_000) -> EntryStore:
    return EntryStore(max_bytes, now)


def looked_up(key: Key, version: str = "v1") -> CacheLookup:
    lookup = CacheLookup.for_key(key)
    lookup.set_versions(dict.fromkeys(lookup.tags, version))
    return lookup


def entry(stored_at: float = 1000.0) -> CacheEntry:
    return CacheEntry(thread(), {}, stored_at, 10.0, 20.0)


def cache_key(name: object) -> CacheKey:
    return CacheKey("g", str(name))


def test_an_entry_is_found_until_it_is_neither_fresh_nor_stale() -> None:
    clock = Clock()
    clock.now = 1000.0
    memory = entry_store(clock)
    stored = entry()
    memory.store_entry("ann", cache_key(1), stored, 10)
    clock.now = 1029.0
    assert memory.get_entry("ann", cache_key(1)) is stored
    clock.now = 1030.0
    assert memory.get_entry("ann", cache_key(1)) is None
    assert (len(memory), memory.size_bytes) == (0, 0)


def test_an_entry_is_found_by_its_principal_only() -> None:
    memory = entry_store()
    memory.store_entry("ann", cache_key(1), entry(), 10)
    assert memory.get_entry("bob", cache_key(1)) is None


def test_the_least_recently_used_entry_leaves_first() -> None:
    memory = entry_store(max_bytes=2 * (ENTRY_OVERHEAD_BYTES + BYTES_PER_TEXT_BYTE * 10))
    memory.store_entry("ann", cache_key(1), entry(), 10)
    memory.store_entry("ann", cache_key(2), entry(), 10)
    memory.get_entry("ann", cache_key(1))
    memory.store_entry("ann", cache_key(3), entry(), 10)
    assert [memory.get_entry("ann", cache_key(name)) is not None for name in (1, 2, 3)] == [True, False, True]


def test_an_entry_larger_than_the_memory_is_not_stored_and_evicts_nothing() -> None:
    memory = entry_store(max_bytes=3000)
    memory.store_entry("ann", cache_key(1), entry(), 10)
    memory.store_entry("ann", cache_key(2), entry(), 5000)
    assert memory.get_entry("ann", cache_key(1)) is not None
    assert memory.get_entry("ann", cache_key(2)) is None


def test_a_cache_key_has_one_entry() -> None:
    memory = entry_store()
    for _ in range(3):
        memory.store_entry("ann", cache_key(1), entry(), 10)
    assert (len(memory), memory.size_bytes) == (1, ENTRY_OVERHEAD_BYTES + BYTES_PER_TEXT_BYTE * 10)
    memory.remove_entry("ann", cache_key(1))
    memory.remove_entry("ann", cache_key(1))
    assert memory.size_bytes == 0


@given(st.lists(st.tuples(st.sampled_from(["store", "get", "remove"]), st.integers(0, 9), st.integers(0, 4000))))
def test_its_bytes_are_exact_and_within_the_limit(steps: list[tuple[str, int, int]]) -> None:
    memory = entry_store(max_bytes=8000)
    sizes: dict[int, int] = {}
    for action, name, size in steps:
        if action == "store":
            memory.store_entry("ann", cache_key(name), entry(), size)
            sizes[name] = ENTRY_OVERHEAD_BYTES + BYTES_PER_TEXT_BYTE * size
        elif action == "get":
            memory.get_entry("ann", cache_key(name))
        else:
            memory.remove_entry("ann", cache_key(name))
        assert memory.size_bytes <= 8000
        held = [number for number in range(10) if memory.get_entry("ann", cache_key(number)) is not None]
        assert memory.size_bytes == sum(sizes[number] for number in held)
    for name in range(10):
        memory.remove_entry("ann", cache_key(name))
    assert memory.size_bytes == 0


def test_a_lookup_has_versions_when_those_of_all_its_tags_are_known() -> None:
    lookup = CacheLookup.for_key(THREAD)
    lookup.set_versions(dict.fromkeys(lookup.tags, "v1"))
    assert (lookup.has_versions, lookup.versions) == (True, dict.fromkeys(lookup.tags, "v1"))
    for known in ({lookup.tags[0]: "v1"}, dict[Tag, str]()):
        lookup.set_versions(known)
        assert (lookup.has_versions, lookup.versions) == (False, {})


@pytest.mark.parametrize("page_key", PAGE_KEYS, ids=repr)
async def test_the_objects_of_a_page_need_no_call_if_their_own_state_allows_it(page_key: Key) -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        (page,) = await read(cached(upstream, shared), page_key)
        await shared.wait_until_idle()
        upstream.calls.clear()
        objects = [(key, item) for item in page.data if (key := object_key(page_key, item.id)) != ACTIVE]
        assert objects
        for key, item in objects:
            assert repr(await read(cached(upstream, shared), key))[:60] == repr([item])[:60]
        assert upstream.calls == []
        if isinstance(page_key, RunPageKey):
            await read(cached(upstream, shared), ACTIVE)
            assert len(upstream.calls) == 1


async def test_an_object_is_taken_from_its_page_once_as_a_copy_without_the_pages_text() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        (page,) = await read(cached(upstream, shared), MessagePageKey(T, None, OPEN))
        await shared.wait_until_idle()
        for item in page.data:
            key = object_key(MessagePageKey(T, None, OPEN), item.id)
            assert shared.memory.get_entry("ann", to_cache_key(key)) is None
            (first,) = await read(cached(upstream, shared), key)
            assert first == item
            assert first is not item
            assert (await read(cached(upstream, shared), key))[0] is first


async def test_an_object_comes_from_the_latest_page_and_its_lifetime_starts_when_that_was_read() -> None:
    upstream, clock = Upstream(), Clock()
    ended = RunPageKey(T, Window(1, "asc"))
    async with processes(1, None, clock) as (shared,):

        async def owner() -> str:
            ((found,),) = [await read(cached(upstream, shared), ENDED)]
            return str(found.metadata["owner"])

        await read(cached(upstream, shared), ENDED)
        upstream.runs[ENDED] = run("run_1", metadata={"owner": "second"})
        clock.now += 400
        assert await owner() == "anybody"
        await read(cached(upstream, shared), ended)
        await shared.wait_until_idle()
        clock.now += 400
        assert await owner() == "second"
        upstream.runs[ENDED] = run("run_1", metadata={"owner": "third"})
        clock.now += 199
        assert await owner() == "second"
        clock.now += 1
        assert await owner() == "third"


async def test_an_object_of_an_evicted_page_is_fetched() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        await read(cached(upstream, shared), RunPageKey(T, OPEN))
        await shared.wait_until_idle()
        (indexed,) = shared.memory.page_index.find_pages("ann", ENDED, 0)
        shared.memory.remove_entry("ann", indexed.cache_key)
        await read(cached(upstream, shared), ENDED)
        assert len(upstream.calls) == 2
        assert shared.memory.page_index.find_pages("ann", ENDED, 0) == []


async def test_a_message_is_not_taken_from_its_settled_page_after_its_run_was_evicted_from_ended_runs() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        shared.memory.ended_runs = EndedRuns(max_runs=1)
        await read(cached(upstream, shared), ENDED)
        await read(cached(upstream, shared), MessagePageKey(T, "run_1", OPEN))
        await shared.wait_until_idle()
        shared.memory.ended_runs.record_status("bob", ENDED, "completed")
        upstream.calls.clear()
        keys = [USER_MESSAGE, ASSISTANT_MESSAGE]
        assert await read(cached(upstream, shared), *keys) == [upstream.messages[key] for key in keys]
        assert len(upstream.calls) == 1


async def test_an_object_is_found_on_any_page_of_its_list_and_fetched_if_it_is_on_none() -> None:
    upstream = Upstream()
    last, absent = RunKey(T, "run_3"), RunKey(T, "run_4")
    upstream.runs[last] = run("run_3", created_at=2_000)
    async with processes(1, None) as (shared,):
        for window in (Window(2, "asc"), Window(1, "desc")):
            await read(cached(upstream, shared), RunPageKey(T, window))
            await shared.wait_until_idle()
        upstream.calls.clear()
        for _ in range(2):
            assert [found.id for found in await read(cached(upstream, shared), ENDED, last)] == ["run_1", "run_3"]
        assert upstream.calls == []
        assert isinstance((await read(cached(upstream, shared), absent))[0], GatewayError)
        assert len(upstream.calls) == 1
        assert shared.memory.page_index.find_pages("ann", absent, 0) == []
        assert len(shared.memory.page_index) == 2


async def test_ended_runs_are_recorded_from_runs_and_pages_of_runs() -> None:
    async with processes(1, None) as (shared,):
        page = Page([run("run_1"), run("run_2", status="queued")])
        shared.memory.store_result("ann", CacheLookup.for_key(RunPageKey(T, OPEN)), page, 1)
        shared.memory.store_result("ann", CacheLookup.for_key(RunKey(T, "run_3")), run("run_3", status="failed"), 1)
        read_number = shared.memory.ended_runs.begin_read()
        ended_before = shared.memory.ended_runs.ended_before
        ended = [ended_before("ann", RunKey(T, f"run_{number}"), read_number) for number in (1, 2, 3)]
        assert ended == [True, False, True]


async def test_the_result_of_a_run_that_goes_on_is_not_stored() -> None:
    async with processes(1, None) as (shared,):
        lookup = looked_up(ACTIVE)
        assert shared.memory.store_result("ann", lookup, run(status="queued"), 1) is None
        assert len(shared.memory) == 0


async def test_a_result_read_while_its_tags_were_being_written_is_not_stored() -> None:
    async with processes(1, None) as (shared,):
        for key, value in ((THREAD, thread()), (ENDED, run())):
            assert shared.memory.store_result("ann", looked_up(key, "w1"), value, 1) is None
        shared.memory.index_page("ann", looked_up(RunPageKey(T, OPEN), "w1"), Page([run()]), 1, None)
        assert len(shared.memory) == 0


def test_a_run_ended_before_the_reads_that_began_after_its_end_was_known() -> None:
    runs = EndedRuns()
    before = runs.begin_read()
    runs.record_status("ann", ENDED, "completed")
    after = runs.begin_read()
    assert not runs.ended_before("ann", ENDED, before)
    assert runs.ended_before("ann", ENDED, after)


def test_a_run_that_may_change_has_not_ended() -> None:
    runs = EndedRuns()
    runs.record_status("ann", ENDED, "cancelling")
    assert not runs.ended_before("ann", ENDED, runs.begin_read())


def test_the_runs_of_one_principal_are_unknown_to_another() -> None:
    runs = EndedRuns()
    runs.record_status("ann", ENDED, "completed")
    assert not runs.ended_before("bob", ENDED, runs.begin_read())


def test_the_oldest_run_is_evicted_first() -> None:
    runs = EndedRuns(max_runs=2)
    for number in range(3):
        runs.record_status("ann", RunKey("thread_1", f"run_{number}"), "failed")
    read_number = runs.begin_read()
    assert [runs.ended_before("ann", RunKey("thread_1", f"run_{number}"), read_number) for number in range(3)] == [
        False,
        True,
        True,
    ]

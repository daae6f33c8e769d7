"""Reads through the cache, over each kind of store; those in flight are in `test_read_through_single_flight`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.cache.cache_keys import redis_key, to_cache_key
from gateway.cache.cached_threads_api import CachedThreadsApi
from gateway.cache.entry_store import CacheLookup
from gateway.cache.read_through import ReadThrough
from gateway.cache.shared_cache import SharedCache
from schema.contract.cost import Cost
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.kinds import ASSISTANTS, THREADS, AssistantPageKey, Key
from schema.contract.paging import Window
from schema.contract.wire import ThreadObject
from schema.contract.writes import DELETE_THREAD
from tests.gateway.cache.processes import Clock, processes
from tests.gateway.cache.upstream import (
    ACTIVE,
    ALL_KEYS,
    ASSISTANT_MESSAGE,
    DOWN,
    ENDED,
    OTHER_THREAD,
    PAGE_KEYS,
    THREAD,
    USER_MESSAGE,
    T,
    Upstream,
    cached,
    read,
    until,
)
from tests.support.valkey import Valkey
from tests.support.wire_samples import thread

FAR = float("inf")
RUN_PAGE = PAGE_KEYS[2]  # its page holds an active run
STORED = [key for key in ALL_KEYS if key not in {ACTIVE, RUN_PAGE}]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "redis"])
async def shared(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[SharedCache]:
    url = request.getfixturevalue("valkey").url if request.param == "redis" else None
    async with processes(1, url, clock) as (shared,):
        yield shared


@pytest.mark.parametrize("key", STORED, ids=repr)
async def test_a_stored_result_needs_no_call(shared: SharedCache, key: Key) -> None:
    upstream = Upstream()
    first = await read(cached(upstream, shared), key)
    api = cached(upstream, shared)
    assert repr(await read(api, key)) == repr(first)
    assert len(upstream.calls) == 1
    assert (api.cost.cache_hits, api.cost.shared_calls, api.cost.stale_answers) == (1, 0, 0)


@pytest.mark.parametrize("key", [ACTIVE, RUN_PAGE], ids=repr)
async def test_an_active_run_is_fetched_for_each_read(shared: SharedCache, key: Key) -> None:
    upstream = Upstream()
    for _ in range(3):
        api = cached(upstream, shared)
        await read(api, key)
        assert api.cost.cache_hits == 0
    assert len(upstream.calls) == 3


async def test_the_misses_of_a_batch_are_fetched_in_one_call(shared: SharedCache) -> None:
    upstream = Upstream()
    await read(cached(upstream, shared), THREAD)
    keys = (OTHER_THREAD, THREAD, ThreadKey("thread_3"), OTHER_THREAD)
    results = await read(cached(upstream, shared), *keys)
    assert upstream.calls == [("get_threads", (THREAD,)), ("get_threads", (OTHER_THREAD, ThreadKey("thread_3")))]
    assert [getattr(result, "id", None) for result in results] == ["thread_2", T, None, "thread_2"]


async def test_an_empty_batch_needs_no_call(shared: SharedCache) -> None:
    upstream = Upstream()
    assert list(await cached(upstream, shared).get(THREADS, [])) == []
    assert upstream.calls == []


async def test_not_found_is_stored_for_a_few_seconds(shared: SharedCache, clock: Clock) -> None:
    upstream = Upstream()
    key = ThreadKey("thread_9")
    for _ in range(2):
        (result,) = await read(cached(upstream, shared), key)
        assert isinstance(result, GatewayError)
        assert result.code is ErrorCode.NOT_FOUND
    assert len(upstream.calls) == 1
    clock.now += 3
    upstream.threads[key] = thread("thread_9")
    (result,) = await read(cached(upstream, shared), key)
    assert isinstance(result, ThreadObject)


async def test_a_change_made_directly_at_the_upstream_is_seen_when_the_entry_expires(
    shared: SharedCache, clock: Clock
) -> None:
    upstream = Upstream()
    await read(cached(upstream, shared), THREAD)
    upstream.threads[THREAD] = thread(T, metadata={"owner": "changed"})
    seen = []
    for _ in range(2):
        (result,) = await read(cached(upstream, shared), THREAD)
        seen.append(result.metadata["owner"])
        clock.now += 60
    assert seen == ["anybody", "changed"]


async def test_when_the_upstream_fails_a_stale_result_is_returned_and_counted(
    shared: SharedCache, clock: Clock
) -> None:
    upstream = Upstream()
    await read(cached(upstream, shared), THREAD)
    upstream.fails(THREAD, OTHER_THREAD)
    clock.now += 3600
    api = cached(upstream, shared)
    result, missing = await read(api, THREAD, OTHER_THREAD)
    assert isinstance(result, ThreadObject)
    assert missing is DOWN
    assert (api.cost.cache_hits, api.cost.stale_answers) == (0, 1)
    clock.now += 6 * 3600
    assert await read(cached(upstream, shared), THREAD) == [DOWN]


async def test_on_result_gets_the_stale_result_instead_of_a_failure(shared: SharedCache, clock: Clock) -> None:
    upstream = Upstream()
    stale, missing = (AssistantPageKey(Window(size, "asc")) for size in (5, 6))
    (first,) = await cached(upstream, shared).list(ASSISTANTS, [stale])
    upstream.fails(stale, missing)
    clock.now += 3000
    api = cached(upstream, shared)
    arrived: dict[AssistantPageKey, object] = {}
    results = await api.list(ASSISTANTS, [stale, missing], on_result=arrived.__setitem__)
    assert repr(results[0]) == repr(first)
    assert results[1] is DOWN
    assert arrived == {stale: results[0], missing: DOWN}
    assert api.cost.stale_answers == 1


async def test_on_result_gets_stored_results_before_fetched_ones(shared: SharedCache) -> None:
    upstream = Upstream()
    stored, missing = (AssistantPageKey(Window(size, "asc")) for size in (1, 6))
    await cached(upstream, shared).list(ASSISTANTS, [stored])
    await shared.wait_until_idle()
    upstream.gate.clear()
    arrived: dict[AssistantPageKey, object] = {}
    reading = asyncio.create_task(_list_assistants(cached(upstream, shared), [missing, stored], arrived))
    await until(lambda: upstream.waiting == 1)
    assert list(arrived) == [stored]
    upstream.gate.set()
    results = await reading
    assert arrived == {stored: results[1], missing: results[0]}


async def _list_assistants(
    api: CachedThreadsApi, keys: list[AssistantPageKey], arrived: dict[AssistantPageKey, object]
) -> list[object]:
    return list(await api.list(ASSISTANTS, keys, on_result=arrived.__setitem__))


async def test_a_refusal_is_returned_though_there_is_a_stale_result(shared: SharedCache, clock: Clock) -> None:
    upstream = Upstream()
    await read(cached(upstream, shared), THREAD)
    refused = GatewayError(ErrorCode.FORBIDDEN, "No.")
    upstream.fail = {THREAD: refused}
    clock.now += 3600
    assert await read(cached(upstream, shared), THREAD) == [refused]


async def test_a_result_invalidated_by_a_write_is_not_used_when_the_upstream_fails(
    shared: SharedCache, clock: Clock
) -> None:
    upstream = Upstream()
    await read(cached(upstream, shared), THREAD)
    await cached(upstream, shared).write(DELETE_THREAD, THREAD, None)
    upstream.fails(THREAD)
    clock.now += 3600
    assert await read(cached(upstream, shared), THREAD) == [DOWN]


async def test_the_message_of_a_run_is_stored_once_the_run_is_known_to_have_ended(
    shared: SharedCache, clock: Clock
) -> None:
    upstream = Upstream()
    await read(cached(upstream, shared), ASSISTANT_MESSAGE)
    await read(cached(upstream, shared), ENDED)
    for expected_calls in (2, 3, 3, 3):
        assert len(upstream.calls) == expected_calls
        await shared.wait_until_idle()
        clock.now += 5
        await read(cached(upstream, shared), ASSISTANT_MESSAGE)


async def test_an_unexpected_exception_of_the_inner_port_reaches_the_caller(shared: SharedCache) -> None:
    class Broken(Upstream):
        async def get(self, kind: object, keys: object) -> list[Any]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await read(cached(Broken(), shared), USER_MESSAGE)


async def test_a_value_in_memory_is_not_read_from_redis(valkey: Valkey) -> None:
    upstream = Upstream()
    async with processes(1, valkey.url) as (shared,):
        await read(cached(upstream, shared), THREAD)
        await shared.wait_until_idle()
        valkey.command("DEL", redis_key("ann", "v", to_cache_key(THREAD)))
        valkey.command("CONFIG", "RESETSTAT")
        await read(cached(upstream, shared), THREAD)
    assert len(upstream.calls) == 1
    stats = valkey.command("INFO", "commandstats")
    assert not {"cmdstat_set", "cmdstat_get", "cmdstat_eval"} & set(stats)
    assert stats["cmdstat_mget"]["calls"] == 1


async def test_a_newer_value_of_another_process_is_found_though_memory_has_an_outdated_one(valkey: Valkey) -> None:
    upstream = Upstream()
    async with processes(2, valkey.url) as (one, other):
        for shared in (one, other):
            await read(cached(upstream, shared), THREAD)
            await shared.wait_until_idle()
        assert len(upstream.calls) == 1
        await cached(upstream, one).write(DELETE_THREAD, THREAD, None)
        await read(cached(upstream, one), THREAD)
        await one.wait_until_idle()
        calls = len(upstream.calls)
        api = cached(upstream, other)
        await read(api, THREAD)
        assert len(upstream.calls) == calls
        assert api.cost.cache_hits == 1


async def test_a_value_read_from_redis_is_stored_in_memory(valkey: Valkey) -> None:
    upstream = Upstream()
    async with processes(2, valkey.url) as (one, other):
        await read(cached(upstream, one), THREAD)
        await one.wait_until_idle()
        await read(cached(upstream, other), THREAD)
        assert other.memory.get_entry("ann", to_cache_key(THREAD)) is not None


async def test_without_versions_nothing_is_stored_or_found() -> None:
    upstream = Upstream()
    async with processes(1, "unix:///nowhere/valkey.sock") as (shared,):
        await read(cached(upstream, shared), THREAD)
        assert len(shared.memory) == 0
        lookup = CacheLookup.for_key(THREAD)
        assert await ReadThrough(shared, "ann", Cost())._find_cached([lookup], FAR) == {}
        assert not lookup.has_versions


async def test_reads_without_versions_share_no_call() -> None:
    upstream = Upstream()
    upstream.gate.clear()
    async with processes(1, "unix:///nowhere/valkey.sock") as (shared,):
        apis = [cached(upstream, shared) for _ in range(2)]
        reading = [asyncio.create_task(read(api, THREAD)) for api in apis]
        await until(lambda: upstream.waiting == 2)
        upstream.gate.set()
        await asyncio.gather(*reading)
        assert [api.cost.shared_calls for api in apis] == [0, 0]

"""Identical reads in flight share one call: in one process, and in two that share a Redis."""

import asyncio

import pytest

from gateway.cache import leases
from gateway.cache.cache_keys import to_cache_key
from gateway.cache.redis_link import redis_key
from schema.contract.errors import GatewayError
from schema.contract.keys import ThreadKey
from tests.gateway.cache.processes import processes
from tests.gateway.cache.upstream import (
    ACTIVE,
    ALL_KEYS,
    DOWN,
    OTHER_THREAD,
    THREAD,
    Upstream,
    cached,
    read,
    until,
)
from tests.support.fake_threads_api import Key
from tests.support.valkey import Valkey


@pytest.mark.parametrize("key", ALL_KEYS, ids=repr)
async def test_ten_reads_at_once_in_one_process_are_one_call(key: Key) -> None:
    upstream = Upstream()
    upstream.gate.clear()
    async with processes(1, None) as (shared,):
        apis = [cached(upstream, shared) for _ in range(10)]
        reading = [asyncio.create_task(read(api, key)) for api in apis]
        await until(lambda: upstream.waiting == 1)
        await asyncio.sleep(0)
        upstream.gate.set()
        results = await asyncio.gather(*reading)
        assert len(upstream.calls) == 1
        assert len({repr(result) for result in results}) == 1
        assert sorted(api.cost.shared_calls for api in apis) == [0] + [1] * 9


@pytest.mark.parametrize("key", ALL_KEYS, ids=repr)
async def test_ten_reads_at_once_in_two_processes_are_one_call(key: Key, valkey: Valkey) -> None:
    upstream = Upstream()
    upstream.gate.clear()
    async with processes(2, valkey.url) as (one, other):
        apis = [cached(upstream, shared) for shared in (one, other) for _ in range(5)]
        reading = [asyncio.create_task(read(api, key)) for api in apis[:5]]
        await until(lambda: upstream.waiting == 1)
        valkey.command("CONFIG", "RESETSTAT")
        reading += [asyncio.create_task(read(api, key)) for api in apis[5:]]
        # The other process does a look-up for each of its five reads, then waits for the holder of the lease.
        await until(lambda: valkey.command("INFO", "commandstats").get("cmdstat_mget", {"calls": 0})["calls"] > 5)
        upstream.gate.set()
        results = await asyncio.gather(*reading)
        assert len(upstream.calls) == 1
        assert len({repr(result)[:80] for result in results}) == 1
        assert sorted(api.cost.shared_calls for api in apis) == [0] + [1] * 9


async def test_a_batch_waits_for_reads_of_other_processes_and_fetches_the_rest(valkey: Valkey) -> None:
    upstream = Upstream()
    upstream.gate.clear()
    async with processes(2, valkey.url) as (one, other):
        first = asyncio.create_task(read(cached(upstream, one), THREAD))
        await until(lambda: upstream.waiting == 1)
        second = asyncio.create_task(read(cached(upstream, other), THREAD, OTHER_THREAD))
        await until(lambda: upstream.waiting == 2)
        upstream.gate.set()
        await first
        assert [thread.id for thread in await second] == ["thread_1", "thread_2"]
        assert upstream.calls == [("get_threads", (THREAD,)), ("get_threads", (OTHER_THREAD,))]


async def test_a_read_after_a_result_that_may_not_be_stored_fetches_again(valkey: Valkey) -> None:
    upstream = Upstream()
    async with processes(2, valkey.url) as (one, other):
        for shared in (one, other, one):
            await read(cached(upstream, shared), ACTIVE)
        assert len(upstream.calls) == 3


async def test_a_failure_is_not_handed_over(valkey: Valkey) -> None:
    upstream = Upstream()
    upstream.fails(THREAD)
    upstream.gate.clear()
    async with processes(2, valkey.url) as (one, other):
        reading = [asyncio.create_task(read(cached(upstream, shared), THREAD)) for shared in (one, other)]
        await until(lambda: upstream.waiting == 1)
        upstream.gate.set()
        assert await asyncio.gather(*reading) == [[DOWN], [DOWN]]
        assert len(upstream.calls) == 2


async def test_no_read_waits_for_a_process_that_died(valkey: Valkey) -> None:
    upstream = Upstream()
    upstream.gate.clear()
    async with processes(2, valkey.url) as (one, other):
        dead = asyncio.create_task(read(cached(upstream, one), THREAD))
        await until(lambda: upstream.waiting == 1)
        (lease,) = valkey.command("KEYS", redis_key("ann", "l", to_cache_key(THREAD)).replace("[", "?") + "*")
        valkey.command("DEL", lease)
        alive = asyncio.create_task(read(cached(upstream, other), THREAD))
        await until(lambda: upstream.waiting == 2)
        upstream.gate.set()
        await asyncio.gather(dead, alive)


async def test_no_read_waits_longer_than_a_fetch_takes(valkey: Valkey) -> None:
    upstream = Upstream()
    upstream.gate.clear()
    async with processes(2, valkey.url, upstream_seconds=0.01) as (one, other):
        slow = asyncio.create_task(read(cached(upstream, one), THREAD))
        await until(lambda: upstream.waiting == 1)
        impatient = asyncio.create_task(read(cached(upstream, other), THREAD))
        await until(lambda: upstream.waiting == 2)
        upstream.gate.set()
        await asyncio.gather(slow, impatient)


async def test_a_call_that_takes_longer_than_a_lease_is_still_shared(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEWAL_SECONDS", 0.01)
    upstream = Upstream()
    upstream.gate.clear()
    async with processes(2, valkey.url) as (one, other):
        reading = [asyncio.create_task(read(cached(upstream, shared), THREAD)) for shared in (one, other)]
        await until(lambda: upstream.waiting == 1)
        valkey.command("CONFIG", "RESETSTAT")
        await until(lambda: valkey.command("INFO", "commandstats").get("cmdstat_eval", {"calls": 0})["calls"] >= 3)
        upstream.gate.set()
        await asyncio.gather(*reading)
        assert len(upstream.calls) == 1


async def test_a_cancelled_reader_leaves_the_call_to_others_and_the_last_one_cancels_it() -> None:
    upstream = Upstream()
    upstream.gate.clear()
    async with processes(1, None) as (shared,):
        reading = [asyncio.create_task(read(cached(upstream, shared), THREAD)) for _ in range(3)]
        await until(lambda: upstream.waiting == 1)
        reading[0].cancel()
        await asyncio.wait([reading[0]])
        assert upstream.waiting == 1
        for task in reading:
            task.cancel()
        await asyncio.wait(reading)
        assert upstream.waiting == 0


async def test_an_error_of_the_own_fetch_cancels_the_wait_for_another_process(valkey: Valkey) -> None:
    class Broken(Upstream):
        async def get_threads(self, keys: object) -> list[GatewayError]:
            raise ZeroDivisionError

    upstream = Upstream()
    upstream.gate.clear()
    async with processes(2, valkey.url) as (one, other):
        first = asyncio.create_task(read(cached(upstream, one), THREAD))
        await until(lambda: upstream.waiting == 1)
        with pytest.raises(ZeroDivisionError):
            await read(cached(Broken(), other), THREAD, ThreadKey("thread_3"))
        upstream.gate.set()
        await first

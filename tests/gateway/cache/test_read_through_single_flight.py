"""Identical reads in flight share one call in each process, and processes share its result through Redis."""

import asyncio

import pytest

from gateway.cache.shared_cache import SharedCache
from schema.contract.kinds import Key
from tests.gateway.cache.processes import processes
from tests.gateway.cache.upstream import ALL_KEYS, THREAD, Upstream, cached, read, until
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


def waiting_reads(shared: SharedCache) -> int:
    return sum(flight.batch.waiters for flight in shared.single_flight._in_flight.values())


async def test_each_of_two_processes_fetches_for_itself_and_later_reads_take_what_either_stored(valkey: Valkey) -> None:
    upstream = Upstream()
    upstream.gate.clear()
    async with processes(2, valkey.url) as caches:
        reading = [asyncio.create_task(read(cached(upstream, shared), THREAD)) for shared in caches for _ in range(5)]
        await until(lambda: [waiting_reads(shared) for shared in caches] == [5, 5])
        upstream.gate.set()
        await asyncio.gather(*reading)
        for shared in caches:
            await shared.wait_until_idle()
    assert len(upstream.calls) == 2
    async with processes(1, valkey.url) as (later,):
        await read(cached(upstream, later), THREAD)
    assert len(upstream.calls) == 2


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

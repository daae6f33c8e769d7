import asyncio

import pytest

from gateway.cache.shared_cache import CacheOptions, SharedCache
from tests.gateway.cache.upstream import THREAD, Upstream, cached, read, until


async def test_closing_cancels_the_reads_in_flight() -> None:
    upstream = Upstream()
    upstream.gate.clear()
    async with SharedCache() as shared:
        reading = asyncio.create_task(read(cached(upstream, shared), THREAD))
        await until(lambda: upstream.waiting == 1)
    assert upstream.waiting == 0
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_start_without_redis_is_no_error() -> None:
    upstream = Upstream()
    async with SharedCache(CacheOptions(redis_url="unix:///nowhere/valkey.sock")) as shared:
        assert len(await read(cached(upstream, shared), THREAD)) == 1


async def test_its_deadline_is_that_of_the_options() -> None:
    async with SharedCache(CacheOptions(redis_deadline_seconds=2.0)) as shared:
        assert shared.redis_deadline() == pytest.approx(asyncio.get_running_loop().time() + 2, abs=0.1)

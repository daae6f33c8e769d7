"""Fixtures of the contract tests: the implementations of the port, each over the same demo data."""

from collections.abc import AsyncIterator
from typing import Literal

import pytest
from aiohttp.test_utils import TestServer

from gateway.cache.cached_threads_api import CachedThreadsApi
from gateway.cache.shared_cache import CacheOptions, SharedCache
from gateway.emulator.app import create_app
from gateway.emulator.clock import ManualClock
from gateway.emulator.demo import seed
from gateway.upstream.dialects import DialectName
from gateway.upstream.threads_api_client import UpstreamClient
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.ports import ThreadsApi
from tests.contracts.world import World, read_world
from tests.support.fake_threads_api import V1, V2, FakeThreadsApi

CREDENTIAL = "Bearer contract"
THREADS = [
    seed.THREAD_TRIP,
    seed.THREAD_SUPPORT,
    seed.THREAD_REFUND,
    seed.THREAD_ANALYSIS,
    seed.THREAD_RELEASE,
    seed.THREAD_JOURNAL,
]
Version = Literal["v1", "v2"]


@pytest.fixture(params=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> Version:
    chosen: Version = request.param
    return chosen


@pytest.fixture
async def emulator() -> AsyncIterator[str]:
    async with TestServer(create_app(clock=ManualClock(), seed_keys=["contract"])) as server:
        yield str(server.make_url("/v1"))


@pytest.fixture
async def world(emulator: str, version: Version) -> World:
    return await read_world(emulator, THREADS, CREDENTIAL, version)


@pytest.fixture(params=["client on the emulator", "fake", "cached in memory", "cached in Redis"])
async def api(
    request: pytest.FixtureRequest, emulator: str, world: World, version: Version
) -> AsyncIterator[ThreadsApi]:
    if request.param == "fake":
        yield FakeThreadsApi(**vars(world), capabilities={"v1": V1, "v2": V2}[version])
        return
    names: dict[Version, DialectName] = {"v1": "openai-v1", "v2": "openai-v2"}
    async with UpstreamClient(UpstreamOptions(emulator, names[version])) as client:
        if not request.param.startswith("cached"):
            yield client.bind(CREDENTIAL)
            return
        redis_url = request.getfixturevalue("valkey").url if request.param == "cached in Redis" else None
        # The deadline is long, so that a busy machine does not make the cache work without Redis.
        async with SharedCache(CacheOptions(redis_url=redis_url, redis_deadline_seconds=5)) as shared:
            yield CachedThreadsApi(client.bind(CREDENTIAL), shared, "contract")

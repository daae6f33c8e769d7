"""Fixtures of the contract tests: the implementations of the port, each over the same demo data."""

import itertools
from collections.abc import AsyncIterator
from typing import Literal

import pytest
from aiohttp.test_utils import TestServer

from gateway.cache.cached_threads_api import CachedThreadsApi
from gateway.cache.shared_cache import CacheOptions, SharedCache
from gateway.emulator.app import create_app
from gateway.emulator.clock import ManualClock
from gateway.emulator.demo import seed
from gateway.emulator.http.api_endpoint import SERVICES
from gateway.upstream.dialects import DialectName
from gateway.upstream.threads_api_client import UpstreamClient
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.ports import ThreadsApi
from tests.contracts.world import World, read_world
from tests.gateway.ledger.owned_ports import Ports
from tests.support.emulator import add_files
from tests.support.fake_ownership import FakeOwnership
from tests.support.fake_threads_api import V1, V2, FakeThreadsApi
from tests.support.signed_in import owner

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
IMPLEMENTATIONS = ("client on the emulator", "fake", "cached in memory", "cached in Redis", "owned")
VERSIONS: tuple[Version, ...] = ("v1", "v2")
# The cache treats both versions alike.
LONG = {("cached in memory", "v1"), ("cached in Redis", "v2"), ("owned", "v1")}


@pytest.fixture(
    params=[
        pytest.param(member, id="-".join(member), marks=[pytest.mark.full] if member in LONG else [])
        for member in itertools.product(IMPLEMENTATIONS, VERSIONS)
    ]
)
def implementation(request: pytest.FixtureRequest) -> tuple[str, Version]:
    chosen: tuple[str, Version] = request.param
    return chosen


@pytest.fixture
def version(implementation: tuple[str, Version]) -> Version:
    return implementation[1]


@pytest.fixture
async def emulator() -> AsyncIterator[str]:
    app = create_app(clock=ManualClock(), seed_keys=["contract"])
    add_files(app[SERVICES].store, "contract", "file-1")
    async with TestServer(app) as server:
        yield str(server.make_url("/v1"))


@pytest.fixture(scope="session")
def _worlds() -> dict[Version, World]:
    return {}


@pytest.fixture
async def world(emulator: str, version: Version, _worlds: dict[Version, World]) -> World:
    """The demo's objects. They are the same in each emulator, so they are read once."""
    if version not in _worlds:
        _worlds[version] = await read_world(emulator, THREADS, CREDENTIAL, version)
    return World(**{name: dict(objects) for name, objects in vars(_worlds[version]).items()})


@pytest.fixture
async def api(
    request: pytest.FixtureRequest, emulator: str, world: World, implementation: tuple[str, Version]
) -> AsyncIterator[ThreadsApi]:
    name, version = implementation
    if name == "fake":
        yield FakeThreadsApi(**vars(world), capabilities={"v1": V1, "v2": V2}[version])
        return
    names: dict[Version, DialectName] = {"v1": "openai-v1", "v2": "openai-v2"}
    async with UpstreamClient(UpstreamOptions(emulator, names[version])) as client:
        if name == "client on the emulator":
            yield client.bind(CREDENTIAL)
            return
        if name == "owned":  # half of the threads are the admin's own, and half are nobody's
            own = FakeOwnership(dict.fromkeys(THREADS[::2], owner("root")))
            async with SharedCache() as shared:
                yield Ports(client.bind(CREDENTIAL), own, shared).bind("root")
            return
        redis_url = request.getfixturevalue("valkey").url if name == "cached in Redis" else None
        # The deadline is long, so that a busy machine does not make the cache work without Redis.
        async with SharedCache(CacheOptions(redis_url=redis_url, redis_deadline_seconds=5)) as shared:
            yield CachedThreadsApi(client.bind(CREDENTIAL), shared, "contract")

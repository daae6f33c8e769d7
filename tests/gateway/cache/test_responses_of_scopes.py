"""Responses whose reads lie in several scopes, such as those of a thread's owner and of the gateway's assistants."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.cache.cache_keys import to_cache_key
from gateway.cache.cached_threads_api import OperationResponses
from gateway.cache.shared_cache import SharedCache
from schema.contract.bodies import AssistantUpdateBody, ThreadUpdateBody
from schema.contract.cost import Cost
from schema.contract.encoded_json import EncodedJson
from schema.contract.kinds import Key
from schema.contract.writes import UPDATE_ASSISTANT, UPDATE_THREAD
from tests.gateway.cache.cached_queries import response_key
from tests.gateway.cache.processes import processes
from tests.gateway.cache.upstream import ASSISTANT, THREAD, Upstream, cached, read
from tests.support.valkey import Valkey

KEY, DATA = response_key(), b'{"a":1}'
OWNER, GATEWAY = "ann", "gateway"


@pytest.fixture(params=["memory", "redis"])
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[SharedCache]:
    url = request.getfixturevalue("valkey").url if request.param == "redis" else None
    async with processes(1, url) as (shared,):
        yield shared


async def store(upstream: Upstream, shared: SharedCache, caller: str = "root/admin") -> None:
    """Store a response of a caller that read a thread of its owner, and an assistant of the gateway."""
    ports = {scope: cached(upstream, shared, scope) for scope in (OWNER, GATEWAY)}
    await read(ports[OWNER], THREAD)
    await read(ports[GATEWAY], ASSISTANT)
    await shared.wait_until_idle()
    responses = OperationResponses(shared, caller, Cost())
    responses.store_data(KEY, DATA, [port.recorded for port in ports.values()], {THREAD.thread_id: OWNER})


async def find(shared: SharedCache, caller: str = "root/admin") -> EncodedJson | None:
    return await OperationResponses(shared, caller, Cost()).find_data(KEY)


@asynccontextmanager
async def not_found_afterwards(shared: SharedCache) -> AsyncIterator[None]:
    assert await find(shared) == DATA
    yield
    assert await find(shared) is None


async def test_a_response_of_two_scopes_counts_the_reads_of_both(shared: SharedCache) -> None:
    await store(Upstream(), shared)
    cost = Cost()
    assert await OperationResponses(shared, "root/admin", cost).find_data(KEY) == DATA
    assert cost.cache_hits == 2


async def test_a_response_belongs_to_its_caller_and_not_to_the_scopes_of_its_reads(shared: SharedCache) -> None:
    await store(Upstream(), shared)
    for other in (OWNER, GATEWAY, "root"):
        assert await find(shared, other) is None


async def test_a_write_in_either_scope_invalidates_it(shared: SharedCache) -> None:
    upstream = Upstream()
    await store(upstream, shared)
    async with not_found_afterwards(shared):
        await cached(upstream, shared, OWNER).write(UPDATE_THREAD, THREAD, ThreadUpdateBody(metadata={}))
    await store(upstream, shared)
    async with not_found_afterwards(shared):
        await cached(upstream, shared, GATEWAY).write(UPDATE_ASSISTANT, ASSISTANT, AssistantUpdateBody(name="x"))


async def test_the_same_write_in_another_scope_leaves_it_valid(shared: SharedCache) -> None:
    upstream = Upstream()
    await store(upstream, shared)
    await cached(upstream, shared, GATEWAY).write(UPDATE_THREAD, THREAD, ThreadUpdateBody(metadata={}))
    await cached(upstream, shared, OWNER).write(UPDATE_ASSISTANT, ASSISTANT, AssistantUpdateBody(name="x"))
    assert await find(shared) == DATA


@pytest.mark.parametrize(("scope", "key"), [(OWNER, THREAD), (GATEWAY, ASSISTANT)])
async def test_an_entry_that_either_scope_read_again_invalidates_it(shared: SharedCache, scope: str, key: Key) -> None:
    upstream = Upstream()
    await store(upstream, shared)
    async with not_found_afterwards(shared):
        shared.memory.remove_entry(scope, to_cache_key(key))
        await read(cached(upstream, shared, scope), key)


async def test_it_tells_the_scopes_of_its_threads_without_a_look_up(valkey: Valkey) -> None:
    async with processes(1, valkey.url) as (shared,):
        await store(Upstream(), shared)
        valkey.command("CONFIG", "RESETSTAT")
        responses = OperationResponses(shared, "root/admin", Cost())
        assert responses.find_object_scopes(KEY) == {THREAD.thread_id: OWNER}
        assert responses.find_object_scopes(response_key("{ b: __typename }")) is None
        assert "cmdstat_mget" not in valkey.command("INFO", "commandstats")


async def test_two_scopes_are_checked_by_one_look_up_each(valkey: Valkey) -> None:
    async with processes(1, valkey.url) as (shared,):
        await store(Upstream(), shared)
        valkey.command("CONFIG", "RESETSTAT")
        assert await find(shared) == DATA
        assert valkey.command("INFO", "commandstats")["cmdstat_mget"]["calls"] == 2

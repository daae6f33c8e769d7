import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.cache.cache_keys import CacheKey, redis_key
from gateway.cache.redis_link import Command, RedisLink
from tests.support.valkey import Valkey, running_valkey

FAR = float("inf")


@asynccontextmanager
async def linked(url: str, *, cluster: bool = False, deadline_seconds: float = 5.0) -> AsyncIterator[RedisLink]:
    link = RedisLink(url, cluster=cluster, deadline_seconds=deadline_seconds)
    try:
        yield link
    finally:
        await link.close()


def test_a_redis_key_names_the_principal_the_kind_and_the_cache_key() -> None:
    cache_key = CacheKey("thread/t", "thread/t")
    assert redis_key("ann", "v", cache_key).endswith("/thread/t}:v:thread/t")
    keys = {redis_key(scope, kind, cache_key) for scope in ("ann", "bob") for kind in "vt"}
    assert len(keys) == 4


async def test_replies_come_in_the_order_of_the_commands(valkey: Valkey) -> None:
    async with linked(valkey.url) as link:
        assert await link.send_commands([("SET", "a", 1), ("GET", "a"), ("GET", "b")], FAR) == [True, b"1", None]


async def test_a_batch_is_one_mget(valkey: Valkey) -> None:
    cache_keys = [CacheKey(f"g{number}", "x") for number in range(20)]
    async with linked(valkey.url) as link:
        await link.connect()
        valkey.command("CONFIG", "RESETSTAT")
        read = await link.read_keys("ann", {"v": cache_keys, "t": cache_keys}, FAR)
        assert read == {(kind, cache_key): None for kind in "vt" for cache_key in cache_keys}
    stats = valkey.command("INFO", "commandstats")
    assert stats["cmdstat_mget"]["calls"] == 1
    assert "cmdstat_get" not in stats


async def test_on_a_cluster_a_batch_is_one_mget_for_each_group(valkey_cluster: list[Valkey]) -> None:
    cache_keys = [CacheKey(f"g{number}", "x") for number in range(20)]
    async with linked(valkey_cluster[0].url, cluster=True) as link:
        await link.connect()
        commands: list[Command] = [
            ("SET", redis_key("ann", "v", cache_key), cache_key.group) for cache_key in cache_keys
        ]
        assert await link.send_commands(commands, FAR) == [True] * 20
        for server in valkey_cluster:
            server.command("CONFIG", "RESETSTAT")
        read = await link.read_keys("ann", {"v": cache_keys, "t": cache_keys}, FAR)
        assert read is not None
        assert {cache_key: read["v", cache_key] for cache_key in cache_keys} == {
            cache_key: cache_key.group.encode() for cache_key in cache_keys
        }
    stats = [server.command("INFO", "commandstats") for server in valkey_cluster]
    assert sum(one["cmdstat_mget"]["calls"] for one in stats) == 20
    assert not any("cmdstat_get" in one for one in stats)


async def test_an_error_of_one_command_affects_only_that_command(valkey: Valkey) -> None:
    async with linked(valkey.url) as link:
        assert await link.send_commands([("SET", "a", "x"), ("INCR", "a"), ("GET", "a")], FAR) == [True, None, b"x"]
        assert link.breaker.is_closed


async def test_a_redis_that_refuses_every_command_opens_the_breaker(valkey: Valkey) -> None:
    async with linked(valkey.url) as link:
        assert await link.send_commands([("NO_SUCH_COMMAND",)], FAR) is None
        assert not link.breaker.is_closed


@pytest.mark.parametrize("cluster", [False, True])
async def test_a_redis_that_is_down_raises_no_error(cluster: bool) -> None:
    url = "redis://127.0.0.1:1" if cluster else "unix:///nowhere/valkey.sock"
    async with linked(url, cluster=cluster) as link:
        await link.connect()
        assert await link.send_commands([("GET", "a")], FAR) is None
        assert not link.breaker.is_closed
        assert await link.read_keys("ann", {"v": [CacheKey("g", "x")]}, FAR) is None
        assert await link.read_keys("ann", {"v": []}, FAR) == {}


async def test_a_slow_redis_costs_one_deadline_and_then_nothing_for_a_while() -> None:
    with running_valkey() as valkey:
        async with linked(valkey.url, deadline_seconds=0.05) as link:
            await link.connect()
            valkey.command("CLIENT", "PAUSE", 500, "ALL")
            loop = asyncio.get_running_loop()
            begun = loop.time()
            assert await link.send_commands([("GET", "a")], link.new_deadline()) is None
            assert loop.time() - begun >= 0.045
            assert await link.send_commands([("GET", "a")], link.new_deadline()) is None
            assert not link.breaker.is_closed
            # A caller may ignore the breaker.
            assert await link.send_commands([("GET", "a")], FAR, ignore_breaker=True) == [None]
            assert link.breaker.is_closed


async def test_a_deadline_in_the_past_leaves_the_breaker_closed(valkey: Valkey) -> None:
    async with linked(valkey.url) as link:
        assert await link.send_commands([("GET", "a")], 0.0) is None
        assert link.breaker.is_closed


async def test_a_cancelled_caller_leaves_the_breaker_closed() -> None:
    with running_valkey() as valkey:
        async with linked(valkey.url) as link:
            await link.connect()
            valkey.command("CLIENT", "PAUSE", 300, "ALL")
            sending = asyncio.create_task(link.send_commands([("GET", "a")], FAR))
            await asyncio.sleep(0)
            sending.cancel()
            await asyncio.wait([sending])
            assert sending.cancelled()
            assert link.breaker.is_closed
            assert await link.send_commands([("SET", "a", 1), ("GET", "a")], FAR) == [True, b"1"]


async def test_once_closed_it_returns_none(valkey: Valkey) -> None:
    async with linked(valkey.url) as link:
        await link.connect()
    assert await link.send_commands([("GET", "a")], FAR) is None

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.cache.cache_keys import CacheKey
from gateway.cache.redis_link import Command, RedisLink, redis_key
from tests.support.valkey import Valkey, running_valkey

FAR = float("inf")


@asynccontextmanager
async def linked(url: str, *, cluster: bool = False, deadline_seconds: float = 5.0) -> AsyncIterator[RedisLink]:
    link = RedisLink(url, cluster=cluster, deadline_seconds=deadline_seconds)
    try:
        yield link
    finally:
        await link.close()


def test_a_key_names_the_principal_the_kind_and_the_place() -> None:
    place = CacheKey("thread/t", "thread/t")
    assert redis_key("ann", "v", place).endswith("/thread/t}:v:thread/t")
    keys = {redis_key(scope, kind, place) for scope in ("ann", "bob") for kind in "vt"}
    assert len(keys) == 4


async def test_commands_are_answered_in_their_order(valkey: Valkey) -> None:
    async with linked(valkey.url) as link:
        assert await link.send([("SET", "a", 1), ("GET", "a"), ("GET", "b")], FAR) == [True, b"1", None]


async def test_a_batch_is_one_mget(valkey: Valkey) -> None:
    places = [CacheKey(f"g{number}", "x") for number in range(20)]
    async with linked(valkey.url) as link:
        await link.connect()
        valkey.command("CONFIG", "RESETSTAT")
        read = await link.read("ann", {"v": places, "t": places}, FAR)
        assert read == {(kind, place): None for kind in "vt" for place in places}
    stats = valkey.command("INFO", "commandstats")
    assert stats["cmdstat_mget"]["calls"] == 1
    assert "cmdstat_get" not in stats


async def test_on_a_cluster_a_batch_is_one_mget_for_each_group(valkey_cluster: list[Valkey]) -> None:
    places = [CacheKey(f"g{number}", "x") for number in range(20)]
    async with linked(valkey_cluster[0].url, cluster=True) as link:
        await link.connect()
        commands: list[Command] = [("SET", redis_key("ann", "v", place), place.group) for place in places]
        assert await link.send(commands, FAR) == [True] * 20
        for server in valkey_cluster:
            server.command("CONFIG", "RESETSTAT")
        read = await link.read("ann", {"v": places, "t": places}, FAR)
        assert read is not None
        assert {place: read["v", place] for place in places} == {place: place.group.encode() for place in places}
    stats = [server.command("INFO", "commandstats") for server in valkey_cluster]
    assert sum(one["cmdstat_mget"]["calls"] for one in stats) == 20
    assert not any("cmdstat_get" in one for one in stats)


async def test_a_command_of_its_own_error_costs_only_itself(valkey: Valkey) -> None:
    async with linked(valkey.url) as link:
        assert await link.send([("SET", "a", "x"), ("INCR", "a"), ("GET", "a")], FAR) == [True, None, b"x"]
        assert link.breaker.is_closed


async def test_a_redis_that_refuses_everything_counts_as_failed(valkey: Valkey) -> None:
    async with linked(valkey.url) as link:
        assert await link.send([("NO_SUCH_COMMAND",)], FAR) is None
        assert not link.breaker.is_closed


@pytest.mark.parametrize("cluster", [False, True])
async def test_a_redis_that_is_down_is_no_error(cluster: bool) -> None:
    url = "redis://127.0.0.1:1" if cluster else "unix:///nowhere/valkey.sock"
    async with linked(url, cluster=cluster) as link:
        await link.connect()
        assert await link.send([("GET", "a")], FAR) is None
        assert not link.breaker.is_closed
        assert await link.read("ann", {"v": [CacheKey("g", "x")]}, FAR) is None
        assert await link.read("ann", {"v": []}, FAR) == {}


async def test_a_slow_redis_costs_one_deadline_and_then_nothing_for_a_while() -> None:
    with running_valkey() as valkey:
        async with linked(valkey.url, deadline_seconds=0.05) as link:
            await link.connect()
            valkey.command("CLIENT", "PAUSE", 500, "ALL")
            loop = asyncio.get_running_loop()
            begun = loop.time()
            assert await link.send([("GET", "a")], link.deadline()) is None
            assert loop.time() - begun >= 0.045
            assert await link.send([("GET", "a")], link.deadline()) is None
            assert not link.breaker.is_closed
            # Whoever insists is not kept from trying.
            assert await link.send([("GET", "a")], FAR, insist=True) == [None]
            assert link.breaker.is_closed


async def test_a_time_that_is_over_says_nothing_about_redis(valkey: Valkey) -> None:
    async with linked(valkey.url) as link:
        assert await link.send([("GET", "a")], 0.0) is None
        assert link.breaker.is_closed


async def test_a_caller_who_leaves_says_nothing_about_redis() -> None:
    with running_valkey() as valkey:
        async with linked(valkey.url) as link:
            await link.connect()
            valkey.command("CLIENT", "PAUSE", 300, "ALL")
            asking = asyncio.create_task(link.send([("GET", "a")], FAR))
            await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
            assert asking.cancelled()
            assert link.breaker.is_closed
            assert await link.send([("SET", "a", 1), ("GET", "a")], FAR) == [True, b"1"]


async def test_after_its_end_it_answers_nothing(valkey: Valkey) -> None:
    async with linked(valkey.url) as link:
        await link.connect()
    assert await link.send([("GET", "a")], FAR) is None

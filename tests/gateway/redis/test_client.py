"""Connections to a real Valkey, alone and as a cluster of three."""

import asyncio

import pytest
from redis.exceptions import RedisClusterException

from gateway.redis.client import MAX_CONNECTIONS, RedisClient
from tests.support.valkey import Valkey


async def test_it_reaches_one_server_and_makes_callers_wait_for_a_free_connection(valkey: Valkey) -> None:
    client = RedisClient(valkey.url, cluster=False)
    await client.ready()
    at_once = [client.commands.execute_command("SET", f"k{number}", number) for number in range(2 * MAX_CONNECTIONS)]
    await asyncio.gather(*at_once)
    assert int(await client.commands.execute_command("DBSIZE")) == 2 * MAX_CONNECTIONS
    await client.close()


async def test_it_finds_the_nodes_of_a_cluster_once_for_all_who_wait(valkey_cluster: list[Valkey]) -> None:
    client = RedisClient(valkey_cluster[0].url, cluster=True)
    await asyncio.gather(*(client.ready() for _ in range(5)))
    assert len(client.commands.get_nodes()) == 3
    await client.close()


async def test_a_cluster_that_is_not_there_is_looked_for_anew_each_time() -> None:
    client = RedisClient("redis://127.0.0.1:1", cluster=True)
    for _ in range(2):
        with pytest.raises(RedisClusterException, match="cannot be connected"):
            await client.ready()
    await client.close()


async def test_a_caller_that_leaves_does_not_end_the_search_for_the_nodes(valkey_cluster: list[Valkey]) -> None:
    client = RedisClient(valkey_cluster[0].url, cluster=True)
    leaving = asyncio.create_task(client.ready())
    await asyncio.sleep(0)  # lets it begin
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await client.ready()
    assert len(client.commands.get_nodes()) == 3
    await client.close()


async def test_closing_ends_the_search_for_the_nodes(valkey_cluster: list[Valkey]) -> None:
    client = RedisClient(valkey_cluster[0].url, cluster=True)
    waiting = asyncio.create_task(client.ready())
    await asyncio.sleep(0)  # lets it begin
    await client.close()
    with pytest.raises(ConnectionError):
        await waiting

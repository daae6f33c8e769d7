"""Connections to a real Valkey, one server and a cluster of three."""

import asyncio

import pytest
from redis.exceptions import RedisClusterException

from gateway.redis.client import MAX_CONNECTIONS, RedisClient
from tests.support.valkey import Valkey


async def test_callers_wait_for_a_free_connection(valkey: Valkey) -> None:
    client = RedisClient(valkey.url, cluster=False)
    await client.ready()
    commands = [client.commands.execute_command("SET", f"k{number}", number) for number in range(2 * MAX_CONNECTIONS)]
    await asyncio.gather(*commands)
    assert int(await client.commands.execute_command("DBSIZE")) == 2 * MAX_CONNECTIONS
    await client.close()


async def test_it_discovers_the_nodes_of_a_cluster_once_for_all_callers(valkey_cluster: list[Valkey]) -> None:
    client = RedisClient(valkey_cluster[0].url, cluster=True)
    await asyncio.gather(*(client.ready() for _ in range(5)))
    assert len(client.commands.get_nodes()) == 3
    await client.close()


async def test_each_call_tries_again_to_discover_a_cluster_that_is_down() -> None:
    client = RedisClient("redis://127.0.0.1:1", cluster=True)
    for _ in range(2):
        with pytest.raises(RedisClusterException, match="cannot be connected"):
            await client.ready()
    await client.close()


async def test_a_cancelled_caller_does_not_cancel_the_discovery_of_the_nodes(valkey_cluster: list[Valkey]) -> None:
    client = RedisClient(valkey_cluster[0].url, cluster=True)
    leaving = asyncio.create_task(client.ready())
    await asyncio.sleep(0)  # so that it starts
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await client.ready()
    assert len(client.commands.get_nodes()) == 3
    await client.close()


async def test_closing_cancels_the_discovery_of_the_nodes(valkey_cluster: list[Valkey]) -> None:
    client = RedisClient(valkey_cluster[0].url, cluster=True)
    waiting = asyncio.create_task(client.ready())
    await asyncio.sleep(0)  # so that it starts
    await client.close()
    with pytest.raises(ConnectionError):
        await waiting

import pytest

from gateway.cache.cache_keys import redis_key, to_cache_key
from gateway.redis.client import RedisClient
from gateway.redis.scope_removal import BATCH_SIZE, remove_scopes
from gateway.run_log.store.event_log import LogName
from gateway.run_log.store.redis_names import redis_names_from_log
from schema.contract.keys import RunKey, ThreadKey
from tests.support.valkey import Valkey


@pytest.fixture(params=["one server", "cluster"])
async def client(request: pytest.FixtureRequest) -> RedisClient:
    if request.param == "cluster":
        servers: list[Valkey] = request.getfixturevalue("valkey_cluster")
        return RedisClient(servers[0].url, cluster=True)
    return RedisClient(request.getfixturevalue("valkey").url, cluster=False)


def keys_of(scope: str) -> list[str]:
    values = [redis_key(scope, kind, to_cache_key(ThreadKey(f"thread_{n}"))) for kind in "vt" for n in range(20)]
    logs = [key for n in range(20) for key in redis_names_from_log(LogName(scope, RunKey("thread_1", f"run_{n}"))).keys]
    return values + logs


async def test_all_keys_of_a_scope_go_and_no_others(client: RedisClient) -> None:
    await client.ready()
    for key in (*keys_of("alice"), *keys_of("bob"), "foreign:{x}"):
        await client.commands.set(key, "x")
    assert await remove_scopes(client, ["alice", "carol"]) == len(keys_of("alice"))
    left = {key.decode() async for key in client.commands.scan_iter()}
    assert left == {*keys_of("bob"), "foreign:{x}"}
    await client.close()


async def test_many_keys_are_removed_in_batches(valkey: Valkey) -> None:
    client = RedisClient(valkey.url, cluster=False)
    prefix = redis_key("alice", "v", to_cache_key(ThreadKey("thread_1")))
    await client.commands.mset({f"{prefix}{number}": "x" for number in range(2 * BATCH_SIZE + 1)})
    assert await remove_scopes(client, ["alice"]) == 2 * BATCH_SIZE + 1
    await client.close()

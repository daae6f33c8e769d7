"""Tests that every fault of Redis costs speed but never a result, and that no request waits beyond its deadline."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.cache.redis_link import OPEN_SECONDS
from gateway.cache.shared_cache import CacheOptions, SharedCache
from schema.contract.bodies import MessageBody, ThreadUpdateBody
from schema.contract.keys import ThreadKey
from schema.contract.kinds import MessagePageKey
from schema.contract.writes import CREATE_MESSAGE, UPDATE_THREAD
from tests.gateway.cache.processes import PATIENT_SECONDS, processes
from tests.gateway.cache.upstream import ALL_KEYS, OPEN, THREAD, T, Upstream, cached, read, until
from tests.support.valkey import Valkey, running_cluster, running_valkey
from tests.support.wire_samples import thread

DEADLINE_SECONDS = 0.05
MARGIN_SECONDS = 0.2
"""The time that a busy machine may add. A request that waits for a slow Redis takes longer."""
MESSAGES = MessagePageKey(T, None, OPEN)


async def update(shared: SharedCache, upstream: Upstream, owner: str) -> None:
    await cached(upstream, shared).write(UPDATE_THREAD, THREAD, ThreadUpdateBody(metadata={"owner": owner}))


async def owner_seen(shared: SharedCache, upstream: Upstream) -> str:
    (found,) = await read(cached(upstream, shared), THREAD)
    return str(found.metadata["owner"])


async def answers_are_right(shared: SharedCache, upstream: Upstream, word: str) -> None:
    """Check that every kind of read returns the upstream's data, and that a read after a write sees the write."""
    for key in ALL_KEYS:
        assert repr(await read(cached(upstream, shared), key))[:80] == repr(await read(upstream, key))[:80]
    await update(shared, upstream, word)
    assert await owner_seen(shared, upstream) == word


async def seconds(doing: Awaitable[Any]) -> float:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await doing
    return loop.time() - begun


async def is_used_again(shared: SharedCache, upstream: Upstream) -> None:
    async def hit() -> bool:
        api = cached(upstream, shared)
        await read(api, THREAD)
        await shared.wait_until_idle()
        return api.cost.cache_hits == 1

    async with asyncio.timeout(20 * OPEN_SECONDS):
        while not await hit():  # noqa: ASYNC110 # the pause of the circuit breaker is real time
            await asyncio.sleep(0.01)


async def test_redis_is_down_at_the_start_and_comes_up_later() -> None:
    upstream = Upstream()
    with running_valkey() as valkey:
        valkey.kill()
        async with processes(1, valkey.url) as (shared,):
            await answers_are_right(shared, upstream, "while down")
            valkey.start()
            await is_used_again(shared, upstream)
            await answers_are_right(shared, upstream, "while up")


async def test_redis_is_killed_in_the_middle_of_reads_and_writes() -> None:
    upstream = Upstream()
    with running_valkey() as valkey:
        async with processes(2, valkey.url) as (one, other):
            for shared in (one, other):
                await owner_seen(shared, upstream)
            upstream.gate.clear()
            held = asyncio.create_task(read(cached(upstream, one), MESSAGES))
            await until(lambda: upstream.waiting == 1)
            valkey.kill()
            waiting = asyncio.create_task(read(cached(upstream, other), MESSAGES))
            await until(lambda: upstream.waiting == 2)
            upstream.gate.set()
            assert await held == await waiting
            await answers_are_right(one, upstream, "while down")
            assert await owner_seen(other, upstream) == "while down"
            valkey.start()
            for shared in (one, other):
                await is_used_again(shared, upstream)
                assert await owner_seen(shared, upstream) == "while down"
            await answers_are_right(other, upstream, "while up")
            assert await owner_seen(one, upstream) == "while up"


async def test_redis_is_slow_by_half_a_second() -> None:
    upstream = Upstream()
    with running_valkey() as valkey:
        async with processes(1, valkey.url, deadline_seconds=DEADLINE_SECONDS) as (shared,):
            await owner_seen(shared, upstream)
            steps: list[Callable[[], Awaitable[Any]]] = [
                lambda: read(cached(upstream, shared), THREAD),
                lambda: update(shared, upstream, "while slow"),
                lambda: read(cached(upstream, shared), *[ThreadKey(f"thread_{number}") for number in range(50)]),
            ]
            for step in steps:
                valkey.command("CLIENT", "PAUSE", 500, "ALL")
                assert await seconds(step()) < DEADLINE_SECONDS + MARGIN_SECONDS
                assert await owner_seen(shared, upstream) == upstream.threads[THREAD].metadata["owner"]  # type: ignore[index]
                valkey.command("CLIENT", "UNPAUSE")
            await is_used_again(shared, upstream)
            assert await owner_seen(shared, upstream) == "while slow"


async def test_a_dead_redis_costs_only_a_few_requests_a_deadline() -> None:
    upstream = Upstream()
    with running_valkey() as valkey:
        async with processes(1, valkey.url, deadline_seconds=DEADLINE_SECONDS) as (shared,):
            valkey.command("CLIENT", "PAUSE", 60_000, "ALL")

            async def many() -> None:
                for _ in range(20):
                    await read(cached(upstream, shared), THREAD)

            assert await seconds(many()) < 20 * DEADLINE_SECONDS / 2
            valkey.kill()


async def test_redis_evicts_entries() -> None:
    upstream = Upstream()
    size = "x" * 20_000
    for number in range(100):
        key = ThreadKey(f"thread_{number + 100}")
        upstream.threads[key] = thread(key.thread_id, metadata={f"part{n}": size for n in range(4)})
    with running_valkey("--maxmemory", "2mb", "--maxmemory-policy", "allkeys-lru") as valkey:
        async with processes(2, valkey.url) as (one, other):
            for round_number in range(3):
                for shared in (one, other):
                    keys = [key for key in upstream.threads if key != THREAD]
                    assert [found.id for found in await read(cached(upstream, shared), *keys)] == [k[0] for k in keys]
                    await shared.wait_until_idle()
                    await update(shared, upstream, f"round {round_number}")
                    for reader in (one, other):
                        assert await owner_seen(reader, upstream) == f"round {round_number}"


async def test_redis_is_full_of_garbage_and_of_entries_of_another_version() -> None:
    with running_valkey() as valkey:
        await spoil_and_read(valkey)


async def spoil_and_read(valkey: Valkey) -> None:
    upstream = Upstream()
    async with processes(1, valkey.url) as (writer,):
        for key in ALL_KEYS:
            await read(cached(upstream, writer), key)
        await writer.wait_until_idle()
    values = [key for key in valkey.command("KEYS", "tg:*") if b":v:" in key]
    assert len(values) > 10
    good = {key: valkey.command("GET", key) for key in values}
    others = itertools.cycle(values)
    next(others)
    spoils: list[Callable[[bytes], bytes]] = [
        lambda _: b"garbage",
        lambda _: b"",
        lambda value: value[: len(value) // 2],
        lambda value: value[:2] + bytes(8) + value[10:],
        lambda _: good[next(others)],
    ]
    for spoil in spoils:
        for key, value in good.items():
            valkey.command("SET", key, spoil(value))
        upstream.calls.clear()
        async with processes(1, valkey.url) as (shared,):
            await answers_are_right(shared, upstream, "right")
            await update(shared, upstream, "anybody")
            await is_used_again(shared, upstream)
    for key in valkey.command("KEYS", "tg:*"):
        valkey.command("DEL", key)
        valkey.command("RPUSH", key, "of another type")
    async with processes(1, valkey.url) as (shared,):
        await answers_are_right(shared, upstream, "of another type")


@asynccontextmanager
async def clustered(servers: list[Valkey], count: int) -> AsyncIterator[list[SharedCache]]:
    async with processes(count, servers[0].url, cluster=True) as caches:
        yield caches


async def test_one_server_of_a_cluster_of_three_dies() -> None:
    upstream = Upstream()
    keys = [ThreadKey(f"thread_{number + 100}") for number in range(30)]
    upstream.threads.update({key: thread(key.thread_id, metadata={"owner": "anybody"}) for key in keys})
    with running_cluster() as servers:
        async with clustered(servers, 2) as (one, other):
            for shared in (one, other):
                assert [found.id for found in await read(cached(upstream, shared), *keys)] == [key[0] for key in keys]
                await shared.wait_until_idle()
            assert len(upstream.calls) == 1
            assert all(server.command("DBSIZE") > 0 for server in servers)
            await answers_are_right(one, upstream, "of three")
            assert await owner_seen(other, upstream) == "of three"
            for shared in (one, other):
                await is_used_again(shared, upstream)
        options = CacheOptions(redis_url=servers[0].url, redis_cluster=True, redis_deadline_seconds=PATIENT_SECONDS)
        async with SharedCache(options) as shared:
            servers[1].kill()
            for key in keys:
                body = ThreadUpdateBody(metadata={"owner": "of two"})
                await cached(upstream, shared).write(UPDATE_THREAD, key, body)
                (found,) = await read(cached(upstream, shared), key)
                assert found.metadata == {"owner": "of two"}
            servers[2].kill()


async def test_ten_requests_at_once_while_redis_is_down_all_get_a_response() -> None:
    upstream = Upstream()
    async with processes(1, "unix:///nowhere/valkey.sock") as (shared,):
        hello = MessageBody.model_validate({"role": "user", "content": [{"type": "text", "text": "Hello?"}]})
        upstream.runs.clear()
        await cached(upstream, shared).write(CREATE_MESSAGE, THREAD, hello)
        pages = await asyncio.gather(*(read(cached(upstream, shared), MESSAGES) for _ in range(10)))
        assert {len(page.data) for (page,) in pages} == {3}

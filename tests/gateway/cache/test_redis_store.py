import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.cache.cache_keys import CacheKey, redis_key
from gateway.cache.entry import may_be_stored
from gateway.cache.redis_link import RedisLink
from gateway.cache.redis_store import WRITE_MARK_MS, RedisVersionStore
from gateway.cache.tags import Tag
from tests.gateway.cache.test_version_store import redis_store
from tests.gateway.cache.upstream import until
from tests.support.valkey import Valkey, running_valkey

TAG = Tag("g", "all")
FAR = float("inf")


async def version(store: RedisVersionStore) -> str | None:
    known = await store.look_up("ann", [TAG], [], FAR)
    return None if known is None else known.versions.get(TAG)


async def test_two_processes_see_the_same_versions_and_each_others_writes(valkey: Valkey) -> None:
    async with redis_store(valkey.url) as one, redis_store(valkey.url) as other:
        first, same = await asyncio.gather(version(one), version(other))
        assert first == same
        await one.end_write("ann", [TAG])
        assert await version(other) not in {None, first}


async def test_during_a_write_no_process_may_store_values_of_its_tags(valkey: Valkey) -> None:
    async with redis_store(valkey.url) as writer, redis_store(valkey.url) as reader:
        await writer.begin_write("ann", [TAG])
        marked = await version(reader)
        assert marked is not None
        assert not may_be_stored([marked])
        # If the writer dies, the mark expires by itself.
        assert 0 < valkey.command("PTTL", redis_key("ann", "t", TAG)) <= WRITE_MARK_MS
        await writer.end_write("ann", [TAG])
        assert may_be_stored([await version(reader) or "w"])


async def test_an_evicted_version_comes_back_as_another(valkey: Valkey) -> None:
    async with redis_store(valkey.url) as store:
        first = await version(store)
        valkey.command("FLUSHALL")
        assert await version(store) not in {None, first}


async def test_a_malformed_version_is_replaced(valkey: Valkey) -> None:
    async with redis_store(valkey.url) as store:
        for garbage in (b"", b"v", b"\xff" * 20, b"v" + b"g" * 16):
            valkey.command("SET", redis_key("ann", "t", TAG), garbage)
            assert may_be_stored([await version(store) or "w"])


async def test_a_key_of_another_type_leaves_the_tag_unknown(valkey: Valkey) -> None:
    async with redis_store(valkey.url) as store:
        valkey.command("LPUSH", redis_key("ann", "t", TAG), "x")
        assert await version(store) is None
        await store.end_write("ann", [TAG])
        assert await version(store) is not None


async def test_a_full_redis_is_read_but_not_written() -> None:
    with running_valkey("--maxmemory-policy", "noeviction") as valkey:
        async with redis_store(valkey.url) as store:
            first = await version(store)
            valkey.command("CONFIG", "SET", "maxmemory", 1)
            other = Tag("g", "other")
            known = await store.look_up("ann", [TAG, other], [CacheKey("g", "x")], FAR)
            assert known is not None
            assert known.versions == {TAG: first}
            await store.begin_write("ann", [TAG])
            await store.end_write("ann", [TAG])
            assert not store.has_pending_invalidations
            assert await version(store) is None


async def test_an_invalidation_that_redis_missed_is_pending_until_a_retry_succeeds() -> None:
    pauses = asyncio.Semaphore(0)

    async def sleep(_: float) -> None:
        await pauses.acquire()

    with running_valkey() as valkey:
        async with impatient_store(valkey, sleep) as (store, other):
            first = await version(other)
            valkey.command("CLIENT", "PAUSE", 300, "ALL")
            await store.end_write("ann", [TAG])
            assert store.has_pending_invalidations
            # This process uses no value of the tag, though Redis may still have the old version.
            assert await version(store) is None
            await until(lambda: bool(valkey.command("PING")))
            pauses.release()
            await until(lambda: not store.has_pending_invalidations)
            assert await version(other) not in {None, first}
            assert await version(store) == await version(other)


async def test_an_earlier_invalidation_of_a_tag_does_not_settle_a_later_one(valkey: Valkey) -> None:
    class SlowLink(RedisLink):
        gate = asyncio.Event()

        async def send_commands(self, *arguments: Any, **options: Any) -> list[Any] | None:
            replies = await super().send_commands(*arguments, **options)
            await self.gate.wait()
            return replies

    link = SlowLink(valkey.url, cluster=False, deadline_seconds=5)
    store = RedisVersionStore(link)
    first = asyncio.create_task(store.end_write("ann", [TAG]))
    await until(lambda: store.has_pending_invalidations)
    second = asyncio.create_task(store.end_write("ann", [TAG]))
    await asyncio.sleep(0)
    link.gate.set()
    await asyncio.gather(first, second)
    assert not store.has_pending_invalidations
    await store.close()
    await link.close()


async def test_closing_sends_the_pending_invalidations(valkey: Valkey) -> None:
    link = RedisLink(valkey.url, cluster=False, deadline_seconds=5)
    store = RedisVersionStore(link)
    async with redis_store(valkey.url) as other:
        first = await version(other)
        valkey.command("CLIENT", "PAUSE", 200, "ALL")
        link.deadline_seconds = 0.01
        await store.end_write("ann", [TAG])
        pending = [store.has_pending_invalidations]
        link.deadline_seconds = 5
        await store.close()
        assert [*pending, store.has_pending_invalidations] == [True, False]
        assert await version(other) != first
    await link.close()


class impatient_store:  # noqa: N801 # used as a function
    """A store with a short deadline and the test's own `sleep`, and another store with a long deadline."""

    def __init__(self, valkey: Valkey, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.link = RedisLink(valkey.url, cluster=False, deadline_seconds=0.02)
        self.store = RedisVersionStore(self.link, sleep=sleep)
        self.other = redis_store(valkey.url)

    async def __aenter__(self) -> tuple[RedisVersionStore, RedisVersionStore]:
        await self.link.connect()
        return self.store, await self.other.__aenter__()

    async def __aexit__(self, *exception: Any) -> None:
        await self.other.__aexit__(*exception)
        await self.store.close()
        await self.link.close()

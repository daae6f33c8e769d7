from gateway.cache.cache_keys import to_cache_key
from gateway.cache.cache_lookup import CacheLookup
from gateway.cache.redis_link import redis_key
from gateway.cache.tier_lookup import TierLookup
from tests.gateway.cache.processes import processes
from tests.gateway.cache.upstream import THREAD, Upstream, cached, read
from tests.support.valkey import Valkey

FAR = float("inf")


async def test_what_memory_holds_does_not_travel_again(valkey: Valkey) -> None:
    upstream = Upstream()
    async with processes(1, valkey.url) as (shared,):
        await read(cached(upstream, shared), THREAD)
        await shared.settled()
        valkey.command("DEL", redis_key("ann", "v", to_cache_key(THREAD)))
        valkey.command("CONFIG", "RESETSTAT")
        await read(cached(upstream, shared), THREAD)
    assert len(upstream.calls) == 1
    stats = valkey.command("INFO", "commandstats")
    assert not {"cmdstat_set", "cmdstat_get", "cmdstat_eval"} & set(stats)
    assert stats["cmdstat_mget"]["calls"] == 1


async def test_what_another_process_read_anew_is_found_though_memory_holds_what_was(valkey: Valkey) -> None:
    upstream = Upstream()
    async with processes(2, valkey.url) as (one, other):
        for shared in (one, other):
            await read(cached(upstream, shared), THREAD)
            await shared.settled()
        assert len(upstream.calls) == 1
        await cached(upstream, one).delete_thread(THREAD)
        await read(cached(upstream, one), THREAD)
        await one.settled()
        calls = len(upstream.calls)
        api = cached(upstream, other)
        await read(api, THREAD)
        assert len(upstream.calls) == calls
        assert api.cost.cache_hits == 1


async def test_what_redis_gave_is_in_memory_from_then_on(valkey: Valkey) -> None:
    upstream = Upstream()
    async with processes(2, valkey.url) as (one, other):
        await read(cached(upstream, one), THREAD)
        await one.settled()
        await read(cached(upstream, other), THREAD)
        assert other.memory.get("ann", to_cache_key(THREAD)) is not None


async def test_without_versions_nothing_is_found() -> None:
    upstream = Upstream()
    async with processes(1, "unix:///nowhere/valkey.sock") as (shared,):
        await read(cached(upstream, shared), THREAD)
        assert len(shared.memory) == 0
        wish = CacheLookup.of(THREAD)
        assert await TierLookup(shared, "ann").find([wish], FAR) == {}
        assert not wish.is_known
        assert TierLookup(shared, "ann").decode(wish, b"garbage") is None

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.cache import leases as module
from gateway.cache.cache_keys import CacheKey
from gateway.cache.leases import Leases, to_handover_key, to_lease_key
from gateway.cache.redis_link import RedisLink, redis_key
from tests.gateway.cache.upstream import until
from tests.support.valkey import Valkey

CACHE_KEY = CacheKey("g", "thread/1")
LEASE, OTHER = to_lease_key(CACHE_KEY, ["v1"]), to_lease_key(CACHE_KEY, ["v2"])
FAR = float("inf")


@pytest.fixture
async def link(valkey: Valkey) -> AsyncIterator[RedisLink]:
    link = RedisLink(valkey.url, cluster=False, deadline_seconds=5)
    yield link
    await link.close()


@pytest.fixture
def leases(link: RedisLink) -> Leases:
    return Leases(link)


def test_reads_under_the_same_versions_have_the_same_lease() -> None:
    assert to_lease_key(CACHE_KEY, ["v1"]) == LEASE
    assert LEASE != OTHER
    assert LEASE.group == to_handover_key(LEASE, "x").group == CACHE_KEY.group
    assert to_handover_key(LEASE, "x") != to_handover_key(LEASE, "y")


async def test_one_process_holds_a_lease_and_others_learn_its_token(leases: Leases, link: RedisLink) -> None:
    others = Leases(link)
    token, holders = await leases.acquire_leases("ann", [LEASE], FAR)
    assert holders == {}
    _, holders = await others.acquire_leases("ann", [LEASE, OTHER], FAR)
    assert holders == {LEASE: token}
    _, holders = await others.acquire_leases("bob", [LEASE], FAR)
    assert holders == {}


async def test_a_process_does_not_wait_for_itself(leases: Leases, link: RedisLink) -> None:
    token, _ = await leases.acquire_leases("ann", [LEASE], FAR)
    second, holders = await leases.acquire_leases("ann", [LEASE], FAR)
    assert holders == {}
    await leases.release_leases("ann", [LEASE], second, {})  # it releases only leases of its own
    assert (await Leases(link).acquire_leases("ann", [LEASE], FAR))[1] == {LEASE: token}


async def test_a_process_does_not_wait_for_itself_while_it_releases_a_lease(leases: Leases) -> None:
    for _ in range(30):
        token, _ = await leases.acquire_leases("ann", [LEASE], FAR)
        releasing = asyncio.create_task(leases.release_leases("ann", [LEASE], token, {LEASE: b"result"}))
        second, holders = await leases.acquire_leases("ann", [LEASE], FAR)
        await releasing
        assert holders == {}
        await leases.release_leases("ann", [LEASE], second, {})


async def test_waiting_processes_get_the_result_and_later_ones_do_not(leases: Leases) -> None:
    token, _ = await leases.acquire_leases("ann", [LEASE], FAR)
    waiting = asyncio.create_task(leases.wait_for_results("ann", {LEASE: token}, 60))
    await asyncio.sleep(0)
    await leases.release_leases("ann", [LEASE], token, {LEASE: b"result"})
    assert await waiting == {LEASE: b"result"}
    _, holders = await leases.acquire_leases("ann", [LEASE], FAR)
    assert holders == {}


async def test_no_process_waits_for_a_holder_that_has_no_result_or_died(leases: Leases, valkey: Valkey) -> None:
    token, _ = await leases.acquire_leases("ann", [LEASE], FAR)
    waiting = asyncio.create_task(leases.wait_for_results("ann", {LEASE: token}, 60))
    await asyncio.sleep(0)
    await leases.release_leases("ann", [LEASE], token, {})
    assert await waiting == {}
    token, _ = await leases.acquire_leases("ann", [LEASE], FAR)
    valkey.command("DEL", redis_key("ann", "l", LEASE))  # as when it is not renewed
    assert await leases.wait_for_results("ann", {LEASE: token}, 60) == {}


async def test_no_process_waits_longer_than_its_timeout(leases: Leases) -> None:
    token, _ = await leases.acquire_leases("ann", [LEASE], FAR)
    assert await leases.wait_for_results("ann", {LEASE: token}, 0.01) == {}


async def test_a_lease_is_renewed_while_the_work_runs(
    leases: Leases, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEWAL_SECONDS", 0.005)
    token, _ = await leases.acquire_leases("ann", [LEASE], FAR)
    key = redis_key("ann", "l", LEASE)
    valkey.command("PEXPIRE", key, 100_000)
    gate = asyncio.Event()
    work = asyncio.create_task(leases.run_while_holding("ann", [LEASE], token, gate.wait()))
    await until(lambda: valkey.command("PTTL", key) <= 1000 * module.LEASE_SECONDS)
    # The lease of another process does not change.
    valkey.command("SET", key, "another", "PX", 100_000)
    await leases.release_leases("ann", [LEASE], token, {})
    gate.set()
    await work
    assert valkey.command("GET", key) == b"another"
    assert valkey.command("PTTL", key) > 50_000


async def test_cancelling_the_holder_cancels_its_work(leases: Leases) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    holding = asyncio.create_task(leases.run_while_holding("ann", [LEASE], "token", work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    holding.cancel()
    await asyncio.wait([holding])
    assert ended.is_set()


async def test_without_redis_every_process_fetches_for_itself() -> None:
    link = RedisLink("unix:///nowhere/valkey.sock", cluster=False, deadline_seconds=5)
    leases = Leases(link)
    _, holders = await leases.acquire_leases("ann", [LEASE], FAR)
    assert holders == {}
    assert await leases.wait_for_results("ann", {LEASE: "token"}, 60) == {}
    await leases.release_leases("ann", [LEASE], "token", {LEASE: b"result"})
    _, holders = await leases.acquire_leases("ann", [], FAR)
    assert holders == {}
    await leases.release_leases("ann", [], "token", {})
    await link.close()

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.cache import leases as module
from gateway.cache.cache_keys import CacheKey
from gateway.cache.leases import Leases, handover_of, lease_of
from gateway.cache.redis_link import RedisLink, redis_key
from tests.gateway.cache.upstream import until
from tests.support.valkey import Valkey

PLACE = CacheKey("g", "thread/1")
LEASE, OTHER = lease_of(PLACE, ["v1"]), lease_of(PLACE, ["v2"])
FAR = float("inf")


@pytest.fixture
async def link(valkey: Valkey) -> AsyncIterator[RedisLink]:
    link = RedisLink(valkey.url, cluster=False, deadline_seconds=5)
    yield link
    await link.close()


@pytest.fixture
def leases(link: RedisLink) -> Leases:
    return Leases(link)


def test_a_lease_is_that_of_a_read_under_the_same_versions() -> None:
    assert lease_of(PLACE, ["v1"]) == LEASE
    assert LEASE != OTHER
    assert LEASE.group == handover_of(LEASE, "x").group == PLACE.group
    assert handover_of(LEASE, "x") != handover_of(LEASE, "y")


async def test_one_holds_a_lease_and_other_processes_learn_who(leases: Leases, link: RedisLink) -> None:
    others = Leases(link)
    token, holders = await leases.take("ann", [LEASE], FAR)
    assert holders == {}
    _, holders = await others.take("ann", [LEASE, OTHER], FAR)
    assert holders == {LEASE: token}
    _, holders = await others.take("bob", [LEASE], FAR)
    assert holders == {}


async def test_a_process_does_not_wait_for_itself(leases: Leases, link: RedisLink) -> None:
    token, _ = await leases.take("ann", [LEASE], FAR)
    second, holders = await leases.take("ann", [LEASE], FAR)
    assert holders == {}
    await leases.end("ann", [LEASE], second, {})  # it gives back nothing that is not its own
    assert (await Leases(link).take("ann", [LEASE], FAR))[1] == {LEASE: token}


async def test_a_process_does_not_wait_for_itself_while_it_gives_a_lease_back(leases: Leases) -> None:
    for _ in range(30):
        token, _ = await leases.take("ann", [LEASE], FAR)
        ending = asyncio.create_task(leases.end("ann", [LEASE], token, {LEASE: b"answer"}))
        second, holders = await leases.take("ann", [LEASE], FAR)
        await ending
        assert holders == {}
        await leases.end("ann", [LEASE], second, {})


async def test_those_who_wait_get_the_answer_and_those_who_come_later_do_not(leases: Leases) -> None:
    token, _ = await leases.take("ann", [LEASE], FAR)
    waiting = asyncio.create_task(leases.wait("ann", {LEASE: token}, 60))
    await asyncio.sleep(0)
    await leases.end("ann", [LEASE], token, {LEASE: b"answer"})
    assert await waiting == {LEASE: b"answer"}
    _, holders = await leases.take("ann", [LEASE], FAR)
    assert holders == {}


async def test_nobody_waits_for_a_holder_without_an_answer_or_a_dead_one(leases: Leases, valkey: Valkey) -> None:
    token, _ = await leases.take("ann", [LEASE], FAR)
    waiting = asyncio.create_task(leases.wait("ann", {LEASE: token}, 60))
    await asyncio.sleep(0)
    await leases.end("ann", [LEASE], token, {})
    assert await waiting == {}
    token, _ = await leases.take("ann", [LEASE], FAR)
    valkey.command("DEL", redis_key("ann", "l", LEASE))  # as when it is not renewed
    assert await leases.wait("ann", {LEASE: token}, 60) == {}


async def test_nobody_waits_longer_than_asking_would_take(leases: Leases) -> None:
    token, _ = await leases.take("ann", [LEASE], FAR)
    assert await leases.wait("ann", {LEASE: token}, 0.01) == {}


async def test_a_lease_is_renewed_as_long_as_the_work_takes(
    leases: Leases, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEWAL_SECONDS", 0.005)
    token, _ = await leases.take("ann", [LEASE], FAR)
    key = redis_key("ann", "l", LEASE)
    valkey.command("PEXPIRE", key, 100_000)
    gate = asyncio.Event()
    work = asyncio.create_task(leases.held_during("ann", [LEASE], token, gate.wait()))
    await until(lambda: valkey.command("PTTL", key) <= 1000 * module.LEASE_SECONDS)
    # Another's lease is left alone.
    valkey.command("SET", key, "another", "PX", 100_000)
    await leases.end("ann", [LEASE], token, {})
    gate.set()
    await work
    assert valkey.command("GET", key) == b"another"
    assert valkey.command("PTTL", key) > 50_000


async def test_work_ends_with_whoever_holds_the_lease(leases: Leases) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    holding = asyncio.create_task(leases.held_during("ann", [LEASE], "token", work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    holding.cancel()
    await asyncio.wait([holding])
    assert ended.is_set()


async def test_without_redis_everybody_asks() -> None:
    link = RedisLink("unix:///nowhere/valkey.sock", cluster=False, deadline_seconds=5)
    leases = Leases(link)
    _, holders = await leases.take("ann", [LEASE], FAR)
    assert holders == {}
    assert await leases.wait("ann", {LEASE: "token"}, 60) == {}
    await leases.end("ann", [LEASE], "token", {LEASE: b"answer"})
    _, holders = await leases.take("ann", [], FAR)
    assert holders == {}
    await leases.end("ann", [], "token", {})
    await link.close()

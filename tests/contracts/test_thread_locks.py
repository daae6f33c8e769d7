"""One contract for every storage of the leases on conversations: one holder at a time, who keeps it by renewing it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.ledger.memory_kept_records import MemoryLocks
from tests.contracts.thread_locks import STORAGES, LockWorld, database_world, memory_world, redis_world

CONV = "conv_1"


@pytest.fixture(params=STORAGES)
async def world(request: pytest.FixtureRequest, tmp_path: object) -> AsyncIterator[LockWorld]:
    name = request.param
    if name == "memory":
        yield memory_world()
    elif name == "sqlite":
        async with database_world(f"sqlite:///{tmp_path}/ledger.db") as made:
            yield made
    elif name == "postgresql":
        async with database_world(request.getfixturevalue("postgresql").create_database()) as made:
            yield made
    else:
        server = (
            request.getfixturevalue("valkey_cluster")[0] if name == "cluster" else request.getfixturevalue("valkey")
        )
        ledger = MemoryLocks() if "ledger" in name else None
        async with redis_world(server.url, cluster=name == "cluster", ledger=ledger) as made:
            yield made


async def test_one_run_holds_a_conversation_at_a_time(world: LockWorld) -> None:
    assert await world.here.find_holder(CONV) is None
    assert await world.here.acquire(CONV, "resp_1", 30)
    assert not await world.there.acquire(CONV, "resp_2", 30)
    assert await world.there.find_holder(CONV) == "resp_1"
    assert await world.there.acquire("conv_2", "resp_2", 30)
    await world.there.release(CONV, "resp_2")
    assert not await world.there.acquire(CONV, "resp_2", 30)
    await world.there.release(CONV, "resp_1")
    await world.there.release(CONV, "resp_1")
    assert await world.there.acquire(CONV, "resp_2", 30)


async def test_the_lease_of_a_killed_holder_is_free_after_its_time(world: LockWorld) -> None:
    assert await world.here.acquire(CONV, "resp_1", 30)
    await world.let_pass(15)
    assert not await world.there.acquire(CONV, "resp_2", 30)
    await world.let_pass(15.1)
    assert await world.there.find_holder(CONV) is None
    assert not await world.there.hand_over(CONV, "resp_1", "resp_3", 30)
    assert await world.there.acquire(CONV, "resp_2", 30)
    assert not await world.here.acquire(CONV, "resp_1", 30)
    await world.here.release(CONV, "resp_1")
    assert await world.here.find_holder(CONV) == "resp_2"


async def test_a_holder_that_renews_its_lease_keeps_it(world: LockWorld) -> None:
    for _ in range(3):
        assert await world.here.acquire(CONV, "resp_1", 30)
        await world.let_pass(20)
        assert not await world.there.acquire(CONV, "resp_2", 30)
    # Any process that follows the run may renew it, and a shorter time is the new one.
    assert await world.there.acquire(CONV, "resp_1", 5)
    await world.let_pass(6)
    assert await world.there.acquire(CONV, "resp_2", 30)


async def test_a_lease_changes_hands_in_one_step(world: LockWorld) -> None:
    assert not await world.here.hand_over(CONV, "token", "resp_1", 30)
    assert await world.here.acquire(CONV, "token", 10)
    assert not await world.there.hand_over(CONV, "other", "resp_2", 30)
    assert await world.here.hand_over(CONV, "token", "resp_1", 30)
    await world.let_pass(20)
    assert await world.there.find_holder(CONV) == "resp_1"
    assert not await world.here.acquire(CONV, "token", 30)
    assert not await world.here.hand_over(CONV, "token", "resp_3", 30)
    assert await world.there.hand_over(CONV, "resp_1", "resp_1", 30)


async def test_of_many_who_claim_at_once_one_gets_the_lease(world: LockWorld) -> None:
    both = (world.here, world.there)
    taken = await asyncio.gather(*(both[n % 2].acquire(CONV, f"resp_{n}", 30) for n in range(8)))
    assert taken.count(True) == 1
    holder = f"resp_{taken.index(True)}"
    claimed = await asyncio.gather(*(both[n % 2].hand_over(CONV, holder, f"claim_{n}", 30) for n in range(8)))
    assert claimed.count(True) == 1
    assert await world.here.find_holder(CONV) == f"claim_{claimed.index(True)}"


async def test_each_upstream_has_its_own_conversations(world: LockWorld) -> None:
    assert await world.here.acquire(CONV, "resp_1", 30)
    assert await world.other_upstream.find_holder(CONV) is None
    assert await world.other_upstream.acquire(CONV, "resp_2", 30)
    await world.other_upstream.release(CONV, "resp_1")
    assert await world.here.find_holder(CONV) == "resp_1"


@pytest.mark.parametrize("strange", ["nul\0", "\ud800 alone", "back\\slash\\0000", "a{b}:c", "ÄÖ ❄"], ids=range(5))
async def test_ids_may_hold_any_character(world: LockWorld, strange: str) -> None:
    assert await world.here.acquire(strange, strange, 30)
    assert await world.there.find_holder(strange) == strange
    assert await world.there.hand_over(strange, strange, strange + "2", 30)
    assert await world.there.find_holder(strange + "2") is None
    await world.there.release(strange, strange + "2")
    assert await world.there.find_holder(strange) is None

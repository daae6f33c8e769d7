"""Leases on conversations while Redis is down, and when it is back."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.ledger.memory_kept_records import MemoryLocks, make_memory_records
from gateway.ledger.shared_locks import SharedLocks
from gateway.run_log.store.redis_connection import RedisConnection
from gateway.run_log.store.redis_thread_locks import RedisLocks
from gateway.upstream.responses.kept_records import ChainRecord, ThreadLocks
from gateway.upstream.responses.lost_chains import LostChains
from schema.contract.errors import ErrorCode, GatewayError
from tests.support.ports import free_port
from tests.support.valkey import Valkey

CONV = "conv_1"


@pytest.fixture
async def connections(valkey: Valkey) -> AsyncIterator[list[RedisConnection]]:
    """The connection of a gateway that reaches Redis, and that of one that does not."""
    urls = [valkey.url, f"redis://127.0.0.1:{free_port()}"]
    opened = [RedisConnection(url, deadline_seconds=20) for url in urls]
    yield opened
    for connection in opened:
        await connection.close()


@pytest.fixture
def locks(connections: list[RedisConnection]) -> tuple[ThreadLocks, ThreadLocks]:
    ledger = MemoryLocks()
    reached, lost = (SharedLocks(RedisLocks(connection, "upstream"), ledger) for connection in connections)
    return reached, lost


async def test_without_redis_the_ledger_keeps_the_leases(locks: tuple[ThreadLocks, ThreadLocks]) -> None:
    _, lost = locks
    assert await lost.acquire(CONV, "resp_1", 30)
    assert not await lost.acquire(CONV, "resp_2", 30)
    assert await lost.hand_over(CONV, "resp_1", "claim", 30)
    assert not await lost.hand_over(CONV, "resp_1", "claim_2", 30)
    assert await lost.find_holder(CONV) == "claim"
    await lost.release(CONV, "claim")
    assert await lost.acquire(CONV, "resp_2", 30)


async def test_a_lease_of_the_ledger_is_respected_when_redis_is_back(locks: tuple[ThreadLocks, ThreadLocks]) -> None:
    reached, lost = locks
    assert await lost.acquire(CONV, "resp_1", 30)
    assert not await reached.acquire(CONV, "resp_2", 30)
    assert await reached.find_holder(CONV) == "resp_1"
    assert await reached.acquire(CONV, "resp_1", 30)
    assert await reached.hand_over(CONV, "resp_1", "claim", 30)
    await reached.release(CONV, "claim")
    await reached.release(CONV, "resp_1")
    assert await reached.acquire(CONV, "resp_2", 30)


async def test_a_lease_that_only_the_ledger_has_changes_hands(locks: tuple[ThreadLocks, ThreadLocks]) -> None:
    reached, lost = locks
    assert await lost.acquire(CONV, "resp_1", 30)
    assert await reached.hand_over(CONV, "resp_1", "claim", 30)
    assert await reached.find_holder(CONV) == "claim"
    assert not await lost.acquire(CONV, "resp_1", 30)


async def test_a_lease_that_stands_in_a_lost_redis_is_handed_over_in_the_ledger(
    locks: tuple[ThreadLocks, ThreadLocks],
) -> None:
    reached, lost = locks
    assert await reached.acquire(CONV, "token", 30)
    assert await lost.hand_over(CONV, "token", "resp_1", 30)
    assert await lost.find_holder(CONV) == "resp_1"


async def test_a_run_whose_lease_stands_in_a_lost_redis_is_not_taken_for_lost(
    locks: tuple[ThreadLocks, ThreadLocks],
) -> None:
    reached, lost = locks
    chain = ChainRecord("resp_1", CONV, 1, None, ("resp_1",), b'{"background": false}', status="in_progress")
    kept = replace(make_memory_records(), locks=lost)
    await kept.chains.add_chain(chain)
    assert await reached.acquire(CONV, "resp_1", 30)
    with pytest.raises(GatewayError) as caught:
        await LostChains(kept, 30).settle(chain, "in_progress")
    assert caught.value.code is ErrorCode.LEDGER_UNAVAILABLE
    assert (await kept.chains.find_chains(["resp_1"]))["resp_1"].status == "in_progress"


async def test_a_foreign_value_under_the_name_of_a_lease_counts_as_none(
    locks: tuple[ThreadLocks, ThreadLocks], valkey: Valkey
) -> None:
    reached, _ = locks
    assert await reached.acquire(CONV, "resp_1", 30)
    (name,) = valkey.command("KEYS", "tl:*")
    valkey.command("DEL", name)
    valkey.command("LPUSH", name, "garbage")
    assert await reached.find_holder(CONV) is None
    await reached.release(CONV, "resp_1")
    assert await reached.acquire(CONV, "resp_2", 30)
    assert await reached.find_holder(CONV) == "resp_2"

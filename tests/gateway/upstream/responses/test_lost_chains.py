"""Responses in the foreground whose reader was killed."""

from dataclasses import replace

import pytest

from gateway.emulator.clock import ManualClock
from gateway.ledger.memory_kept_records import make_memory_records
from gateway.upstream.responses.kept_records import ChainRecord, KeptRecords
from gateway.upstream.responses.lost_chains import LostChains

LEASE = 15
CHAIN = ChainRecord("resp_1", "conv_1", 1, "asst_1", ("resp_1",), b'{"background": false}', status="in_progress")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def kept(clock: ManualClock) -> KeptRecords:
    kept = make_memory_records(clock.now)
    await kept.chains.add_chain(CHAIN)
    assert await kept.locks.acquire("conv_1", "resp_1", LEASE)
    return kept


@pytest.fixture
def lost(kept: KeptRecords, clock: ManualClock) -> LostChains:
    return LostChains(kept, LEASE, clock.now)


async def recorded(kept: KeptRecords) -> str:
    return (await kept.chains.find_chains(["resp_1"]))["resp_1"].status


async def miss_for_a_lease(lost: LostChains, clock: ManualClock) -> None:
    """Let the lease end, and a process miss it for as long as a lease lasts."""
    clock.advance(LEASE + 1)
    assert await lost.settle(CHAIN, "in_progress") == "in_progress"
    clock.advance(LEASE)


@pytest.mark.parametrize("status", ["queued", "in_progress"])
async def test_a_run_without_a_reader_has_failed_once_its_lease_was_missed_for_a_lease(
    kept: KeptRecords, lost: LostChains, clock: ManualClock, status: str
) -> None:
    clock.advance(LEASE - 1)
    assert await lost.settle(CHAIN, status) == status
    clock.advance(1.1)
    for _ in range(2):
        assert await lost.settle(CHAIN, status) == status
        clock.advance(LEASE / 2 - 0.1)
    assert await lost.settle(CHAIN, status) == status
    assert await recorded(kept) == "in_progress"
    clock.advance(0.3)
    assert await lost.settle(CHAIN, status) == "failed"
    assert await recorded(kept) == "failed"


async def test_a_lease_that_was_lost_and_is_taken_again_is_as_if_it_was_never_gone(
    kept: KeptRecords, lost: LostChains, clock: ManualClock
) -> None:
    """As where Redis is emptied: its reader takes the lease again at the next renewal."""
    for _ in range(2):
        await kept.locks.release("conv_1", "resp_1")
        assert await lost.settle(CHAIN, "in_progress") == "in_progress"
        clock.advance(LEASE / 3)
        assert await kept.locks.acquire("conv_1", "resp_1", LEASE)
        assert await lost.settle(CHAIN, "in_progress") == "in_progress"
        clock.advance(LEASE - 1)
    assert await recorded(kept) == "in_progress"


async def test_a_run_to_be_cancelled_has_been_without_its_reader(
    kept: KeptRecords, lost: LostChains, clock: ManualClock
) -> None:
    await kept.chains.record_status("resp_1", "cancelling")
    chain = replace(CHAIN, status="cancelling")
    await miss_for_a_lease(lost, clock)
    assert await lost.settle(chain, "cancelling") == "cancelled"
    assert await recorded(kept) == "cancelled"


async def test_a_run_whose_thread_another_run_holds_has_failed_too(
    kept: KeptRecords, lost: LostChains, clock: ManualClock
) -> None:
    clock.advance(LEASE + 1)
    assert await kept.locks.acquire("conv_1", "resp_2", 2 * LEASE)
    assert await lost.settle(CHAIN, "in_progress") == "in_progress"
    clock.advance(LEASE)
    assert await lost.settle(CHAIN, "in_progress") == "failed"


@pytest.mark.parametrize("status", ["completed", "requires_action", "cancelled"])
async def test_what_the_upstream_says_to_have_ended_is_not_lost(
    kept: KeptRecords, lost: LostChains, clock: ManualClock, status: str
) -> None:
    await miss_for_a_lease(lost, clock)
    assert await lost.settle(CHAIN, status) == status
    assert await recorded(kept) == "in_progress"


async def test_a_run_in_the_background_needs_no_reader(lost: LostChains, clock: ManualClock) -> None:
    chain = replace(CHAIN, request=b'{"background": true}')
    await miss_for_a_lease(lost, clock)
    assert await lost.settle(chain, "in_progress") == "in_progress"


async def test_an_end_that_its_reader_recorded_in_the_last_moment_stands(
    kept: KeptRecords, lost: LostChains, clock: ManualClock
) -> None:
    await miss_for_a_lease(lost, clock)
    await kept.chains.record_status("resp_1", "completed")
    assert await lost.settle(CHAIN, "in_progress") == "completed"

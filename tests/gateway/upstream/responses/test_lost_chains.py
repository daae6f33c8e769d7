"""Responses in the foreground whose reader was killed."""

from dataclasses import replace

import pytest

from gateway.emulator.clock import ManualClock
from gateway.ledger.memory_kept_records import make_memory_records
from gateway.upstream.responses.kept_records import ChainRecord, KeptRecords
from gateway.upstream.responses.lost_chains import settle_lost_chain

CHAIN = ChainRecord("resp_1", "conv_1", 1, "asst_1", ("resp_1",), b'{"background": false}', status="in_progress")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def kept(clock: ManualClock) -> KeptRecords:
    kept = make_memory_records(clock.now)
    await kept.chains.add_chain(CHAIN)
    assert await kept.locks.acquire("conv_1", "resp_1", 15)
    return kept


async def recorded(kept: KeptRecords) -> str:
    return (await kept.chains.find_chains(["resp_1"]))["resp_1"].status


@pytest.mark.parametrize("status", ["queued", "in_progress"])
async def test_a_run_without_a_reader_has_failed_after_its_lease(
    kept: KeptRecords, clock: ManualClock, status: str
) -> None:
    clock.advance(14)
    assert await settle_lost_chain(kept, CHAIN, status) == status
    clock.advance(1.1)
    assert await settle_lost_chain(kept, CHAIN, status) == "failed"
    assert await recorded(kept) == "failed"


async def test_a_run_to_be_cancelled_has_been_without_its_reader(kept: KeptRecords, clock: ManualClock) -> None:
    await kept.chains.record_status("resp_1", "cancelling")
    chain = replace(CHAIN, status="cancelling")
    clock.advance(14)
    assert await settle_lost_chain(kept, chain, "cancelling") == "cancelling"
    clock.advance(1.1)
    assert await settle_lost_chain(kept, chain, "cancelling") == "cancelled"
    assert await recorded(kept) == "cancelled"


async def test_a_run_whose_thread_another_run_holds_has_failed_too(kept: KeptRecords, clock: ManualClock) -> None:
    clock.advance(16)
    assert await kept.locks.acquire("conv_1", "resp_2", 15)
    assert await settle_lost_chain(kept, CHAIN, "in_progress") == "failed"


@pytest.mark.parametrize("status", ["completed", "requires_action", "cancelled"])
async def test_what_the_upstream_says_to_have_ended_is_not_lost(
    kept: KeptRecords, clock: ManualClock, status: str
) -> None:
    clock.advance(16)
    assert await settle_lost_chain(kept, CHAIN, status) == status
    assert await recorded(kept) == "in_progress"


async def test_a_run_in_the_background_needs_no_reader(kept: KeptRecords, clock: ManualClock) -> None:
    clock.advance(16)
    chain = replace(CHAIN, request=b'{"background": true}')
    assert await settle_lost_chain(kept, chain, "in_progress") == "in_progress"


async def test_an_end_that_its_reader_recorded_in_the_last_moment_stands(kept: KeptRecords, clock: ManualClock) -> None:
    clock.advance(16)
    await kept.chains.record_status("resp_1", "completed")
    assert await settle_lost_chain(kept, CHAIN, "in_progress") == "completed"

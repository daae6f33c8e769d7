"""Runs that wait for their client in vain: who ends them, when, and how often."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.emulator.clock import ManualClock
from gateway.ledger.chain_expiry import CHECK_SECONDS, CLAIM_SECONDS, ChainExpiry
from gateway.ledger.memory_kept_records import MemoryLocks, make_memory_records
from gateway.upstream.responses.kept_records import ChainRecord, ChainStore, KeptRecords
from schema.contract.errors import ErrorCode, GatewayError

EXPIRY_SECONDS = 600.0
LEASE_SECONDS = 630.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def kept(clock: ManualClock) -> KeptRecords:
    return make_memory_records(clock.now)


class Upstream:
    """Ends runs as the client of an upstream does, and counts them."""

    def __init__(self, kept: KeptRecords) -> None:
        self._kept = kept
        self.closed: list[str] = []
        self.began: asyncio.Queue[str] = asyncio.Queue()
        self.error: GatewayError | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def close_chain(self, run_id: str, status: str) -> None:
        self.closed.append(run_id)
        self.began.put_nowait(run_id)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        await self._kept.chains.record_status(run_id, status, ended_run=b"{}")


@pytest.fixture
def upstream(kept: KeptRecords) -> Upstream:
    return Upstream(kept)


def make_expiry(
    kept: KeptRecords,
    clock: ManualClock,
    close_chain: Callable[[str, str], Awaitable[None]],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> ChainExpiry:
    return ChainExpiry(kept, close_chain, expiry_seconds=EXPIRY_SECONDS, unix_seconds=clock.now, sleep=sleep)


async def wait_for_client(kept: KeptRecords, clock: ManualClock, run_id: str = "resp_1") -> None:
    """Let a run begin to wait now, with the lease that it has meanwhile."""
    chain = ChainRecord(run_id, f"conv_{run_id}", 1, "asst_1", (run_id,), b"{}", status="requires_action")
    await kept.chains.add_chain(replace(chain, waiting_since=clock.now()))
    assert await kept.locks.acquire(chain.thread_id, run_id, LEASE_SECONDS)


async def status_of(kept: KeptRecords, run_id: str = "resp_1") -> str:
    return (await kept.chains.find_chains([run_id]))[run_id].status


async def test_a_run_expires_when_it_has_waited_too_long_and_its_thread_is_free(
    kept: KeptRecords, clock: ManualClock, upstream: Upstream
) -> None:
    expiry = make_expiry(kept, clock, upstream.close_chain)
    await wait_for_client(kept, clock)
    clock.advance(EXPIRY_SECONDS)
    assert await expiry.expire_overdue() == 0
    assert await kept.locks.find_holder("conv_resp_1") == "resp_1"
    clock.advance(1)
    assert await expiry.expire_overdue() == 1
    assert (upstream.closed, await status_of(kept)) == (["resp_1"], "expired")
    assert await kept.locks.acquire("conv_resp_1", "resp_2", 60)
    assert await expiry.expire_overdue() == 0


async def test_of_several_gateways_one_ends_a_run(kept: KeptRecords, clock: ManualClock, upstream: Upstream) -> None:
    expiries = [make_expiry(kept, clock, upstream.close_chain) for _ in range(3)]
    for run_id in ("resp_1", "resp_2"):
        await wait_for_client(kept, clock, run_id)
    clock.advance(EXPIRY_SECONDS + 1)
    upstream.gate.clear()
    looking = [asyncio.create_task(expiry.expire_overdue()) for expiry in expiries]
    for _ in range(2):
        await asyncio.wait_for(upstream.began.get(), 10)
    upstream.gate.set()
    assert sum(await asyncio.gather(*looking)) == 2
    assert sorted(upstream.closed) == ["resp_1", "resp_2"]


async def test_what_a_killed_gateway_had_claimed_is_ended_by_another(
    kept: KeptRecords, clock: ManualClock, upstream: Upstream
) -> None:
    await wait_for_client(kept, clock)
    clock.advance(EXPIRY_SECONDS + 1)
    assert await kept.locks.hand_over("conv_resp_1", "resp_1", "expiry-of-the-killed", CLAIM_SECONDS)
    expiry = make_expiry(kept, clock, upstream.close_chain)
    assert await expiry.expire_overdue() == 0
    clock.advance(CLAIM_SECONDS)
    assert await expiry.expire_overdue() == 1


async def test_a_client_who_is_answering_keeps_the_run(
    kept: KeptRecords, clock: ManualClock, upstream: Upstream
) -> None:
    await wait_for_client(kept, clock)
    clock.advance(EXPIRY_SECONDS + 1)
    assert await kept.locks.hand_over("conv_resp_1", "resp_1", "submit-1", 60)
    assert await make_expiry(kept, clock, upstream.close_chain).expire_overdue() == 0
    assert upstream.closed == []
    assert await kept.locks.find_holder("conv_resp_1") == "submit-1"


class _AnsweredLocks(MemoryLocks):
    """Locks of which the claim comes just after the client's answer."""

    def __init__(self, clock: ManualClock, chains: ChainStore) -> None:
        super().__init__(clock.now)
        self._chains = chains

    async def hand_over(self, thread_id: str, holder: str, new_holder: str, seconds: float) -> bool:
        if new_holder.startswith("expiry"):
            await self._chains.extend_chain("resp_1", "resp_2", {"call_1": "sunny"})
        return await super().hand_over(thread_id, holder, new_holder, seconds)


async def test_an_answer_that_comes_just_before_the_claim_keeps_the_run_and_its_lock(
    kept: KeptRecords, clock: ManualClock, upstream: Upstream
) -> None:
    kept = replace(kept, locks=_AnsweredLocks(clock, kept.chains))
    await wait_for_client(kept, clock)
    clock.advance(EXPIRY_SECONDS + 1)
    assert await make_expiry(kept, clock, upstream.close_chain).expire_overdue() == 0
    assert (upstream.closed, await status_of(kept)) == ([], "queued")
    assert await kept.locks.find_holder("conv_resp_1") == "resp_1"


async def test_an_upstream_that_does_not_answer_is_asked_again(
    kept: KeptRecords, clock: ManualClock, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    expiry = make_expiry(kept, clock, upstream.close_chain)
    await wait_for_client(kept, clock)
    clock.advance(EXPIRY_SECONDS + 1)
    upstream.error = GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "It is down.")
    with caplog.at_level(logging.WARNING):
        assert await expiry.expire_overdue() == 0
    assert "its calls are answered later: It is down." in caplog.text
    assert await status_of(kept) == "requires_action"
    assert await kept.locks.find_holder("conv_resp_1") == "resp_1"
    upstream.error = None
    assert await expiry.expire_overdue() == 1
    assert upstream.closed == ["resp_1", "resp_1"]


@pytest.mark.parametrize(
    "code",
    [
        *(ErrorCode.NOT_FOUND, ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN),
        *(ErrorCode.BAD_USER_INPUT, ErrorCode.UPSTREAM_REFUSED, ErrorCode.WRONG_STATE),
    ],
)
async def test_a_run_whose_calls_the_upstream_lets_nobody_answer_here_expires_by_the_ledger_alone(
    kept: KeptRecords, clock: ManualClock, upstream: Upstream, code: ErrorCode
) -> None:
    await wait_for_client(kept, clock)
    clock.advance(EXPIRY_SECONDS + 1)
    upstream.error = GatewayError(code, "No such response.")
    assert await make_expiry(kept, clock, upstream.close_chain).expire_overdue() == 1
    chain = (await kept.chains.find_chains(["resp_1"]))["resp_1"]
    # Without a last state, its client's next call answers what is open.
    assert (chain.status, chain.ended_run) == ("expired", None)
    assert await kept.locks.find_holder("conv_resp_1") is None


class _LostChains:
    """A store that does not answer for some time."""

    def __init__(self, errors: list[Exception]) -> None:
        self.errors = errors

    async def list_waiting(self, before: float, limit: int) -> list[ChainRecord]:
        if self.errors:
            raise self.errors.pop(0)
        return []


async def test_the_look_out_goes_on_after_any_failure(
    kept: KeptRecords, clock: ManualClock, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = [GatewayError(ErrorCode.LEDGER_UNAVAILABLE, "down"), RuntimeError("unexpected")]
    slept: list[float] = []
    enough = asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            enough.set()
            await asyncio.Event().wait()

    lost: KeptRecords = replace(kept, chains=_LostChains(errors))  # type: ignore[arg-type]  # one method is used
    task = asyncio.create_task(make_expiry(lost, clock, upstream.close_chain, sleep).run())
    await asyncio.wait_for(enough.wait(), 10)
    task.cancel()
    assert slept == [CHECK_SECONDS] * 3
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "runs that wait could not be expired"
    ]

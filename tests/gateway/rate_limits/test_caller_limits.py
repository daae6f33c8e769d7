"""The share that an operation takes and gives back, the callers that are counted, and the words of a refusal."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.principal import Principal
from gateway.rate_limits.uncounted_callers import MAX_UNCOUNTED
from schema.contract.cost import Cost
from schema.contract.rate_limits import RateLimitedError
from tests.gateway.rate_limits.limit_world import ANN, BOB, UPSTREAM, LimitWorld, holder
from tests.support.full_runs import examples


async def test_what_was_not_sent_is_given_back_and_what_was_not_predicted_is_charged() -> None:
    world = LimitWorld(calls=100)
    await world.operate(predicted=10, sent=3)
    assert (await world.state()).calls_remaining == 97
    await world.operate(predicted=1, sent=6)
    assert (await world.state()).calls_remaining == 91


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_the_rest_is_given_back_however_the_operation_ends(error: type[BaseException]) -> None:
    world = LimitWorld(calls=100, operations=10)
    cost = Cost()

    async def operate() -> None:
        async with world.limits.count_operation(ANN, cost) as reservation:
            assert reservation is not None
            await reservation.admit(calls=40, runs=0)
            assert (await world.state()).calls_remaining == 60
            cost.start_call()
            raise error

    with pytest.raises(error):
        await operate()
    state = await world.state()
    assert (state.calls_remaining, state.operations_remaining) == (99, 9)


async def test_a_refused_operation_counts_nowhere() -> None:
    world = LimitWorld(calls=5, operations=10, runs=3)
    await world.operate(predicted=4, sent=4)
    before = await world.state()
    with pytest.raises(RateLimitedError) as refused:
        await world.operate(predicted=2, runs=1)
    assert await world.state() == before
    assert refused.value.message == (
        "This gateway lets a caller have 5 upstream calls in 60 s (GATEWAY_RATE_LIMIT_CALLS): "
        "1 are left, and this may need 2."
    )
    assert refused.value.retry_after_ms is not None
    world.clock.advance(refused.value.retry_after_ms / 1000 + 0.001)
    await world.operate(predicted=2, runs=1)


async def test_calls_after_the_end_of_an_operation_are_charged_when_they_are_sent() -> None:
    world = LimitWorld(calls=10)
    cost = Cost()
    async with world.limits.count_operation(ANN, cost):
        cost.start_call()
    cost.start_call()
    cost.start_call()
    await world.limits.tasks.wait()
    assert (await world.state()).calls_remaining == 7


async def test_an_event_that_loads_nothing_costs_nothing() -> None:
    world = LimitWorld(calls=1, operations=1)
    await world.operate(sent=1)
    async with world.limits.count_event(ANN, Cost(), 0):
        pass
    with pytest.raises(RateLimitedError):
        async with world.limits.count_event(ANN, Cost(), 1):
            pass


async def test_callers_have_each_their_own() -> None:
    world = LimitWorld(operations=1)
    await world.operate(ANN)
    await world.operate(BOB)
    with pytest.raises(RateLimitedError):
        await world.operate(ANN)


async def test_the_state_says_when_everything_is_left_again() -> None:
    world = LimitWorld(operations=10, window_seconds=60)
    begin_ms = round(world.clock.now() * 1000)
    assert (await world.state()).resets_at_ms == pytest.approx(begin_ms, abs=1)
    await world.operate()
    state = await world.state()
    assert state.resets_at_ms == pytest.approx(begin_ms + 120_000, abs=1)
    assert (state.operations_remaining, state.calls_limit, state.calls_remaining) == (9, None, None)
    world.clock.advance(120)
    assert (await world.state()).operations_remaining == 10


async def test_a_credential_is_counted_only_once_it_is_accepted_with_what_it_did_before() -> None:
    world, caller = LimitWorld(calls=5, operations=5, runs=5), holder("key")
    for _ in range(3):
        await world.operate(caller, predicted=5, sent=2, runs=1)
    state = await world.state(caller)
    assert (state.calls_remaining, state.operations_remaining, state.runs_remaining) == (5, 5, 5)
    world.accepted.record_status(caller.digest, 200)
    with pytest.raises(RateLimitedError):
        await world.operate(caller, predicted=1)
    state = await world.state(caller)
    assert (state.calls_remaining, state.operations_remaining, state.runs_remaining) == (0, 2, 2)
    world.accepted.record_status(caller.digest, 401)
    await world.operate(caller, predicted=1)


async def test_a_credential_that_is_accepted_during_its_operation_is_counted_at_its_end() -> None:
    world, caller, cost = LimitWorld(calls=5, operations=5), holder("key"), Cost()
    async with world.limits.count_operation(caller, cost) as reservation:
        assert reservation is not None
        await reservation.admit(calls=3, runs=0)
        cost.start_call()
        world.accepted.record_status(caller.digest, 200)
    state = await world.state(caller)
    assert (state.calls_remaining, state.operations_remaining) == (4, 4)


async def test_what_is_cached_for_a_credential_shows_that_it_was_accepted() -> None:
    world, caller = LimitWorld(operations=5), holder("key")
    cost = Cost(cache_hits=1)
    async with world.limits.count_operation(caller, cost):
        pass
    assert (await world.state(caller)).operations_remaining == 4


async def test_invented_credentials_take_a_bounded_memory_and_are_forgotten_after_a_window() -> None:
    world = LimitWorld(operations=5)
    uncounted = world.limits._uncounted
    for number in range(MAX_UNCOUNTED + 50):
        await world.operate(holder(f"invented-{number}"))
    assert len(uncounted) == MAX_UNCOUNTED
    world.clock.advance(61)
    assert len(uncounted) == 0


async def test_a_stranger_is_not_counted_and_callers_that_need_no_credential_are_one() -> None:
    stranger = Principal.from_credential(None, UPSTREAM)
    world = LimitWorld(operations=1)
    for _ in range(3):
        await world.operate(stranger)
    assert await world.limits.state(stranger) is None
    assert await world.limits.report(stranger) == {}
    anonymous = LimitWorld(operations=1, counts_anonymous=True)
    await anonymous.operate(stranger)
    with pytest.raises(RateLimitedError):
        await anonymous.operate(stranger)


@dataclass(frozen=True)
class PlannedOperation:
    predicted: int
    sent: int
    late: int
    ends: str


_OPERATIONS = st.lists(
    st.builds(
        PlannedOperation,
        st.integers(0, 8),
        st.integers(0, 10),
        st.integers(0, 2),
        st.sampled_from(["returns", "fails", "is cancelled"]),
    ),
    max_size=20,
)


@examples(200)
@given(_OPERATIONS, st.integers(8, 60))
async def test_the_counter_equals_the_calls_that_were_sent(operations: list[PlannedOperation], limit: int) -> None:
    """Run all at the same time. Those that are refused send nothing."""
    world = LimitWorld(calls=limit)
    sent = 0

    async def run(operation: PlannedOperation) -> None:
        nonlocal sent
        cost = Cost()
        async with world.limits.count_operation(ANN, cost) as reservation:
            assert reservation is not None
            await reservation.admit(calls=operation.predicted, runs=0)
            for _ in range(operation.sent):
                await asyncio.sleep(0)
                cost.start_call()
                sent += 1
            if operation.ends == "fails":
                raise ValueError
            if operation.ends == "is cancelled":
                raise asyncio.CancelledError
        for _ in range(operation.late):
            cost.start_call()
            sent += 1

    results = await asyncio.gather(*map(run, operations), return_exceptions=True)
    await world.limits.tasks.wait()
    for operation, result in zip(operations, results, strict=True):
        if isinstance(result, RateLimitedError):
            assert operation.predicted > 0
    assert (await world.state()).calls_remaining == max(0, limit - sent)

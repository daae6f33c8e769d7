"""A poll comes soon after a change and later without one. All polls of a process share one rate limit."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.run_log.poll_timing import PollIntervals, RateLimiter, next_poll_delay_seconds
from tests.support.run_log_processes import World, settle

INTERVALS = PollIntervals()


def test_polls_come_soon_after_a_change_and_later_without_one() -> None:
    delays = [next_poll_delay_seconds(INTERVALS, unchanged_polls=count) for count in range(12)]
    assert delays[:4] == [0.25, 0.375, 0.5625, 0.84375]
    assert delays[-1] == 5.0


def test_a_run_that_waits_for_its_caller_is_polled_slowly() -> None:
    assert next_poll_delay_seconds(INTERVALS, is_waiting=True) == 1.0
    assert next_poll_delay_seconds(INTERVALS, is_waiting=True, unchanged_polls=99) == 10.0


def test_failures_back_off() -> None:
    delays = [next_poll_delay_seconds(INTERVALS, failed_polls=count) for count in (1, 2, 3, 99)]
    assert delays == [0.5, 1.0, 2.0, 30.0]


@pytest.mark.parametrize("failed", [0, 1, 5])
def test_the_delay_is_at_least_the_upstreams_retry_after(failed: int) -> None:
    assert next_poll_delay_seconds(INTERVALS, failed_polls=failed, retry_after_ms=90_000) == 90.0


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans(), st.none() | st.integers(0, 10**6))
def test_the_delay_is_bounded_and_never_shrinks(
    unchanged: int, failed: int, is_waiting: bool, retry_after_ms: int | None
) -> None:
    def delay(more: int) -> float:
        return next_poll_delay_seconds(
            INTERVALS,
            unchanged_polls=unchanged + more,
            failed_polls=failed and failed + more,
            is_waiting=is_waiting,
            retry_after_ms=retry_after_ms,
        )

    assert 0.25 <= delay(0) <= delay(1) <= max(30.0, (retry_after_ms or 0) / 1000)


async def test_permits_come_at_an_even_rate_after_a_burst(world: World) -> None:
    limiter = RateLimiter(per_second=10, burst=3, now=world.clock.now, sleep=world.sleep)
    begin = world.clock.now()
    acquired: list[float] = []

    async def acquire() -> None:
        await limiter.acquire()
        acquired.append(round(world.clock.now() - begin, 3))

    tasks = [asyncio.ensure_future(acquire()) for _ in range(6)]
    await world.pass_seconds(1)
    await asyncio.gather(*tasks)
    assert acquired[:3] == [0, 0, 0]
    assert acquired[3:] == sorted(acquired[3:])
    assert all(abs(at - expected) <= 0.06 for at, expected in zip(acquired[3:], (0.1, 0.2, 0.3), strict=True))


async def test_a_pause_allows_one_more_burst_and_no_larger_one(world: World) -> None:
    limiter = RateLimiter(per_second=10, burst=2, now=world.clock.now, sleep=world.sleep)
    await world.pass_seconds(10, step=1)
    tasks = [asyncio.ensure_future(limiter.acquire()) for _ in range(4)]
    await settle()
    assert [task.done() for task in tasks] == [True, True, False, False]
    await world.pass_seconds(1)
    await asyncio.gather(*tasks)


async def test_a_cancelled_wait_returns_its_permit(world: World) -> None:
    limiter = RateLimiter(per_second=10, burst=1, now=world.clock.now, sleep=world.sleep)
    await limiter.acquire()
    cancelled = [asyncio.ensure_future(limiter.acquire()) for _ in range(1000)]
    await settle()
    for task in cancelled:
        task.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)
    await world.during(limiter.acquire(), seconds=0.3)

import asyncio
import time

import pytest

from gateway.redis.deadline import SLICES, busy_aware_timeout

PATIENT_SECONDS = 10.0


async def test_a_body_that_takes_too_long_times_out() -> None:
    with pytest.raises(TimeoutError):
        async with busy_aware_timeout(0.01):
            await asyncio.Event().wait()


async def test_a_loop_that_was_blocked_waits_for_the_rest_of_the_time() -> None:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()
    async with busy_aware_timeout(0.2):
        # The loop is blocked for longer than the deadline.
        loop.call_soon(time.sleep, 0.4)
        loop.call_soon(lambda: loop.call_later(0.02, answer.set_result, "late"))
        assert await answer == "late"


async def test_an_answer_that_takes_a_few_long_turns_of_the_loop_is_in_time() -> None:
    async with busy_aware_timeout(0.05):
        for _ in range(SLICES - 1):
            time.sleep(0.02)  # noqa: ASYNC251 - each turn takes longer than a slice
            await asyncio.sleep(0)


async def test_a_loop_that_was_blocked_waits_no_longer_than_that() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def wait_for_ever() -> None:
        async with busy_aware_timeout(0.1):
            loop.call_soon(time.sleep, 0.2)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await wait_for_ever()
    assert 0.28 <= loop.time() - began < PATIENT_SECONDS

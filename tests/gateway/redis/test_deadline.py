import asyncio
import time

import pytest

from gateway.redis.deadline import busy_aware_timeout

PATIENT_SECONDS = 10.0


async def test_a_body_that_takes_too_long_times_out() -> None:
    with pytest.raises(TimeoutError):
        async with busy_aware_timeout(0.01):
            await asyncio.Event().wait()


async def test_a_busy_loop_waits_once_more() -> None:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()
    async with busy_aware_timeout(0.2):
        # The loop is blocked for longer than the deadline.
        loop.call_soon(time.sleep, 0.4)
        loop.call_soon(lambda: loop.call_later(0.02, answer.set_result, "late"))
        assert await answer == "late"


async def test_a_busy_loop_waits_only_once_more() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def wait_for_ever() -> None:
        async with busy_aware_timeout(0.1):
            loop.call_soon(time.sleep, 0.2)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await wait_for_ever()
    assert 0.3 <= loop.time() - began < PATIENT_SECONDS

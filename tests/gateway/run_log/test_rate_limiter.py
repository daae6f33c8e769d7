"""All who poll share one rate."""

import asyncio

from gateway.run_log.rate_limiter import RateLimiter
from tests.support.run_log_processes import World, settle


async def test_turns_are_given_out_evenly_after_a_burst(world: World) -> None:
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
    assert all(abs(later - expected) <= 0.06 for later, expected in zip(acquired[3:], (0.1, 0.2, 0.3), strict=True))


async def test_after_a_pause_there_is_a_burst_again_but_no_larger_one(world: World) -> None:
    limiter = RateLimiter(per_second=10, burst=2, now=world.clock.now, sleep=world.sleep)
    await world.pass_seconds(10, step=1)
    tasks = [asyncio.ensure_future(limiter.acquire()) for _ in range(4)]
    await settle()
    assert [task.done() for task in tasks] == [True, True, False, False]
    await world.pass_seconds(1)
    await asyncio.gather(*tasks)


async def test_who_leaves_while_waiting_gives_the_turn_back(world: World) -> None:
    limiter = RateLimiter(per_second=10, burst=1, now=world.clock.now, sleep=world.sleep)
    await limiter.acquire()
    left = [asyncio.ensure_future(limiter.acquire()) for _ in range(1000)]
    await settle()
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await world.during(limiter.acquire(), seconds=0.3)

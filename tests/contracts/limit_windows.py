"""The storages of rate limits, each with a way to let time pass in it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.emulator.clock import ManualClock
from gateway.rate_limits.memory_windows import MemoryWindows
from gateway.rate_limits.redis_windows import RedisWindows
from gateway.redis.client import RedisClient

WINDOW_SECONDS = 60
STORAGES = ("memory", "redis", "cluster")


@dataclass(frozen=True)
class WindowWorld:
    """One storage. `let_pass` moves its time on by some seconds."""

    windows: MemoryWindows | RedisWindows
    let_pass: Callable[[float], Awaitable[None]]


def memory_world() -> WindowWorld:
    clock = ManualClock()

    async def let_pass(seconds: float) -> None:
        clock.advance(seconds)

    return WindowWorld(MemoryWindows(clock.now), let_pass)


@asynccontextmanager
async def redis_world(url: str, *, cluster: bool) -> AsyncIterator[WindowWorld]:
    """Use a server, whose keys are made older in place of waiting: it knows their age by the rest of their life."""
    client = RedisClient(url, cluster=cluster)
    await client.ready()

    async def let_pass(seconds: float) -> None:
        async for key in client.commands.scan_iter("*"):
            left = await client.commands.pttl(key) - 1000 * seconds
            await (client.commands.pexpire(key, int(left)) if left > 0 else client.commands.delete(key))

    try:
        yield WindowWorld(RedisWindows(client), let_pass)
    finally:
        await client.close()

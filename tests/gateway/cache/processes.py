"""Caches of one process or of several, for tests that run with each kind of store."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.cache.shared_cache import CacheOptions, SharedCache

PATIENT_SECONDS = 5.0
"""A Redis deadline that is long enough on a busy machine."""


class Clock:
    """A fake clock; the test sets its Unix time."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def processes(
    count: int,
    redis_url: str | None,
    clock: Clock | None = None,
    *,
    cluster: bool = False,
    deadline_seconds: float = PATIENT_SECONDS,
) -> AsyncIterator[list[SharedCache]]:
    """Open `count` caches over one Redis."""
    options = CacheOptions(redis_url=redis_url, redis_cluster=cluster, redis_deadline_seconds=deadline_seconds)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(SharedCache(options, now_seconds=clock or Clock())) for _ in range(count)
        ]

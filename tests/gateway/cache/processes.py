"""Caches of one process or of several, for tests that hold against each kind of store."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.cache.shared_cache import CacheOptions, SharedCache

PATIENT_SECONDS = 5.0
"""A deadline for Redis that no busy machine misses."""


class Clock:
    """Unix time as the test says."""

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
    patience_seconds: float = 60.0,
) -> AsyncIterator[list[SharedCache]]:
    """Some caches over one Redis; each waits for another's call as long as `patience_seconds`."""
    options = CacheOptions(
        redis_url=redis_url,
        redis_cluster=cluster,
        redis_deadline_seconds=deadline_seconds,
        first_guess_seconds=patience_seconds,
    )
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(SharedCache(options, now_seconds=clock or Clock())) for _ in range(count)
        ]

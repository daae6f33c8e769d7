"""The outcome of a copy, and the workers that copy several threads at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from gateway.background_tasks import end_tasks
from gateway.copying.message_plan import Loss
from schema.contract.errors import GatewayError

CONCURRENCY = 8
"""Threads that are copied at once. The upstreams serve their users meanwhile."""


@dataclass(slots=True)
class CopyOutcome:
    """The outcome of a copy, or of the look at what it would copy.

    Attributes:
        copied: The threads that were copied now.
        present: Those that had been copied before.
        missing: Those that the source does not have.
        messages: The messages of those that were copied now.
        losses: What does not come along, by kind.
        failures: The threads that could not be copied, with their errors.
    """

    copied: int = 0
    present: int = 0
    missing: int = 0
    messages: int = 0
    losses: Counter[Loss] = field(default_factory=Counter)
    failures: dict[str, GatewayError] = field(default_factory=dict)

    @property
    def thread_count(self) -> int:
        """The threads that were looked at."""
        return self.copied + self.present + self.missing + len(self.failures)


async def for_each(thread_ids: AsyncIterator[str], work: Callable[[str], Awaitable[None]]) -> None:
    """Work on ids, `CONCURRENCY` of them at once. The first error ends all work, and is raised as it is."""
    taking = asyncio.Lock()

    async def work_on() -> None:
        while True:
            async with taking:
                thread_id = await anext(thread_ids, None)
            if thread_id is None:
                return
            await work(thread_id)

    workers = [asyncio.create_task(work_on()) for _ in range(CONCURRENCY)]
    try:
        await asyncio.gather(*workers)
    finally:
        await end_tasks(*workers)

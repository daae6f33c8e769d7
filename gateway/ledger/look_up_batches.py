"""Joins the look-ups of many operations into few statements, since a statement costs more than a row."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from gateway.background_tasks import BackgroundTasks
from gateway.identity.principal import Owner

MAX_WAIT_SECONDS = 0.005
"""How long a batch waits for one that is being asked. A look-up that takes longer does not delay the next ones."""

MAX_BATCH = 1000
"""The number of objects at which a batch takes no more."""

Owners: TypeAlias = dict[str, Owner]


class LookUpBatches:
    """Look-ups of owners in batches. `find` asks the ledger; its error is that of all who wait for the batch.

    What comes while the ledger is asked is gathered, and asked together as soon as an answer is there.
    """

    def __init__(
        self,
        find: Callable[[Sequence[str]], Awaitable[Owners]],
        *,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._find = find
        self._max_batch = max_batch
        # Those who wait for a look-up are told of its failure.
        self._tasks = BackgroundTasks(logs_errors=False)
        self._gathered: list[str] = []
        self._next: asyncio.Task[Owners] | None = None
        self._asking: set[asyncio.Task[Owners]] = set()

    def add_objects(self, object_ids: Sequence[str]) -> asyncio.Task[Owners]:
        """Add objects to the next batch. Returns its task, whose result has the owners of all its objects."""
        if self._next is None or len(self._gathered) >= self._max_batch:
            self._gathered = []
            self._next = self._tasks.start(self._ask(self._gathered))
        self._gathered += object_ids
        return self._next

    async def aclose(self) -> None:
        """End the look-ups."""
        await self._tasks.aclose()

    async def _ask(self, gathered: list[str]) -> Owners:
        if self._asking:
            await asyncio.wait(tuple(self._asking), timeout=MAX_WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if gathered is self._gathered:
            self._next = None
        asking = asyncio.current_task()
        if asking is not None:
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
        return await self._find(tuple(gathered))

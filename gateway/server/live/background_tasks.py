"""The short-lived tasks of one owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

_logger = logging.getLogger(__name__)


class BackgroundTasks:
    """Starts tasks that nobody awaits, keeps hold of them, and ends them with their owner."""

    def __init__(self) -> None:
        """Own nothing yet."""
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Count the tasks under way."""
        return len(self._tasks)

    def start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Start a task; an exception that leaves it is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    async def wait(self, timeout_seconds: float) -> None:
        """Wait for what is under way, but not longer than that."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)

    async def aclose(self) -> None:
        """Cancel what is under way, and wait until it has noticed."""
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("unexpected error", exc_info=error)

"""Short-lived background tasks with one owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

_logger = logging.getLogger(__name__)


class BackgroundTasks:
    """Starts tasks that are not awaited, holds references to them, and cancels the rest when the owner closes."""

    def __init__(self) -> None:
        """Start with no task."""
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Count the running tasks."""
        return len(self._tasks)

    def start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Start a task. An exception that the task raises is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    async def wait(self, timeout_seconds: float) -> None:
        """Wait for the running tasks, at most this long."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)

    async def aclose(self) -> None:
        """Cancel the running tasks and wait until they have ended."""
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("unexpected error", exc_info=error)

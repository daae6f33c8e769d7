"""Background tasks, each with one owner that ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

_logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")


class BackgroundTasks:
    """Starts tasks, holds references to them, and cancels the rest when the owner closes.

    An exception that a task raises is logged, unless the owner awaits each task and `logs_errors` is false.
    """

    def __init__(self, *, logs_errors: bool = True) -> None:
        """Start with no task."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._logs_errors = logs_errors

    def __len__(self) -> int:
        """Count the running tasks."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, ResultT]) -> asyncio.Task[ResultT]:
        """Start a task."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    async def wait(self, timeout_seconds: float | None = None) -> None:
        """Wait for the running tasks, and for those that they start, at most this long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Cancel the running tasks and wait until they have ended."""
        await end_tasks(*self._tasks)

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # `exception` marks it as retrieved: the caller may be gone.
        if not task.cancelled() and (error := task.exception()) is not None and self._logs_errors:
            _logger.error("unexpected error", exc_info=error)


async def end_tasks(*tasks: asyncio.Future[Any] | None) -> None:
    """Cancel tasks and wait until they have ended; their errors are ignored."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def wait_for_first(*works: Awaitable[Any]) -> None:
    """Wait until one of several things is done, and cancel the others. Raises the error of the first one."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end_tasks(*tasks)

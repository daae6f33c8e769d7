"""The tasks of all operations, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

from gateway.background_tasks import BackgroundTasks

ResultT = TypeVar("ResultT")


class OperationStoppedError(Exception):
    """The gateway stops, and the operation was cancelled or, if not `started`, never began."""

    def __init__(self, *, started: bool) -> None:
        super().__init__("the gateway stops")
        self.started = started


class OperationTasks:
    """Owns the tasks of all operations, one each.

    An operation is cancelled if its caller leaves, unless it writes, and awaited when the gateway stops.
    """

    def __init__(self) -> None:
        """Start without operations."""
        self._tasks = BackgroundTasks(logs_errors=False)
        self._stop_callbacks: list[Callable[[], None]] = []
        self._is_draining = False
        self._is_stopping = False

    @property
    def is_draining(self) -> bool:
        """Whether the gateway is about to stop or stopping, so that no more requests should come."""
        return self._is_draining

    @property
    def is_stopping(self) -> bool:
        """Whether the gateway is stopping, so that no new operation may start."""
        return self._is_stopping

    def __len__(self) -> int:
        """Count the operations in flight."""
        return len(self._tasks)

    async def run(
        self,
        operation: Coroutine[object, object, ResultT],
        *,
        shield: bool,
        on_abandoned: Callable[[asyncio.Task[ResultT]], None] | None = None,
    ) -> ResultT:
        """Run an operation as a task and await it.

        If the caller is cancelled, the operation is cancelled too. With `shield` it goes on instead, and its task is
        passed to `on_abandoned`.

        Returns:
            The result of the operation; its exception is raised.

        Raises:
            OperationStoppedError: `stop` cancelled the operation, or was called before.
        """
        if self._is_stopping:
            operation.close()
            raise OperationStoppedError(started=False)
        task = self._tasks.start(operation)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and (caller is None or not caller.cancelling()):
                raise OperationStoppedError(started=True) from None
            if not shield:
                task.cancel()
                await asyncio.wait([task])
            elif on_abandoned is not None and not task.done():
                on_abandoned(task)
            raise

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the stop begins, so that subscriptions end without waiting for operations."""
        self._stop_callbacks.append(callback)

    async def drain(self, seconds: float) -> None:
        """Say for some time that the gateway will stop. Operations may still start."""
        self._is_draining = True
        await asyncio.sleep(seconds)

    async def stop(self, timeout_seconds: float) -> None:
        """Refuse new operations, wait for those in flight, and cancel the rest after `timeout_seconds`."""
        self._is_draining = self._is_stopping = True
        while self._stop_callbacks:
            self._stop_callbacks.pop()()
        await self._tasks.wait(timeout_seconds)
        await self._tasks.aclose()

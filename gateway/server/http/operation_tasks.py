"""Owns the operations under way: ends those whose caller left, lets those that write finish, and waits at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

ResultT = TypeVar("ResultT")


class OperationStoppedError(Exception):
    """The operation was ended, or not even `started`, because the gateway stops."""

    def __init__(self, *, started: bool) -> None:
        super().__init__("the gateway stops")
        self.started = started


class OperationTasks:
    """Every operation runs as a task of its own, which this owns until it is over."""

    def __init__(self) -> None:
        """Own nothing yet."""
        self._tasks: set[asyncio.Task[object]] = set()
        self._stop_callbacks: list[Callable[[], None]] = []
        self._is_stopping = False

    @property
    def is_stopping(self) -> bool:
        """Whether no new operation should start."""
        return self._is_stopping

    def __len__(self) -> int:
        """Count the operations under way."""
        return len(self._tasks)

    async def run(
        self,
        operation: Coroutine[object, object, ResultT],
        *,
        shield: bool,
        on_abandoned: Callable[[asyncio.Task[ResultT]], None] | None = None,
    ) -> ResultT:
        """Await an operation; when the waiter is cancelled, cancel it too unless it is to `shield` on its own.

        One that then goes on is shown to `on_abandoned`.

        Returns or raises what the operation does; raises `OperationStoppedError` when `stop` ended it, or came first.
        """
        if self._is_stopping:
            operation.close()
            raise OperationStoppedError(started=False)
        task = asyncio.create_task(operation)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if task.cancelled() and (waiter is None or not waiter.cancelling()):
                raise OperationStoppedError(started=True) from None
            if not shield:
                task.cancel()
                await asyncio.wait([task])
            elif on_abandoned is not None and not task.done():
                on_abandoned(task)
            raise

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call `tell` at the beginning of the stop: what only follows something need not wait for its end."""
        self._stop_callbacks.append(callback)

    async def stop(self, timeout_seconds: float) -> None:
        """Let no more operations start, wait for those under way, and cancel what is left after the time."""
        self._is_stopping = True
        while self._stop_callbacks:
            self._stop_callbacks.pop()()
        if self._tasks and timeout_seconds > 0:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its waiter may have left: then nobody else looks

"""Owns the operations under way: ends those whose caller left, lets those that write finish, and waits at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

ResultT = TypeVar("ResultT")


class OperationStoppedError(Exception):
    """The operation was ended, or not even `begun`, because the gateway stops."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__("the gateway stops")
        self.begun = begun


class OperationTasks:
    """Every operation runs as a task of its own, which this owns until it is over."""

    def __init__(self) -> None:
        """Own nothing yet."""
        self._tasks: set[asyncio.Task[object]] = set()
        self._told: list[Callable[[], None]] = []
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether no new operation should start."""
        return self._stopping

    def __len__(self) -> int:
        """Count the operations under way."""
        return len(self._tasks)

    async def run(
        self,
        operation: Coroutine[object, object, ResultT],
        *,
        finish: bool,
        on_left: Callable[[asyncio.Task[ResultT]], None] | None = None,
    ) -> ResultT:
        """Await an operation; when the waiter is cancelled, cancel it too unless it is to `finish` on its own.

        One that then goes on is shown to `on_left`.

        Returns or raises what the operation does; raises `OperationStoppedError` when `stop` ended it, or came first.
        """
        if self._stopping:
            operation.close()
            raise OperationStoppedError(begun=False)
        task = asyncio.create_task(operation)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if task.cancelled() and (waiter is None or not waiter.cancelling()):
                raise OperationStoppedError(begun=True) from None
            if not finish:
                task.cancel()
                await asyncio.wait([task])
            elif on_left is not None and not task.done():
                on_left(task)
            raise

    def at_stop(self, tell: Callable[[], None]) -> None:
        """Call `tell` at the beginning of the stop: what only follows something need not wait for its end."""
        self._told.append(tell)

    async def stop(self, timeout_seconds: float) -> None:
        """Let no more operations start, wait for those under way, and cancel what is left after the time."""
        self._stopping = True
        while self._told:
            self._told.pop()()
        if self._tasks and timeout_seconds > 0:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _over(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its waiter may have left: then nobody else looks

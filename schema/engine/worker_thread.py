"""A thread for computations that would keep the event loop from its other work."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

ResultT = TypeVar("ResultT")


class WorkerThread:
    """Runs pure computations one after the other, the smallest one that waits first, while the event loop goes on.

    The two share the interpreter in turns of `sys.getswitchinterval()`, so no response is computed sooner by a second
    thread. The queue is as long as there are operations in flight that wait for it. A few large documents delay no
    usual one by more than the computation that runs already.
    """

    def __init__(self) -> None:
        """Start the thread with the first computation."""
        self._pool: ThreadPoolExecutor | None = None
        self._is_busy = False
        # A heap of those that wait: by their size, then by their arrival.
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = 0

    async def run(self, compute: Callable[[], ResultT], size: int) -> ResultT:
        """Run a computation and return its result. A computation that has not begun is dropped with its caller.

        `size` says how long it takes, in the characters of a document that takes as long to read.
        """
        await self._wait_for_turn(size)
        try:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="worker")
            return await asyncio.get_running_loop().run_in_executor(self._pool, compute)
        finally:
            self._end_turn()

    def close(self) -> None:
        """End the thread after the computation that it runs. Those that wait are cancelled; a later one starts anew."""
        while self._waiting:
            heapq.heappop(self._waiting)[2].cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    async def _wait_for_turn(self, size: int) -> None:
        if not self._is_busy:
            self._is_busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (size, self._arrivals, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._end_turn()
            raise

    def _end_turn(self) -> None:
        """Give the turn to the smallest computation that waits and whose caller has not left."""
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._is_busy = False

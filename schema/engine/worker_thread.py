"""A thread for computations that would keep the event loop from its other work, shared fairly by the callers."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

ResultT = TypeVar("ResultT")


class _Waiting(NamedTuple):
    """A computation that waits, ordered by its size and then by its arrival."""

    size: int
    arrival: int
    turn: asyncio.Future[None]


class _CallerQueue:
    """The computations of one caller that wait, and the work at which the next one of them begins to count."""

    __slots__ = ("begins_at", "waiting")

    def __init__(self, begins_at: int) -> None:
        self.begins_at = begins_at
        self.waiting: list[_Waiting] = []

    def peek(self) -> _Waiting | None:
        """Return the smallest computation whose caller has not left. Drops the others before it."""
        while self.waiting and self.waiting[0].turn.done():
            heapq.heappop(self.waiting)
        return self.waiting[0] if self.waiting else None


class FairWork:
    """Decides which computation is next: callers that wait get the same work done, each its smallest one first.

    This is start-time fair queueing: a computation is due when its caller has been given as much work as any other, and
    its own size. One caller's queue delays another's computation by its size at most, however long the queue is, and
    no flood of short ones keeps a long one waiting for ever.
    """

    def __init__(self) -> None:
        """Start without computations."""
        # The work that each caller who has always waited has been given.
        self._work = 0
        self._arrivals = 0
        self._queues: dict[str, _CallerQueue] = {}

    def add(self, caller: str, size: int, turn: asyncio.Future[None]) -> None:
        """Add a computation of a caller."""
        queue = self._queues.get(caller)
        if queue is None:
            queue = self._queues[caller] = _CallerQueue(self._work)
        self._arrivals += 1
        heapq.heappush(queue.waiting, _Waiting(size, self._arrivals, turn))

    def take(self) -> asyncio.Future[None] | None:
        """Remove the next computation whose caller has not left. Returns None if none waits."""
        due: tuple[int, int, str] | None = None
        for caller, queue in list(self._queues.items()):
            waiting = queue.peek()
            if waiting is None:
                del self._queues[caller]
            elif due is None or (queue.begins_at + waiting.size, waiting.arrival) < due[:2]:
                due = (queue.begins_at + waiting.size, waiting.arrival, caller)
        if due is None:
            return None
        queue = self._queues[due[2]]
        self._work = queue.begins_at = due[0]
        return heapq.heappop(queue.waiting).turn


class WorkerThread:
    """Runs pure computations one after the other, in the order of `FairWork`, while the event loop goes on.

    The two share the interpreter in turns of `sys.getswitchinterval()`, so no response is computed sooner by a second
    thread. The queue is as long as there are operations in flight that wait for it.
    """

    def __init__(self) -> None:
        """Start the thread with the first computation."""
        self._pool: ThreadPoolExecutor | None = None
        self._is_busy = False
        self._waiting = FairWork()

    async def run(self, compute: Callable[[], ResultT], size: int, caller: str = "") -> ResultT:
        """Run a computation and return its result. A computation that has not begun is dropped with its caller.

        `size` says how long it takes, in the characters of a document that takes as long to read. `caller` names who
        asks for it; those without a name share one.
        """
        await self._wait_for_turn(size, caller)
        try:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="worker")
            return await asyncio.get_running_loop().run_in_executor(self._pool, compute)
        finally:
            self._end_turn()

    def close(self) -> None:
        """End the thread after the computation that it runs. Those that wait are cancelled; a later one starts anew."""
        while (turn := self._waiting.take()) is not None:
            turn.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    async def _wait_for_turn(self, size: int, caller: str) -> None:
        if not self._is_busy:
            self._is_busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(caller, size, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._end_turn()
            raise

    def _end_turn(self) -> None:
        turn = self._waiting.take()
        if turn is not None:
            turn.set_result(None)
        else:
            self._is_busy = False

"""A thread for computations that would keep the event loop from its other work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

ResultT = TypeVar("ResultT")


class WorkerThread:
    """Runs pure computations one after the other, while the event loop goes on.

    The two share the interpreter in turns of `sys.getswitchinterval()`, so no response is computed sooner by a second
    thread. The queue is as long as there are operations in flight that wait for it.
    """

    def __init__(self) -> None:
        """Start the thread with the first computation."""
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, compute: Callable[[], ResultT]) -> ResultT:
        """Run a computation and return its result. A computation that has not begun is dropped with its caller."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="worker")
        return await asyncio.get_running_loop().run_in_executor(self._pool, compute)

    def close(self) -> None:
        """End the thread after the computation that it runs. Those that wait are cancelled; a later one starts anew."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

"""The supervisor of several workers: it starts them, starts another one for each that ends, and stops them all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from gateway.background_tasks import end_tasks
from gateway.worker_link import WorkerLink

_logger = logging.getLogger(__name__)

STABLE_SECONDS = 10.0
"""A worker that lived so long is replaced at once. One that did not is replaced after a pause."""

FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0


class WorkerFailedError(Exception):
    """A worker ended before it served for the first time. It has said why. `status` is its exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"a worker ended with status {status} before it served")
        self.status = status


def pause_before_restart(lived_seconds: float, previous_pause: float) -> float:
    """Decide how long to wait until a worker that has ended is replaced, in seconds."""
    if lived_seconds >= STABLE_SECONDS:
        return 0.0
    return min(MAX_PAUSE_SECONDS, 2 * previous_pause or FIRST_PAUSE_SECONDS)


class Supervisor:
    """Runs `count` workers of this program.

    `make_link` makes the link of the worker with an index, but for what this class adds: the descriptors that tell when
    it serves and when this process has ended.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        count: int,
        make_link: Callable[[int, int, int], WorkerLink],
        *,
        environment: Mapping[str, str] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Run workers with these arguments of the command line, and these variables beside those of this process."""
        self._arguments = arguments
        self._count = count
        self._make_link = make_link
        self._environment = environment or {}
        self._sleep = sleep
        self._clock = clock
        self._lifeline, self._own_end = os.pipe()
        self._workers: dict[int, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that run."""
        return [worker.pid for worker in self._workers.values()]

    async def start(self) -> None:
        """Start all workers, and wait until each of them serves.

        Raises:
            WorkerFailedError: One of them ended before it did.
        """
        ready = [asyncio.create_task(self._start_worker(index)) for index in range(self._count)]
        try:
            await asyncio.gather(*ready)
        except BaseException:
            await end_tasks(*ready)
            await self.stop()
            raise
        self._tasks = [asyncio.create_task(self._keep_running(index)) for index in range(self._count)]

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to all workers."""
        for worker in self._workers.values():
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(number)

    async def stop(self) -> None:
        """Ask all workers to stop, and wait until they have ended, each in its own time."""
        await end_tasks(*self._tasks)
        self.send_signal(signal.SIGTERM)
        await asyncio.gather(*(worker.wait() for worker in self._workers.values()))
        self._workers.clear()
        for descriptor in (self._lifeline, self._own_end):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    async def _keep_running(self, index: int) -> None:
        """Replace a worker whenever it ends."""
        pause, started = 0.0, self._clock()
        while True:
            status = await self._workers[index].wait()
            pause = pause_before_restart(self._clock() - started, pause)
            _logger.error("worker %d ended with status %d; another one is started in %g s", index, status, pause)
            await self._sleep(pause)
            started = self._clock()
            # It has said why, and is tried again: what it needs may come back.
            with contextlib.suppress(WorkerFailedError):
                await self._start_worker(index)
                _logger.warning("worker %d serves again", index)

    async def _start_worker(self, index: int) -> None:
        """Start a worker, and wait until it serves. Raises `WorkerFailedError` if it ends before."""
        reading, writing = os.pipe()
        try:
            link = self._make_link(index, writing, self._lifeline)
            worker = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway",
                *self._arguments,
                env={**os.environ, **self._environment, **link.to_environment()},
                pass_fds=link.inherited,
                # A terminal's Ctrl+C reaches the supervisor alone, which then stops the workers.
                start_new_session=True,
            )
        finally:
            os.close(writing)
        self._workers[index] = worker
        if not await _is_readable(reading):
            raise WorkerFailedError(await worker.wait())


async def _is_readable(descriptor: int) -> bool:
    """Wait for a byte from a pipe, and close it. Returns False if its other end was closed before."""
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, arrived.set)
    try:
        await arrived.wait()
        return bool(os.read(descriptor, 1))
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)

"""One followed run or thread: its mirror, its replay buffers, and its poll recorder while it has readers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from gateway.background_tasks import end_tasks, wait_for_first
from gateway.run_log.log_mirror import LogMirror
from gateway.run_log.log_writer import LogWriterFactory
from gateway.run_log.poll_recorder import PollRecorder
from gateway.run_log.poll_timing import RateLimiter
from gateway.run_log.poller import Poller
from gateway.run_log.replay_buffer import ReplayBuffer
from gateway.run_log.run_log_options import RunLogOptions, Sleep, wait_for_event
from gateway.run_log.run_poller import RunPoller
from gateway.run_log.run_state import RunState
from gateway.run_log.store.event_log import EventLog, LogName, log_kind
from gateway.run_log.store.memory_log import MemoryLog
from gateway.run_log.thread_poller import ThreadPoller
from gateway.run_log.thread_state import ThreadState
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.ports import ThreadsApi
from schema.contract.run_events import Change, Provenance, RunEvent, SnapshotChange, StatusChange


class FollowKind(Enum):
    """The events that a reader follows."""

    STATUS = "status"
    RUN = "run"
    THREAD = "thread"


@dataclass(frozen=True, slots=True)
class SharedServices:
    """The services that all sessions of a process share."""

    log: EventLog
    options: RunLogOptions
    poll_limiter: RateLimiter
    writer_factory: LogWriterFactory
    new_local_log: Callable[[], MemoryLog]
    now_seconds: Callable[[], float]
    sleep: Sleep


class FollowSession:
    """One followed run or thread. Calls `on_reader_closed` after a reader has closed. Owns the polling task.

    `stream_count` is the number of streams that this process records for it now.
    """

    def __init__(
        self, name: LogName, services: SharedServices, on_reader_closed: Callable[[FollowSession], Awaitable[None]]
    ) -> None:
        self._services = services
        self._poll_task: asyncio.Task[None] | None = None
        self._poll_recorder: PollRecorder | None = None
        self._open_api: Callable[[], ThreadsApi] | None = None
        self.stream_count = 0
        self.buffers: dict[FollowKind, ReplayBuffer] = {}
        self._poller: Poller
        if isinstance(name.key, RunKey):
            run_state = RunState()
            self.mirror = self._new_mirror(name, run_state, on_reader_closed)
            self._poller = RunPoller(name.key, run_state)
            self._add_run_buffers(run_state)
        elif isinstance(name.key, ThreadKey):
            thread_state = ThreadState()
            self.mirror = self._new_mirror(name, thread_state, on_reader_closed)
            self._poller = ThreadPoller(name.key, thread_state)
            self._add_thread_buffer(thread_state)
        else:
            raise TypeError(f"expected the log of a run or a thread, got that of a {log_kind(name.key)}")

    @property
    def is_idle(self) -> bool:
        """Whether the session has no reader and no stream."""
        return not self.stream_count and not self.mirror.reader_count

    def poll_soon(self) -> None:
        """Poll at once, if this session polls."""
        if self._poll_recorder is not None:
            self._poll_recorder.poll_soon()

    async def wait_until_ready(self, open_api: Callable[[], ThreadsApi], *, needs_present: bool = True) -> None:
        """Mirror the log and wait until its run or thread is known. The reader must exist already.

        With `needs_present`, a log that was not polled for a while is polled first, so that the reader begins with the
        present state.

        Raises:
            GatewayError: The run or thread cannot be read, or not in time.
        """
        self._open_api = open_api
        await self.mirror.refresh()
        self.ensure_polling()
        if self.mirror.state.has_begun:
            if needs_present and self._poll_recorder is not None:
                await wait_for_event(
                    self._poll_recorder.is_current, self._services.options.open_seconds, self._services.sleep
                )
            return
        timeout = self._services.sleep(self._services.options.open_seconds)
        await wait_for_first(self.mirror.wait_until_begun(), timeout)
        if not self.mirror.state.has_begun:
            raise GatewayError(ErrorCode.UPSTREAM_TIMEOUT, "Nothing could be learned of it in time.")

    @property
    def is_polling(self) -> bool:
        """Whether this process polls it, or waits for the lease to do so."""
        return self._poll_task is not None and not self._poll_task.done()

    @property
    def is_replaying(self) -> bool:
        """Whether it is followed by a stream that was opened again, in place of polls."""
        return self.is_polling and self._poll_recorder is not None and self._poll_recorder.is_streaming

    def ensure_polling(self) -> None:
        """Start polling if needed: the session has readers and no stream of its own, and more events can come."""
        mirror = self.mirror
        if mirror.is_over() or self.stream_count or not mirror.reader_count or self._open_api is None:
            return
        if self.is_polling:
            return
        services = self._services
        self._poll_recorder = PollRecorder(
            mirror,
            self._poller,
            open_api=self._open_fresh_api,
            writer_factory=services.writer_factory,
            needs_details=self.needs_details,
            poll_limiter=services.poll_limiter,
            options=services.options,
            sleep=services.sleep,
        )
        self._poll_task = asyncio.create_task(self._poll_recorder.run())

    async def stop_polling(self) -> None:
        """End polling and release the lease."""
        poll_task = self._poll_task
        if poll_task is not None:
            await end_tasks(poll_task)
            if self._poll_task is poll_task:
                self._poll_task = self._poll_recorder = None

    async def close(self) -> None:
        """End all tasks of the session."""
        await self.stop_polling()
        await self.mirror.close()

    def _open_fresh_api(self) -> ThreadsApi:
        if self._open_api is None:
            raise RuntimeError("expected to be watched for a reader")
        return self._open_api()

    def needs_details(self) -> bool:
        """Return whether a reader here needs steps and messages, not only the status."""
        return any(kind is not FollowKind.STATUS and buffer.readers for kind, buffer in self.buffers.items())

    def _new_mirror(
        self, name: LogName, state: RunState | ThreadState, on_reader_closed: Callable[[FollowSession], Awaitable[None]]
    ) -> LogMirror:
        services = self._services

        async def reader_closed(_: LogMirror) -> None:
            await on_reader_closed(self)

        return LogMirror(
            name,
            services.log,
            state,
            new_local_log=services.new_local_log,
            now_seconds=services.now_seconds,
            on_reader_closed=reader_closed,
        )

    def _add_run_buffers(self, state: RunState) -> None:
        def present_run() -> list[Change]:
            return state.baseline()

        def present_status() -> list[Change]:
            return [] if state.run is None else [StatusChange(state.run)]

        limits = self._services.options.mirror
        events = ReplayBuffer(self.mirror, limits, present_run, starts_with_snapshot=True)
        statuses = ReplayBuffer(self.mirror, limits, present_status, reports_lag=False)
        self.buffers = {FollowKind.RUN: events, FollowKind.STATUS: statuses}
        self.mirror.add_buffer(events, lambda _: True)
        self.mirror.add_buffer(statuses, lambda event: isinstance(event.change, StatusChange))

    def _add_thread_buffer(self, state: ThreadState) -> None:
        def present_thread() -> list[Change]:
            return [StatusChange(run) for run in state.active_runs]

        def is_live_event(event: RunEvent) -> bool:
            return event.provenance is not Provenance.SNAPSHOT and not isinstance(event.change, SnapshotChange)

        buffer = ReplayBuffer(self.mirror, self._services.options.mirror, present_thread)
        self.buffers = {FollowKind.THREAD: buffer}
        self.mirror.add_buffer(buffer, is_live_event)

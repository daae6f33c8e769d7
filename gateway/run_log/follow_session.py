"""A run or a thread that is followed in this process: its feed, and its watcher while it has readers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from gateway.run_log.log_mirror import LogMirror
from gateway.run_log.log_writer import LogWriterFactory
from gateway.run_log.poll_recorder import PollRecorder
from gateway.run_log.poller import Poller
from gateway.run_log.rate_limiter import RateLimiter
from gateway.run_log.replay_buffer import ReplayBuffer
from gateway.run_log.run_log_options import RunLogOptions, Sleep, wait_for_any
from gateway.run_log.run_poller import RunPoller
from gateway.run_log.run_state import RunState
from gateway.run_log.store.event_log import EventLog, LogName
from gateway.run_log.store.memory_log import MemoryLog
from gateway.run_log.thread_poller import ThreadPoller
from gateway.run_log.thread_state import ThreadState
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.ports import ThreadsApi
from schema.contract.run_events import Change, Provenance, RunEvent, SnapshotChange, StatusChange


class FollowKind(Enum):
    """What a reader follows."""

    STATUS = "status"
    RUN = "run"
    THREAD = "thread"


@dataclass(frozen=True, slots=True)
class SharedServices:
    """What all that is followed in a process shares."""

    log: EventLog
    options: RunLogOptions
    turns: RateLimiter
    pens: LogWriterFactory
    local_log: Callable[[], MemoryLog]
    now_seconds: Callable[[], float]
    sleep: Sleep


class FollowSession:
    """One run or thread; `on_leave` is called after a reader has left. Owns the watcher's task."""

    def __init__(
        self, name: LogName, surroundings: SharedServices, on_leave: Callable[[FollowSession], Awaitable[None]]
    ) -> None:
        self._around = surroundings
        self._watching: asyncio.Task[None] | None = None
        self._watcher: PollRecorder | None = None
        self._open_api: Callable[[], ThreadsApi] | None = None
        self.producers = 0
        self.lanes: dict[FollowKind, ReplayBuffer] = {}
        self._poller: Poller
        if isinstance(name.key, RunKey):
            run_state = RunState()
            self.feed = self._new_feed(name, run_state, on_leave)
            self._poller = RunPoller(name.key, run_state)
            self._add_run_lanes(run_state)
        else:
            thread_state = ThreadState()
            self.feed = self._new_feed(name, thread_state, on_leave)
            self._poller = ThreadPoller(name.key, thread_state)
            self._add_thread_lane(thread_state)

    @property
    def is_idle(self) -> bool:
        """Whether nobody here reads or produces."""
        return not self.producers and not self.feed.readers

    def look_now(self) -> None:
        """Have the watcher look at once, if there is one."""
        if self._watcher is not None:
            self._watcher.look_now()

    async def begin(self, open_api: Callable[[], ThreadsApi], *, with_present: bool = True) -> None:
        """Have all that is known mirrored, and something be known; a reader has to be there already.

        What nobody watched for a while is looked at first, for readers who are to begin `with_present` state.
        Raises the `GatewayError` that keeps that from coming.
        """
        self._open_api = open_api
        await self.feed.refresh()
        self.watch()
        if self.feed.state.has_begun:
            if with_present and self._watcher is not None:
                await wait_for_any(self._watcher.is_current, self._around.options.open_seconds, self._around.sleep)
            return
        beginning = asyncio.ensure_future(self.feed.begun())
        patience = asyncio.ensure_future(self._around.sleep(self._around.options.open_seconds))
        try:
            await asyncio.wait([beginning, patience], return_when=asyncio.FIRST_COMPLETED)
            if not beginning.done():
                raise GatewayError(ErrorCode.UPSTREAM_TIMEOUT, "Nothing could be learned of it in time.")
            beginning.result()
        finally:
            for task in (beginning, patience):
                task.cancel()
            await asyncio.gather(beginning, patience, return_exceptions=True)

    def watch(self) -> None:
        """Have a watcher where one is needed: there are readers, nothing is produced here, and more can come."""
        feed = self.feed
        if feed.is_over() or self.producers or not feed.readers or self._open_api is None:
            return
        if self._watching is not None and not self._watching.done():
            return
        around = self._around
        self._watcher = PollRecorder(
            feed,
            self._poller,
            open_api=self._open_fresh_api,
            pens=around.pens,
            wants_all=self.wants_all,
            turns=around.turns,
            options=around.options,
            sleep=around.sleep,
        )
        self._watching = asyncio.create_task(self._watcher.run())

    async def unwatch(self) -> None:
        """End the watcher, which gives up its lead."""
        watching = self._watching
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])
            if self._watching is watching:
                self._watching = self._watcher = None

    async def close(self) -> None:
        """End all that runs for it."""
        await self.unwatch()
        await self.feed.close()

    def _open_fresh_api(self) -> ThreadsApi:
        if self._open_api is None:
            raise RuntimeError("expected to be watched for a reader")
        return self._open_api()

    def wants_all(self) -> bool:
        """Whether a reader here wants more than the status."""
        return any(kind is not FollowKind.STATUS and lane.readers for kind, lane in self.lanes.items())

    def _new_feed(
        self, name: LogName, state: RunState | ThreadState, on_leave: Callable[[FollowSession], Awaitable[None]]
    ) -> LogMirror:
        around = self._around

        async def left(_: LogMirror) -> None:
            await on_leave(self)

        return LogMirror(
            name, around.log, state, local_log=around.local_log, now_seconds=around.now_seconds, on_leave=left
        )

    def _add_run_lanes(self, state: RunState) -> None:
        def present_run() -> list[Change]:
            return state.baseline()

        def present_status() -> list[Change]:
            return [] if state.run is None else [StatusChange(state.run)]

        bounds = self._around.options.mirror
        events = ReplayBuffer(self.feed, bounds, present_run, begins_with_snapshot=True)
        statuses = ReplayBuffer(self.feed, bounds, present_status, tells_of_lag=False)
        self.lanes = {FollowKind.RUN: events, FollowKind.STATUS: statuses}
        self.feed.add_lane(events, lambda _: True)
        self.feed.add_lane(statuses, lambda event: isinstance(event.change, StatusChange))

    def _add_thread_lane(self, state: ThreadState) -> None:
        def present_thread() -> list[Change]:
            return [StatusChange(run) for run in state.runs_under_way]

        def happens(event: RunEvent) -> bool:
            return event.provenance is not Provenance.SNAPSHOT and not isinstance(event.change, SnapshotChange)

        lane = ReplayBuffer(self.feed, self._around.options.mirror, present_thread)
        self.lanes = {FollowKind.THREAD: lane}
        self.feed.add_lane(lane, happens)

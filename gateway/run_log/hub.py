"""All run events of one process: who follows what, who writes it, and what ends with the process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeAlias

from gateway.run_log.event_cursors import read_cursor
from gateway.run_log.follow_session import FollowKind, FollowSession, SharedServices
from gateway.run_log.log_mirror import LogMirror, stopping_error
from gateway.run_log.log_writer import LogWriterFactory
from gateway.run_log.rate_limiter import RateLimiter
from gateway.run_log.replay_buffer import EventReader
from gateway.run_log.run_log_options import RunLogOptions, Sleep
from gateway.run_log.store.event_log import EventLog, LogName
from gateway.run_log.store.memory_log import MemoryLog
from gateway.run_log.stream_recorder import StreamRecorder
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.ports import EventFeed, RunEvents, ThreadsApi
from schema.contract.run_events import Change, MessageCreatedChange, MessageFinishedChange, SnapshotChange, StatusChange
from schema.contract.run_streams import RunStream
from schema.contract.wire import RunObject

_logger = logging.getLogger(__name__)

OnMoved: TypeAlias = Callable[[str, RunKey | ThreadKey], Awaitable[None]]
OpenApi: TypeAlias = Callable[[], ThreadsApi]

_MOVES = (SnapshotChange, StatusChange, MessageCreatedChange, MessageFinishedChange)


async def _nothing(_: str, __: RunKey | ThreadKey) -> None:
    """Keep what there is."""


class RunLogHub:
    """Built once for each process, inside the running loop, and to be closed before its log is.

    `on_moved` is told of each run or thread with a new status or a new or finished message, before any reader is.
    `now_seconds` gives Unix time, `now` is a clock that does not go back; they and `sleep` are arguments for the
    sake of tests.
    """

    def __init__(
        self,
        log: EventLog,
        options: RunLogOptions | None = None,
        *,
        now_seconds: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        on_moved: OnMoved = _nothing,
    ) -> None:
        options = options or RunLogOptions()
        self._on_moved = on_moved
        self._around = SharedServices(
            log=log,
            options=options,
            turns=RateLimiter(per_second=options.polls_per_second, burst=options.poll_burst, now=now, sleep=sleep),
            pens=LogWriterFactory(sleep, self._before_writing, options.snapshot_every_entries),
            local_log=lambda: MemoryLog(now=now, now_seconds=now_seconds),
            now_seconds=now_seconds,
            sleep=sleep,
        )
        self._latest: dict[LogName, FollowSession] = {}
        self._all: set[FollowSession] = set()
        self._producing: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def bind(self, scope: str, open_api: OpenApi) -> RunEvents:
        """Give the port for one principal; `open_api` opens its upstream anew, past any cache."""
        return _BoundEvents(self, scope, open_api)

    async def take_stream(self, scope: str, stream: RunStream) -> RunObject:
        """Take a stream over and give its run as soon as it exists; what was taken over goes on without the caller.

        Raises the `GatewayError` of a stream that ended before it told of a run.
        """
        if self._is_stopping:
            await stream.aclose()
            raise stopping_error()

        def enter(key: RunKey) -> FollowSession:
            followed = self._follow(LogName(scope, key))
            followed.producers += 1
            self.note_write(scope, ThreadKey(key.thread_id))
            return followed

        producer = StreamRecorder(stream, pens=self._around.pens, enter=enter, leave=self._release)
        self._own(self._producing, producer.run())
        return await producer.first_run()

    def note_write(self, scope: str, key: RunKey | ThreadKey) -> None:
        """Have a run or a thread looked at soon, since it was written through this process."""
        followed = self._latest.get(LogName(scope, key))
        if followed is not None:
            followed.look_now()

    async def follow(
        self, scope: str, key: RunKey | ThreadKey, kind: FollowKind, open_api: OpenApi, after: str | None
    ) -> EventReader:
        """Begin to read; raises the `GatewayError` that keeps it from beginning."""
        position = None if after is None else read_cursor(after, key)
        if self._is_stopping:
            raise stopping_error()
        followed = self._follow(LogName(scope, key))
        wanted_all = followed.wants_all()
        reader = EventReader(followed.lanes[kind])
        if followed.wants_all() and not wanted_all:
            followed.look_now()
        try:
            await followed.begin(open_api, with_present=position is None)
        except BaseException:
            await reader.aclose()
            raise
        if after is None or position is None:
            reader.start()
        else:
            reader.resume(followed.feed.number_in_log(position), after)
        return reader

    async def close(self) -> None:
        """End all readers with `GATEWAY_STOPPING`, let others write what was written here, and end every task."""
        self._is_stopping = True
        for followed in self._all:
            followed.feed.fail(stopping_error())
        for task in self._producing:
            task.cancel()
        while self._producing:
            await asyncio.wait(self._producing)
        for followed in tuple(self._all):
            self._drop(followed)
        while self._closing:
            await asyncio.wait(self._closing)

    def _follow(self, name: LogName) -> FollowSession:
        followed = self._latest.get(name)
        if followed is None or followed.feed.error is not None:
            followed = self._latest[name] = FollowSession(name, self._around, self._release)
            self._all.add(followed)
        return followed

    async def _release(self, followed: FollowSession) -> None:
        """Drop what nobody needs any more."""
        if followed.is_idle and followed in self._all:
            await asyncio.shield(self._drop(followed))

    def _drop(self, followed: FollowSession) -> asyncio.Task[None]:
        self._all.discard(followed)
        if self._latest.get(followed.feed.name) is followed:
            del self._latest[followed.feed.name]
        return self._own(self._closing, followed.close())

    async def _before_writing(self, feed: LogMirror, changes: Sequence[Change]) -> None:
        if not any(isinstance(change, _MOVES) for change in changes):
            return
        scope, key = feed.name
        try:
            await self._on_moved(scope, key)
        except Exception:
            _logger.exception("What is kept of %s could not be forgotten.", key)
        if isinstance(key, RunKey):
            self.note_write(scope, ThreadKey(key.thread_id))

    def _own(self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task


class _BoundEvents:
    """The port of one principal."""

    def __init__(self, hub: RunLogHub, scope: str, open_api: OpenApi) -> None:
        self._hub = hub
        self._scope = scope
        self._open_api = open_api

    async def follow_status(self, key: RunKey, *, after: str | None = None) -> EventFeed:
        return await self._hub.follow(self._scope, key, FollowKind.STATUS, self._open_api, after)

    async def follow_run(self, key: RunKey, *, after: str | None = None) -> EventFeed:
        return await self._hub.follow(self._scope, key, FollowKind.RUN, self._open_api, after)

    async def follow_thread(self, key: ThreadKey, *, after: str | None = None) -> EventFeed:
        return await self._hub.follow(self._scope, key, FollowKind.THREAD, self._open_api, after)

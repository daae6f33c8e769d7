"""All run events of one process: its sessions, recorders and readers.

The way of an event, from the upstream to the readers:

1. `StreamRecorder` reads the stream of a run that was started through this process. Any other run or thread that has
   readers is polled by a `PollRecorder`, in one process only: the one that holds the log's lease.
2. The recorder compares the result with the state of the log (`stream_diff`, `poll_diff`, `thread_state`). Only the
   differences go on, as changes.
3. `LogWriter` calls `on_change`, so that caches are invalidated first, and appends the changes to the log (`store/`).
4. The log notifies each process that follows it. There, `LogMirror` reads the new entries, applies them to its copy of
   the state and adds an event for each to its replay buffers.
5. `ReplayBuffer` holds an event once for all readers and wakes them. A reader that is too slow gets `LaggedChange`.
6. `EventReader` is the position of one subscriber in a buffer; the port calls it `EventFeed`.

A `FollowSession` owns the mirror, the buffers and the poll recorder of one run or thread. The hub owns all sessions.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from gateway.background_tasks import BackgroundTasks
from gateway.run_log.event_cursors import position_from_cursor
from gateway.run_log.follow_session import FollowKind, FollowSession, SharedServices
from gateway.run_log.log_mirror import LogMirror, stopping_error
from gateway.run_log.log_writer import LogWriterFactory
from gateway.run_log.poll_timing import RateLimiter
from gateway.run_log.poller import single_result
from gateway.run_log.replay_buffer import EventReader
from gateway.run_log.run_log_options import RunLogOptions, Sleep
from gateway.run_log.store.event_log import EventLog, LogName, LogUnavailableError, ViewerKey
from gateway.run_log.store.memory_log import MemoryLog
from gateway.run_log.stream_recorder import StreamRecorder
from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import RUNS, THREADS
from schema.contract.ports import EventFeed, RunEvents, ThreadsApi
from schema.contract.run_events import Change, MessageCreatedChange, MessageFinishedChange, SnapshotChange, StatusChange
from schema.contract.run_streams import RunStream
from schema.contract.wire import RunObject

_logger = logging.getLogger(__name__)

OnChange: TypeAlias = Callable[[str, RunKey | ThreadKey], Awaitable[None]]
OnRecorded: TypeAlias = Callable[[str, RunKey | ThreadKey, Sequence[Change]], None]
BeforeShown: TypeAlias = Callable[[str, RunKey | ThreadKey, Sequence[Change]], Awaitable[None]]
OpenApi: TypeAlias = Callable[[], ThreadsApi]

_INVALIDATING_CHANGES = (SnapshotChange, StatusChange, MessageCreatedChange, MessageFinishedChange)


async def _ignore_change(_: str, __: RunKey | ThreadKey) -> None:
    """Do nothing."""


class FollowedCounts(NamedTuple):
    """The logs that a process follows, their readers, and how they are recorded: by a stream or by polls.

    Of all readers so far, those that began after a cursor and missed nothing, and those whose cursor had expired.
    """

    logs: int
    readers: int
    streams: int
    polls: int
    complete_resumes: int
    expired_resumes: int


@dataclass(frozen=True, slots=True)
class ChangeListeners:
    """Those who learn of the changes of runs and threads that this process writes into logs.

    `on_change` is called with each run or thread that has a new status or a new or finished message, and `on_recorded`
    with these changes. `before_shown` is awaited with all changes, deltas too. But `on_change`, none may raise.
    """

    on_change: OnChange = _ignore_change
    on_recorded: OnRecorded = lambda _, __, ___: None
    before_shown: BeforeShown | None = None


class RunLogHub:
    """The run events of one process. Create it inside the running loop, and close it before its log.

    `listeners` learn of changes before any reader gets the event. `is_refused` tells whether the upstream
    refuses a principal now: then a log is followed only after its run or thread could be read. `now_seconds` returns
    Unix time and `now` is a monotonic clock; tests pass their own, and `sleep`.
    """

    def __init__(
        self,
        log: EventLog,
        options: RunLogOptions | None = None,
        *,
        now_seconds: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        listeners: ChangeListeners | None = None,
        is_refused: Callable[[str], bool] = lambda _: False,
    ) -> None:
        options = options or RunLogOptions()
        self._listeners = listeners or ChangeListeners()
        self._is_refused = is_refused
        self._resumes = Counter[bool]()
        self._services = SharedServices(
            log=log,
            options=options,
            poll_limiter=RateLimiter(
                per_second=options.polls_per_second, burst=options.poll_burst, now=now, sleep=sleep
            ),
            writer_factory=LogWriterFactory(sleep, self._before_append, options.snapshot_every_entries),
            new_local_log=lambda: MemoryLog(now=now, now_seconds=now_seconds),
            now_seconds=now_seconds,
            sleep=sleep,
        )
        self._current_sessions: dict[LogName, FollowSession] = {}
        self._sessions: set[FollowSession] = set()
        self._recorder_tasks = BackgroundTasks()
        self._closing_tasks = BackgroundTasks()
        self._is_stopping = False

    def bind(self, scope: str, open_api: OpenApi) -> RunEvents:
        """Return the port of one principal. `open_api` opens a new upstream connection without a cache."""
        return _PrincipalRunEvents(self, scope, open_api)

    async def record_stream(self, scope: str, stream: RunStream) -> RunObject:
        """Record a run's stream until its end and return the run as soon as it exists. Recording outlives the caller.

        Raises:
            GatewayError: The stream ended before it named a run.
        """
        if self._is_stopping:
            await stream.aclose()
            raise stopping_error()

        def open_session(key: RunKey) -> FollowSession:
            session = self._session_for(LogName(scope, key))
            session.stream_count += 1
            self.poll_soon(scope, ThreadKey(key.thread_id))
            return session

        recorder = StreamRecorder(
            stream,
            writer_factory=self._services.writer_factory,
            open_session=open_session,
            release_session=self._release_session,
        )
        self._recorder_tasks.start(recorder.run())
        return await recorder.wait_for_run()

    def poll_soon(self, scope: str, key: RunKey | ThreadKey) -> None:
        """Poll a run or thread soon, because this process has written to it."""
        session = self._current_sessions.get(LogName(scope, key))
        if session is not None:
            session.poll_soon()

    async def follow(
        self, scope: str, key: RunKey | ThreadKey, kind: FollowKind, open_api: OpenApi, after: str | None
    ) -> EventReader:
        """Return a new reader of a run or thread, behind the cursor `after` or at the beginning.

        Raises:
            GatewayError: The cursor is invalid, or the run or thread cannot be read.
        """
        position = None if after is None else position_from_cursor(after, key)
        if self._is_stopping:
            raise stopping_error()
        if self._is_refused(scope):
            await _check_readable(key, open_api())
        session = self._session_for(LogName(scope, key))
        needed_details = session.needs_details()
        reader = EventReader(session.buffers[kind])
        if session.needs_details() and not needed_details:
            session.poll_soon()
        try:
            await session.wait_until_ready(open_api, needs_present=position is None)
        except BaseException:
            await reader.aclose()
            raise
        if after is None or position is None:
            reader.start_reading()
        else:
            was_complete = reader.resume_after(session.mirror.entry_number_from_position(position), after)
            self._resumes[was_complete] += 1
        return reader

    def end_readers(self, scope: str, error: GatewayError) -> None:
        """End all readers of one principal with an error. What its streams still bring is recorded."""
        for session in self._sessions:
            if session.mirror.name.scope == scope:
                session.mirror.end_with_error(error)

    def drop_logs(self, scope: str, error: GatewayError) -> None:
        """End all readers of one principal with an error, and remove its logs.

        On Redis, those that this process does not follow are not found; they stay until their time is over.
        """
        self.end_readers(scope, error)
        names = [session.mirror.name for session in self._sessions if session.mirror.name.scope == scope]
        self._closing_tasks.start(self._discard_logs(scope, names))

    def count_followed(self) -> FollowedCounts:
        """Count what this process follows now, and the readers that resumed."""
        sessions = self._sessions
        return FollowedCounts(
            logs=len(sessions),
            readers=sum(session.mirror.reader_count for session in sessions),
            streams=sum(session.stream_count + session.is_replaying for session in sessions),
            polls=sum(session.is_polling and not session.is_replaying for session in sessions),
            complete_resumes=self._resumes[True],
            expired_resumes=self._resumes[False],
        )

    def list_followed(self) -> list[LogName]:
        """List the logs that have readers in this process."""
        return [session.mirror.name for session in self._sessions if session.mirror.reader_count]

    def end_readers_of_log(self, name: LogName, error: GatewayError) -> None:
        """End all readers of one log with an error. What its stream still brings is recorded."""
        for session in self._sessions:
            if session.mirror.name == name:
                session.mirror.end_with_error(error)

    async def close(self) -> None:
        """End all readers with `GATEWAY_STOPPING`, release all leases and end every task."""
        self._is_stopping = True
        for session in self._sessions:
            session.mirror.end_with_error(stopping_error())
        await self._recorder_tasks.aclose()
        for session in tuple(self._sessions):
            self._close_session(session)
        await self._closing_tasks.wait()

    def _session_for(self, name: LogName) -> FollowSession:
        session = self._current_sessions.get(name)
        if session is None or session.mirror.error is not None:
            session = self._current_sessions[name] = FollowSession(name, self._services, self._release_session)
            self._sessions.add(session)
        return session

    async def _release_session(self, session: FollowSession) -> None:
        """Close a session that has no reader and no stream."""
        if session.is_idle and session in self._sessions:
            await asyncio.shield(self._close_session(session))

    def _close_session(self, session: FollowSession) -> asyncio.Task[None]:
        self._sessions.discard(session)
        if self._current_sessions.get(session.mirror.name) is session:
            del self._current_sessions[session.mirror.name]
        return self._closing_tasks.start(session.close())

    async def _discard_logs(self, scope: str, names: Sequence[LogName]) -> None:
        try:
            await self._services.log.discard_scope(scope, names)
        except LogUnavailableError as error:
            _logger.warning("The logs of a caller whose credential is refused could not be removed: %s", error)

    async def _before_append(self, mirror: LogMirror, changes: Sequence[Change]) -> None:
        scope, key = mirror.name
        if isinstance(key, ViewerKey):
            return
        listeners = self._listeners
        if listeners.before_shown is not None:
            await listeners.before_shown(scope, key, changes)
        if not any(isinstance(change, _INVALIDATING_CHANGES) for change in changes):
            return
        listeners.on_recorded(scope, key, changes)
        try:
            await listeners.on_change(scope, key)
        except Exception:
            _logger.exception("What is kept of %s could not be forgotten.", key)
        if isinstance(key, RunKey):
            self.poll_soon(scope, ThreadKey(key.thread_id))


async def _check_readable(key: RunKey | ThreadKey, api: ThreadsApi) -> None:
    """Read the subject of a log from the upstream. Raises the `GatewayError` of a failure."""
    if isinstance(key, RunKey):
        single_result(await api.get(RUNS, [key]))
    else:
        single_result(await api.get(THREADS, [key]))


class _PrincipalRunEvents:
    """The `RunEvents` port of one principal."""

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

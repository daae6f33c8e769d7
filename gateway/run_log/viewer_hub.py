"""The logs of viewers' lists: every process publishes what it changed, and each follows those of its own viewers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from gateway.background_tasks import BackgroundTasks, end_tasks
from gateway.run_log.event_cursors import position_from_cursor
from gateway.run_log.log_mirror import LogMirror, stopping_error
from gateway.run_log.replay_buffer import EventReader, ReplayBuffer, ReplayBufferLimits
from gateway.run_log.store.event_log import Draft, EventLog, LogName, LogUnavailableError, ViewerKey, WriterLease
from gateway.run_log.store.memory_log import MemoryLog
from gateway.telemetry.rare_warning import RareWarning
from schema.contract.errors import GatewayError
from schema.contract.run_events import Change, LaggedChange, Provenance, StatusChange

_logger = logging.getLogger(__name__)

RETURN_SECONDS = 2.0
"""How often a log whose store does not answer is tried again, while its viewers are told of this process's changes."""


class _ListState:
    """The state of a viewer's list as its log knows it: whether a run began to wait. The list is in the ledger."""

    has_begun = True

    def __init__(self) -> None:
        self.run_waits = asyncio.Event()

    def apply(self, change: Change, provenance: Provenance, /) -> None:  # noqa: ARG002 - of the protocol
        """Record that a run begins to wait."""
        if isinstance(change, StatusChange) and change.run.status == "requires_action":
            self.run_waits.set()

    def baseline(self) -> list[Change]:
        """Return no change: a reader begins with those to come."""
        return []


class _Session(NamedTuple):
    """A list that is followed in this process."""

    mirror: LogMirror
    buffer: ReplayBuffer
    state: _ListState


class ViewerHub:
    """The viewers' logs of one process. Create it inside the running loop, and close it before its log."""

    def __init__(
        self,
        log: EventLog,
        *,
        limits: ReplayBufferLimits | None = None,
        now_seconds: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._log = log
        self._limits = limits or ReplayBufferLimits(entries=1_000, size_bytes=1 << 20)
        self._now_seconds = now_seconds
        self._now = now
        self._sleep = sleep
        self._sessions: dict[LogName, _Session] = {}
        self._closing_tasks = BackgroundTasks()
        self._watches: dict[LogName, WriterLease] = {}
        self._return_task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._lost = RareWarning(_logger, "changes of a viewer's list were not published: %s")

    async def publish(self, name: LogName, changes: Sequence[Change]) -> None:
        """Publish changes of a list to its viewers at all processes. Never raises.

        If the store does not answer, those at this process are told alone.
        """
        drafts = [Draft(Provenance.POLLED, change) for change in changes]
        session = self._sessions.get(name)
        try:
            await self._log.publish(name, drafts)
        except LogUnavailableError as error:
            self._lost.give(error)
            if session is not None:
                await session.mirror.switch_to_local_log(self._log)
        if session is not None and (log := session.mirror.log) is not self._log:
            with contextlib.suppress(LogUnavailableError):  # one in memory always answers
                await log.publish(name, drafts)

    async def follow(self, name: LogName, after: str | None = None) -> EventReader:
        """Return a new reader of a list, behind the cursor `after` or at the end.

        At the end, it begins with a `LaggedChange` of nothing skipped: the list that is read after it lacks no change
        that is not told.

        Raises:
            GatewayError: The cursor is of another log, or the gateway stops.
        """
        position = None if after is None else position_from_cursor(after, name.key)
        if self._is_stopping:
            raise stopping_error()
        mirror, buffer, _ = self._sessions.get(name) or self._open_session(name)
        reader = EventReader(buffer)
        try:
            await mirror.refresh()
        except BaseException:
            await reader.aclose()
            raise
        if after is None or position is None:
            reader.start_behind(LaggedChange(0))
        else:
            reader.resume_after(mirror.entry_number_from_position(position), after)
        return reader

    def is_followed(self, name: LogName) -> bool:
        """Return whether a list has readers in this process."""
        return name in self._sessions

    async def wait_for_waiting_run(self, name: LogName) -> None:
        """Return when a run of the list begins to wait, at once if one did since the last time. Needs a reader."""
        if (session := self._sessions.get(name)) is not None:
            await session.state.run_waits.wait()
            session.state.run_waits.clear()

    async def acquire_watch(self, name: LogName) -> bool:
        """Acquire or keep the right to watch a list for a moment. Returns False if another process has it.

        Without the shared store, each process has it.
        """
        watch_name = _watch_name(name)
        lease = self._watches.pop(name, None)
        try:
            if lease is None or not await self._log.renew_lease(watch_name, lease):
                lease = await self._log.acquire_lease(watch_name)
        except LogUnavailableError:
            return True
        if lease is not None:
            self._watches[name] = lease
        return lease is not None

    async def release_watch(self, name: LogName) -> None:
        """Release the right to watch a list, so that another process can acquire it at once."""
        lease = self._watches.pop(name, None)
        if lease is not None:
            with contextlib.suppress(LogUnavailableError):
                await self._log.release_lease(_watch_name(name), lease)

    def end_readers(self, name: LogName, error: GatewayError) -> None:
        """End all readers of a list with an error."""
        if (session := self._sessions.pop(name, None)) is not None:
            session.mirror.end_with_error(error)
            self._closing_tasks.start(session.mirror.close())

    async def close(self) -> None:
        """End all readers with `GATEWAY_STOPPING`, and every task."""
        self._is_stopping = True
        for name in list(self._sessions):
            self.end_readers(name, stopping_error())
        await end_tasks(self._return_task)
        await self._closing_tasks.wait()

    def _open_session(self, name: LogName) -> _Session:
        state = _ListState()
        mirror = LogMirror(
            name,
            self._log,
            state,
            new_local_log=lambda: MemoryLog(now=self._now, now_seconds=self._now_seconds),
            now_seconds=self._now_seconds,
            on_reader_closed=self._on_reader_closed,
        )
        buffer = ReplayBuffer(mirror, self._limits, list)
        mirror.add_buffer(buffer, lambda _: True)
        session = self._sessions[name] = _Session(mirror, buffer, state)
        if self._return_task is None or self._return_task.done():
            self._return_task = asyncio.create_task(self._return_to_log())
        return session

    async def _on_reader_closed(self, mirror: LogMirror) -> None:
        session = self._sessions.get(mirror.name)
        if session is not None and session.mirror is mirror and not mirror.reader_count:
            del self._sessions[mirror.name]
            await asyncio.shield(self._closing_tasks.start(mirror.close()))

    async def _return_to_log(self) -> None:
        """Return to the shared log, again and again, whatever mirror had to go on with one in memory."""
        while self._sessions:
            await self._sleep(RETURN_SECONDS)
            for mirror, *_ in list(self._sessions.values()):
                if mirror.log is not self._log:
                    try:
                        await mirror.return_to_log(self._log)
                    except LogUnavailableError:
                        break


def _watch_name(name: LogName) -> LogName:
    """Return the name of the log, which stays empty, whose lease is the right to watch a list."""
    return LogName(name.scope, ViewerKey(f"watch:{'/'.join(name.key)}"))

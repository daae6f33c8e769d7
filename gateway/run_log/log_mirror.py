"""The copy of one log in this process: its latest entries, the state that they result in, and its readers.

A mirror lives while it has a reader or a recorder. The log is the truth, so a mirror can be rebuilt at any time. If the
log's store is unavailable, the mirror continues with a log in the memory of this process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from gateway.background_tasks import end_tasks
from gateway.run_log.event_cursors import to_cursor
from gateway.run_log.replay_buffer import EventReader, ReplayBuffer
from gateway.run_log.store.event_log import (
    EventLog,
    LogEntry,
    LogName,
    LogPosition,
    LogSlice,
    LogUnavailableError,
    new_epoch,
)
from gateway.run_log.store.memory_log import MemoryLog
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_events import Change, FaultChange, Provenance, RunEvent, SnapshotChange, StatusChange

_logger = logging.getLogger(__name__)

_WITHOUT_OUTPUT = (StatusChange, FaultChange)
_NO_POSITION = LogPosition("-", 1)
"""A position in no log: a reader with a cursor of it resumes with the present state."""


class LogState(Protocol):
    """The state that results from the entries of a log."""

    @property
    def has_begun(self) -> bool:
        """Whether the run or thread is known."""

    def apply(self, change: Change, provenance: Provenance, /) -> None:
        """Apply one change to the state."""

    def baseline(self) -> list[Change]:
        """Return changes from which the state can be rebuilt."""


class LogMirror:
    """The mirror of one log. Add its buffers right after its creation. Owns the task that reads the log."""

    def __init__(
        self,
        name: LogName,
        log: EventLog,
        state: LogState,
        *,
        new_local_log: Callable[[], MemoryLog],
        now_seconds: Callable[[], float],
        on_reader_closed: Callable[[LogMirror], Awaitable[None]],
    ) -> None:
        self.name = name
        self.log = log
        self.state = state
        self.mirrored_entries = 0
        self.has_ended = False
        self.error: GatewayError | None = None
        self.stream_position: str | None = None
        """The place in the run's stream up to which the log holds all that came. None if it is not known."""
        self.log_changed = asyncio.Event()
        self._buffers: list[tuple[ReplayBuffer, Callable[[RunEvent], bool]]] = []
        self._new_local_log = new_local_log
        self._local_log: MemoryLog | None = None
        self._now_seconds = now_seconds
        self._on_reader_closed = on_reader_closed
        self._position: LogPosition | None = None
        self._is_log_lost = False
        self._entries_since_snapshot = 0
        self._is_stale = False
        self._read_task: asyncio.Task[None] | None = None
        self._switch_lock = asyncio.Lock()
        self._waiters: list[asyncio.Future[None]] = []
        self._stop_listening = log.listen(name, self._on_notification)

    @property
    def epoch(self) -> str | None:
        """The epoch of the latest entry, or None before the first one."""
        return None if self._position is None else self._position.epoch

    @property
    def is_log_lost(self) -> bool:
        """Whether the log held no entries when it was read last, although it had some before."""
        return self._is_log_lost

    @property
    def reader_count(self) -> int:
        """The number of readers of all buffers."""
        return sum(len(buffer.readers) for buffer, _ in self._buffers)

    def is_over(self) -> bool:
        """Return whether no more events can come."""
        return self.has_ended or self.error is not None

    def needs_baseline(self, every_entries: int) -> bool:
        """Return whether the baseline must be written again: after so many entries, or because the log was lost."""
        return self.state.has_begun and (self._is_log_lost or self._entries_since_snapshot >= every_entries)

    def add_buffer(self, buffer: ReplayBuffer, accepts: Callable[[RunEvent], bool]) -> None:
        """Fill a buffer with the events that `accepts` returns True for."""
        self._buffers.append((buffer, accepts))

    def present_event(self, change: Change, *, resumable: bool) -> RunEvent:
        position = self._position if resumable and self._position is not None else _NO_POSITION
        return RunEvent(to_cursor(self.name.key, position), self._now_seconds(), Provenance.SNAPSHOT, change)

    async def on_reader_closed(self, reader: EventReader) -> None:
        del reader
        await self._on_reader_closed(self)

    def entry_number_from_position(self, position: LogPosition) -> int | None:
        """Return the entry number of a cursor's position. Returns None if the position is not in this log."""
        if self._position is None or position.epoch != self._position.epoch or position.number > self._position.number:
            return None
        return position.number

    async def wait_until_begun(self) -> None:
        """Wait until the run or thread is known. Raises the `GatewayError` that prevents it."""
        if not self.state.has_begun and self.error is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        if self.error is not None and not self.state.has_begun:
            raise self.error.with_traceback(None)

    def fail_waiters(self, error: GatewayError) -> None:
        """Raise an error in all calls of `wait_until_begun`."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._waiters.clear()

    def end_with_error(self, error: GatewayError) -> None:
        """End all readers with an error, unless the log has ended."""
        if self.error is None and not self.has_ended:
            self.error = error
            self.fail_waiters(error)
            for buffer, _ in self._buffers:
                buffer.wake_readers()

    async def refresh(self) -> None:
        """Mirror all entries that the log holds now."""
        # `wait`, because a cancelled read task must not cancel its waiters.
        await asyncio.wait([self._start_reading()])

    async def switch_to_local_log(self, failed: EventLog) -> None:
        """Continue with a log in the memory of this process, unless the mirror no longer follows `failed`."""
        async with self._switch_lock:
            if self.log is not failed:
                return
            _logger.warning("The store of the run log does not answer: this process follows %s alone.", self.name.key)
            self._stop_listening()
            self.log = self._local_log = local_log = self._new_local_log()
            if self._position is not None:
                # The other store may go on under the old epoch, with other entries.
                self._position = LogPosition(new_epoch(), self._position.number)
                marker = LogEntry(
                    self._position.number,
                    self._now_seconds(),
                    Provenance.SNAPSHOT,
                    self._baseline_marker(),
                    self.stream_position,
                )
                local_log.adopt(self.name, self._position.epoch, [marker], has_ended=self.has_ended)
                self._set_resumable_after(self._position.number)
            self._stop_listening = local_log.listen(self.name, self._on_notification)
            self.log_changed.set()

    async def return_to_log(self, log: EventLog) -> None:
        """Follow `log` again, which answers, in place of the log in memory. Readers are told that they missed changes.

        Raises:
            LogUnavailableError: It does not answer after all.
        """
        async with self._switch_lock:
            local_log = self._local_log
            if local_log is None:
                return
            log_slice = await log.read(self.name)
            self._stop_listening()
            self.log, self._local_log = log, None
            number = log_slice.entries[-1].number if log_slice.entries else 0
            self._position = None if log_slice.epoch is None else LogPosition(log_slice.epoch, number)
            self._skip_events(None, number)
            for buffer, _ in self._buffers:
                buffer.wake_readers()
            self._stop_listening = log.listen(self.name, self._on_notification)
            await local_log.close()
        self._start_reading()

    async def close(self) -> None:
        """Stop following the log. Readers get no more events. References to and from the mirror are dropped."""
        self._stop_listening()
        await end_tasks(self._read_task)
        self.fail_waiters(stopping_error())
        if self._local_log is not None:
            await self._local_log.close()
        self._buffers.clear()
        self._on_reader_closed = _ignore_reader

    def _baseline_marker(self) -> Change:
        """Return a change that stands for all entries mirrored so far."""
        return next(iter(self.state.baseline()), FaultChange("UNKNOWN", "Nothing was known."))

    def _on_notification(self) -> None:
        self.log_changed.set()
        self._start_reading()

    def _start_reading(self) -> asyncio.Task[None]:
        """Start the one task that reads the log, or make the running one read once more."""
        self._is_stale = True
        if self._read_task is None or self._read_task.done():
            self._read_task = asyncio.create_task(self._run_read_task())
        return self._read_task

    async def _run_read_task(self) -> None:
        try:
            await self._read_until_current()
        except Exception:
            _logger.exception("Reading the run log of %s failed.", self.name.key)
            self.end_with_error(GatewayError(ErrorCode.INTERNAL, "The run log could not be read."))

    async def _read_until_current(self) -> None:
        failed = 0
        while self._is_stale and not self.has_ended:
            self._is_stale = False
            log = self.log
            try:
                log_slice = await log.read(self.name, self._position)
            except LogUnavailableError:
                failed += 1
                self._is_stale = True
                if failed > 1:
                    await self.switch_to_local_log(log)
                continue
            if log is self.log:
                self._apply_slice(log_slice)

    def _apply_slice(self, log_slice: LogSlice) -> None:
        if log_slice.epoch is None:
            self._is_log_lost = self._position is not None
            return
        entries = log_slice.entries
        ends = [buffer.end_index for buffer, _ in self._buffers]
        first = entries[0].number if entries else 0
        if self._position is None or (self._is_log_lost and first == 1 and self._repeats_baseline(entries)):
            self._set_resumable_after(first - 1)
        elif log_slice.epoch != self._position.epoch:
            self._skip_events(None, first - 1)
        elif log_slice.is_gap and entries:
            self._skip_events(max(1, first - 1 - self._position.number), first - 1)
        self._is_log_lost = False
        for entry in entries:
            self._apply_entry(entry, log_slice.epoch)
        self.has_ended = log_slice.has_ended
        if self.state.has_begun:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters.clear()
        for (buffer, _), end in zip(self._buffers, ends, strict=True):
            if buffer.end_index != end or self.has_ended:
                buffer.wake_readers()

    def _repeats_baseline(self, entries: Sequence[LogEntry]) -> bool:
        """Return whether a lost log starts again with exactly the state that is known here."""
        baseline = self.state.baseline()
        return [entry.change for entry in entries[: len(baseline)]] == baseline

    def _apply_entry(self, entry: LogEntry, epoch: str) -> None:
        self._position = LogPosition(epoch, entry.number)
        self.mirrored_entries += 1
        self._entries_since_snapshot = (
            0 if isinstance(entry.change, SnapshotChange) else self._entries_since_snapshot + 1
        )
        self.state.apply(entry.change, entry.provenance)
        self.stream_position = _next_stream_position(self.stream_position, entry)
        event = RunEvent(to_cursor(self.name.key, self._position), entry.at, entry.provenance, entry.change)
        for buffer, accepts in self._buffers:
            if accepts(event):
                buffer.add_event(event, entry.number)

    def _set_resumable_after(self, number: int) -> None:
        for buffer, _ in self._buffers:
            buffer.set_resumable_after(number)

    def _skip_events(self, count: int | None, number: int) -> None:
        for buffer, _ in self._buffers:
            buffer.skip_events(count, number)


def _next_stream_position(position: str | None, entry: LogEntry) -> str | None:
    """Return the place in the stream behind an entry. Output that was polled may lie ahead of every place."""
    if entry.position is not None:
        return entry.position
    is_polled_output = entry.provenance is Provenance.POLLED and not isinstance(entry.change, _WITHOUT_OUTPUT)
    return None if is_polled_output else position


async def _ignore_reader(_: LogMirror) -> None:
    """Do nothing."""


def stopping_error() -> GatewayError:
    """Return the error that asks a reader to reconnect to another process."""
    return GatewayError(
        ErrorCode.GATEWAY_STOPPING, "The gateway is stopping; come back with the cursor of the last event."
    )

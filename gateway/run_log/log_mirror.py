"""One log as this process follows it: a mirror of its latest entries, the state that they make, and its readers.

A feed lives while somebody reads or writes it here; the log is the truth, and a feed can always be made anew. Where
the log's store is gone, the feed goes on alone, with a log of its own process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

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
from schema.contract.run_events import Change, FaultChange, Provenance, RunEvent, SnapshotChange

_logger = logging.getLogger(__name__)

_NOWHERE = LogPosition("-", 1)
"""A place in no log: a cursor of it always leads to the present."""


class LogState(Protocol):
    """What the entries of a log make."""

    @property
    def has_begun(self) -> bool:
        """Whether anything is known."""

    def apply(self, change: Change, provenance: Provenance, /) -> None:
        """Lay one change upon the state."""

    def baseline(self) -> list[Change]:
        """Give the changes of which the state can be made anew."""


class LogMirror:
    """The mirror of one log; owns the task that reads it. `lanes` are made by `add_lane` before `open`."""

    def __init__(
        self,
        name: LogName,
        log: EventLog,
        state: LogState,
        *,
        local_log: Callable[[], MemoryLog],
        now_seconds: Callable[[], float],
        on_leave: Callable[[LogMirror], Awaitable[None]],
    ) -> None:
        self.name = name
        self.log = log
        self.state = state
        self.mirrored = 0
        self.has_ended = False
        self.error: GatewayError | None = None
        self.hint = asyncio.Event()
        self._lanes: list[tuple[ReplayBuffer, Callable[[RunEvent], bool]]] = []
        self._local_log = local_log
        self._own_log: MemoryLog | None = None
        self._now_seconds = now_seconds
        self._on_leave = on_leave
        self._position: LogPosition | None = None
        self._is_gone = False
        self._since_snapshot = 0
        self._is_stale = False
        self._reading: asyncio.Task[None] | None = None
        self._switching = asyncio.Lock()
        self._waiting: list[asyncio.Future[None]] = []
        self._stop_listening = log.listen(name, self._on_hint)

    @property
    def readers(self) -> int:
        """How many readers there are."""
        return sum(len(lane.readers) for lane, _ in self._lanes)

    def is_over(self) -> bool:
        """Whether nothing more comes to the readers."""
        return self.has_ended or self.error is not None

    def needs_baseline(self, every_entries: int) -> bool:
        """Whether the log should be told again what it is about: after so many entries, or since it was lost."""
        return self.state.has_begun and (self._is_gone or self._since_snapshot >= every_entries)

    def add_lane(self, lane: ReplayBuffer, shows: Callable[[RunEvent], bool]) -> None:
        """Have a lane filled with the events that it shows."""
        self._lanes.append((lane, shows))

    def event(self, change: Change, *, resumable: bool) -> RunEvent:
        position = self._position if resumable and self._position is not None else _NOWHERE
        return RunEvent(to_cursor(self.name.key, position), self._now_seconds(), Provenance.SNAPSHOT, change)

    async def leave(self, reader: EventReader) -> None:
        del reader
        await self._on_leave(self)

    def number_in_log(self, position: LogPosition) -> int | None:
        """Give the number of the entry that a cursor names; None where it is not of this log."""
        if self._position is None or position.epoch != self._position.epoch or position.number > self._position.number:
            return None
        return position.number

    async def begun(self) -> None:
        """Wait until something is known; raises what keeps that from coming."""
        if not self.state.has_begun and self.error is None:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            try:
                await waiting
            finally:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)
        if self.error is not None and not self.state.has_begun:
            raise self.error.with_traceback(None)

    def disappoint(self, error: GatewayError) -> None:
        """Tell who waits for the beginning that it cannot be had now."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(error)
        self._waiting.clear()

    def fail(self, error: GatewayError) -> None:
        """End all readers with an error."""
        if self.error is None and not self.has_ended:
            self.error = error
            self.disappoint(error)
            for lane, _ in self._lanes:
                lane.tell()

    async def refresh(self) -> None:
        """Mirror all that the log holds by now."""
        # Who waits here is not to be cancelled because the reading is.
        await asyncio.wait([self._read_on()])

    async def go_alone(self, failed: EventLog) -> None:
        """Go on with a log of this process, where `failed` is the one that is followed."""
        async with self._switching:
            if self.log is not failed:
                return
            _logger.warning("The store of the run log does not answer: this process follows %s alone.", self.name.key)
            self._stop_listening()
            self.log = self._own_log = own = self._local_log()
            if self._position is not None:
                # The other store may go on under the old epoch, with other entries.
                self._position = LogPosition(new_epoch(), self._position.number)
                mark = LogEntry(self._position.number, self._now_seconds(), Provenance.SNAPSHOT, self._mark())
                own.adopt(self.name, self._position.epoch, [mark], has_ended=self.has_ended)
                self._begin_after(self._position.number)
            self._stop_listening = own.listen(self.name, self._on_hint)
            self.hint.set()

    async def close(self) -> None:
        """Stop following; readers get nothing more."""
        self._stop_listening()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        self.disappoint(stopping_error())
        if self._own_log is not None:
            await self._own_log.close()

    def _mark(self) -> Change:
        """Give an entry to stand for all that is mirrored already."""
        return next(iter(self.state.baseline()), FaultChange("UNKNOWN", "Nothing was known."))

    def _on_hint(self) -> None:
        self.hint.set()
        self._read_on()

    def _read_on(self) -> asyncio.Task[None]:
        """Have what the log holds by now read, by the one task that reads it."""
        self._is_stale = True
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return self._reading

    async def _read(self) -> None:
        try:
            await self._read_all()
        except Exception:
            _logger.exception("Reading the run log of %s failed.", self.name.key)
            self.fail(GatewayError(ErrorCode.INTERNAL, "The run log could not be read."))

    async def _read_all(self) -> None:
        failed = 0
        while self._is_stale and not self.has_ended:
            self._is_stale = False
            log = self.log
            try:
                reading = await log.read(self.name, self._position)
            except LogUnavailableError:
                failed += 1
                self._is_stale = True
                if failed > 1:
                    await self.go_alone(log)
                continue
            if log is self.log:
                self._mirror(reading)

    def _mirror(self, reading: LogSlice) -> None:
        if reading.epoch is None:
            self._is_gone = self._position is not None
            return
        entries = reading.entries
        ends = [lane.end for lane, _ in self._lanes]
        first = entries[0].number if entries else 0
        if self._position is None or (self._is_gone and first == 1 and self._is_known(entries)):
            self._begin_after(first - 1)
        elif reading.epoch != self._position.epoch:
            self._skip(None, first - 1)
        elif reading.is_gap and entries:
            self._skip(max(1, first - 1 - self._position.number), first - 1)
        self._is_gone = False
        for entry in entries:
            self._take(entry, reading.epoch)
        self.has_ended = reading.has_ended
        if self.state.has_begun:
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_result(None)
            self._waiting.clear()
        for (lane, _), end in zip(self._lanes, ends, strict=True):
            if lane.end != end or self.has_ended:
                lane.tell()

    def _is_known(self, entries: Sequence[LogEntry]) -> bool:
        """Whether a log that was lost begins anew with what is known here, and no more."""
        baseline = self.state.baseline()
        return [entry.change for entry in entries[: len(baseline)]] == baseline

    def _take(self, entry: LogEntry, epoch: str) -> None:
        self._position = LogPosition(epoch, entry.number)
        self.mirrored += 1
        self._since_snapshot = 0 if isinstance(entry.change, SnapshotChange) else self._since_snapshot + 1
        self.state.apply(entry.change, entry.provenance)
        event = RunEvent(to_cursor(self.name.key, self._position), entry.at, entry.provenance, entry.change)
        for lane, shows in self._lanes:
            if shows(event):
                lane.add(event, entry.number)

    def _begin_after(self, number: int) -> None:
        for lane, _ in self._lanes:
            lane.begin_after(number)

    def _skip(self, count: int | None, number: int) -> None:
        for lane, _ in self._lanes:
            lane.skip(count, number)


def stopping_error() -> GatewayError:
    """Say that the gateway goes away and another will do."""
    return GatewayError(
        ErrorCode.GATEWAY_STOPPING, "The gateway is stopping; come back with the cursor of the last event."
    )

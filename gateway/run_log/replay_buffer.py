"""The replay buffer of a log: its latest events, held once for all readers, and each reader's position in it.

A reader that falls behind the oldest event is told so and continues with the present state.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from schema.contract.errors import GatewayError
from schema.contract.run_events import (
    Change,
    FaultChange,
    LaggedChange,
    RunEvent,
    SnapshotChange,
    StatusChange,
    TextDeltaChange,
    ToolCallDeltaChange,
)

_logger = logging.getLogger(__name__)

CURSOR_EXPIRED = FaultChange("CURSOR_EXPIRED", "What came after this cursor is no longer kept; the present follows.")

_OVERHEAD_BYTES = 500


@dataclass(frozen=True, slots=True)
class ReplayBufferLimits:
    """The limits of one replay buffer."""

    entries: int = 10_000
    size_bytes: int = 8 << 20


class ReplaySource(Protocol):
    """The owner of a replay buffer: the mirror of its log."""

    @property
    def has_ended(self) -> bool:
        """Whether no event can be added any more."""

    @property
    def error(self) -> GatewayError | None:
        """The error that prevents any further event."""

    def present_event(self, change: Change, *, resumable: bool) -> RunEvent:
        """Return an event of the present state.

        A reader that resumes behind one that is not `resumable` gets the present state again.
        """

    async def on_reader_closed(self, reader: EventReader) -> None:
        """Called after a reader has closed."""


class ReplayBuffer:
    """Consecutive events. `present_changes` returns the changes that show the present state to a reader that starts.

    `reports_lag`: whether a reader that was too slow is told so. `starts_with_snapshot`: whether a reader without a
    cursor starts at the oldest snapshot, if there is one; readers skip all other snapshots.

    An index counts all events since the buffer was created; `start_index` is that of the oldest event held.
    """

    def __init__(
        self,
        source: ReplaySource,
        limits: ReplayBufferLimits,
        present_changes: Callable[[], Sequence[Change]],
        *,
        reports_lag: bool = True,
        starts_with_snapshot: bool = False,
    ) -> None:
        self.source = source
        self.reports_lag = reports_lag
        self.starts_with_snapshot = starts_with_snapshot
        self.readers: set[EventReader] = set()
        self.start_index = 0
        self.size_bytes = 0
        self._limits = limits
        self._present_changes = present_changes
        self._events: deque[RunEvent] = deque()
        self._numbers: deque[int] = deque()
        self._sizes: deque[int] = deque()
        self._snapshots: deque[int] = deque()
        self._resumable_after = 0
        self._unknown_lag_before = 0
        self._present_memo: tuple[int, tuple[RunEvent, ...]] | None = None

    @property
    def end_index(self) -> int:
        """The index behind the last event."""
        return self.start_index + len(self._events)

    def event_at(self, index: int) -> RunEvent:
        """Return the event at an index that is held."""
        return self._events[index - self.start_index]

    def set_resumable_after(self, number: int) -> None:
        """Accept cursors only from this entry number on. No cursor leads to the events that are held already."""
        self._resumable_after = number
        self._numbers = deque([0] * len(self._numbers))
        self._present_memo = None

    def add_event(self, event: RunEvent, number: int) -> None:
        """Add the event of entry `number`. Drops the oldest events beyond the limits."""
        if isinstance(event.change, SnapshotChange):
            self._snapshots.append(self.end_index)
        size_bytes = _change_size_bytes(event.change)
        self._events.append(event)
        self._numbers.append(number)
        self._sizes.append(size_bytes)
        self.size_bytes += size_bytes
        self._present_memo = None
        while len(self._events) > self._limits.entries or (
            self.size_bytes > self._limits.size_bytes and len(self._events) > 1
        ):
            self._drop_oldest()

    def skip_events(self, count: int | None, number: int) -> None:
        """Drop all events, because `count` events behind them were lost (None: an unknown number).

        The next event will be that of the entry behind `number`.
        """
        while self._events:
            self._drop_oldest()
        self.start_index += count or 1
        if count is None:
            self._unknown_lag_before = self.start_index
        self._resumable_after = number
        self._present_memo = None

    def index_after_entry(self, number: int) -> int | None:
        """Return the index behind an entry. Returns None if the events right behind it are no longer held."""
        if number < self._resumable_after:
            return None
        return self.start_index + bisect_right(self._numbers, number)

    def oldest_snapshot_index(self) -> int | None:
        """Return the index of the oldest snapshot held. Returns None if readers do not start with one."""
        return self._snapshots[0] if self.starts_with_snapshot and self._snapshots else None

    def is_lag_unknown(self, index: int) -> bool:
        """Return whether an unknown number of events was lost behind this index."""
        return index < self._unknown_lag_before

    def present_events(self) -> tuple[RunEvent, ...]:
        """Return the events of the present state: the same objects for all readers until the next event."""
        if self._present_memo is None or self._present_memo[0] != self.end_index:
            changes = self._present_changes()
            last = len(changes) - 1
            events = (
                self.source.present_event(change, resumable=index == last) for index, change in enumerate(changes)
            )
            self._present_memo = (self.end_index, tuple(events))
        return self._present_memo[1]

    def wake_readers(self) -> None:
        """Tell all readers that there may be a new event, an error or the end."""
        for reader in tuple(self.readers):
            try:
                reader.wake()
            except Exception:  # an error of one reader must not reach the others
                _logger.exception("A reader of run events failed.")

    def _drop_oldest(self) -> None:
        self._events.popleft()
        self._resumable_after = max(self._resumable_after, self._numbers.popleft())
        self.size_bytes -= self._sizes.popleft()
        if self._snapshots and self._snapshots[0] == self.start_index:
            self._snapshots.popleft()
        self.start_index += 1


class EventReader:
    """The position of one reader in a replay buffer. `start_reading` or `resume_after` sets where it begins."""

    __slots__ = (
        "__weakref__",
        "_buffer",
        "_callback",
        "_first_index",
        "_is_closed",
        "_last_change",
        "_next_index",
        "_prelude",
        "_waiter",
    )

    def __init__(self, buffer: ReplayBuffer) -> None:
        self._buffer = buffer
        self._next_index = self._first_index = buffer.end_index
        self._prelude: Sequence[RunEvent] = ()
        self._last_change: Change | None = None
        self._callback: Callable[[], None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._is_closed = False
        buffer.readers.add(self)

    @property
    def buffer(self) -> ReplayBuffer:
        return self._buffer

    def start_reading(self) -> None:
        """Start at the oldest snapshot, or else with the present state."""
        index = self._buffer.oldest_snapshot_index()
        if index is None:
            self._prelude = (*self._prelude, *self._buffer.present_events())
            index = self._buffer.end_index
        self._next_index = self._first_index = index

    def start_behind(self, change: Change) -> None:
        """Start with a change that tells the reader that all further ones follow, then as `start_reading`."""
        self.start_reading()
        self._prelude = (self._buffer.source.present_event(change, resumable=True), *self._prelude)

    def resume_after(self, number: int | None, cursor: str) -> bool:
        """Start behind entry `number`.

        If `number` is None or the events behind it are gone, start with the present state. If the buffer `reports_lag`,
        `CURSOR_EXPIRED` comes first, with the caller's `cursor`.

        Returns:
            Whether the reader misses nothing.
        """
        index = None if number is None else self._buffer.index_after_entry(number)
        if index is not None:
            self._next_index, self._first_index = index, -1
            return True
        if self._buffer.reports_lag:
            event = self._buffer.source.present_event(CURSOR_EXPIRED, resumable=False)
            self._prelude = (RunEvent(cursor, event.at, event.provenance, event.change),)
        self.start_reading()
        return False

    def poll_event(self) -> RunEvent | None:
        if self._is_closed:
            raise StopAsyncIteration
        buffer = self._buffer
        if self._prelude:
            return self._pop_prelude()
        if self._next_index < buffer.start_index:
            self._catch_up()
            if self._prelude:
                return self._pop_prelude()
        while self._next_index < buffer.end_index:
            event = buffer.event_at(self._next_index)
            self._next_index += 1
            if self._next_index - 1 == self._first_index or not isinstance(event.change, SnapshotChange):
                self._last_change = event.change
                return event
        if buffer.source.error is not None:
            raise buffer.source.error.with_traceback(None)
        if buffer.source.has_ended:
            raise StopAsyncIteration
        return None

    def on_available(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        buffer = self._buffer
        if (
            self._prelude
            or self._next_index < buffer.end_index
            or buffer.source.has_ended
            or buffer.source.error is not None
        ):
            asyncio.get_running_loop().call_soon(self.wake)

    def wake(self) -> None:
        """Wake the waiting task and call the callback."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._callback is not None and not self._is_closed:
            self._callback()

    def __aiter__(self) -> EventReader:
        return self

    async def __anext__(self) -> RunEvent:
        while (event := self.poll_event()) is None:
            if self._waiter is None or self._waiter.done():
                self._waiter = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiter)
        return event

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._buffer.readers.discard(self)
        self._callback, self._prelude = None, ()
        self.wake()
        await self._buffer.source.on_reader_closed(self)

    def _pop_prelude(self) -> RunEvent:
        first, *rest = self._prelude
        self._prelude, self._last_change = rest, first.change
        return first

    def _catch_up(self) -> None:
        """Continue with the present state. Readers with `reports_lag` are told first what they missed."""
        buffer = self._buffer
        if buffer.reports_lag:
            is_unknown = buffer.is_lag_unknown(self._next_index)
            missed: Change = CURSOR_EXPIRED if is_unknown else LaggedChange(buffer.end_index - self._next_index)
            self._prelude = (buffer.source.present_event(missed, resumable=False), *buffer.present_events())
        else:
            # Without a report of the lag, a repeated status would be an event that did not happen.
            self._prelude = tuple(
                event for event in buffer.present_events() if not _is_same_status(event.change, self._last_change)
            )
        self._next_index = buffer.end_index


def _is_same_status(change: Change, last: Change | None) -> bool:
    return isinstance(change, StatusChange) and isinstance(last, StatusChange) and change.run.status == last.run.status


def _change_size_bytes(change: Change) -> int:
    """Estimate the memory of a change in bytes."""
    match change:
        case TextDeltaChange(value=value, annotations=[], rest=None):
            return _OVERHEAD_BYTES + 4 * len(value)
        case ToolCallDeltaChange(arguments=arguments, code=code, rest=None):
            return _OVERHEAD_BYTES + 4 * len(arguments or "") + 4 * len(code or "")
        case _:
            return _OVERHEAD_BYTES + 2 * len(msgspec.json.encode(change))

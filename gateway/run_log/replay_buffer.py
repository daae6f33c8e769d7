"""The latest events of a log as its readers see them, and the readers' ways through them.

A lane holds each event once, whoever reads it; a reader holds its place. Who stays behind what a lane can hold is
told so and goes on from the present state.
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
    """How much a lane holds."""

    entries: int = 10_000
    size_bytes: int = 8 << 20


class ReplaySource(Protocol):
    """What stands behind a lane."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing can be added."""

    @property
    def error(self) -> GatewayError | None:
        """What keeps anything more from coming."""

    def present_event(self, change: Change, *, resumable: bool) -> RunEvent:
        """Make an event of the present; one that is not `resumable` leads whoever comes back to the present again."""

    async def on_reader_closed(self, reader: EventReader) -> None:
        """Note that a reader has left."""


class ReplayBuffer:
    """Events that follow each other; `present_events` says what a reader is shown who begins with the present state.

    `reports_lag`: whether readers are told when they were too slow. `starts_with_snapshot`: whether a reader without
    a cursor begins at the oldest snapshot, where there is one; other snapshots are not shown.
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
        """The place behind the last event."""
        return self.start_index + len(self._events)

    def event_at(self, index: int) -> RunEvent:
        """Give the event at a place that is held."""
        return self._events[index - self.start_index]

    def set_resumable_after(self, number: int) -> None:
        """Say that the log is held from behind this entry on; what is here already no cursor leads to."""
        self._resumable_after = number
        self._numbers = deque([0] * len(self._numbers))
        self._present_memo = None

    def add_event(self, event: RunEvent, number: int) -> None:
        """Add the next event, that of a log's entry; the oldest may go."""
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
        """Forget all events, since some that followed them are lost: `count` of them, None where nobody knows.

        What comes next follows entry `number`.
        """
        while self._events:
            self._drop_oldest()
        self.start_index += count or 1
        if count is None:
            self._unknown_lag_before = self.start_index
        self._resumable_after = number
        self._present_memo = None

    def index_after_entry(self, number: int) -> int | None:
        """Give the place behind an entry; None where what came right after it is no longer held."""
        if number < self._resumable_after:
            return None
        return self.start_index + bisect_right(self._numbers, number)

    def oldest_snapshot_index(self) -> int | None:
        """Give the place of the oldest snapshot that is held, for readers who begin with one."""
        return self._snapshots[0] if self.starts_with_snapshot and self._snapshots else None

    def is_lag_unknown(self, index: int) -> bool:
        """Whether nobody knows how much came after this place."""
        return index < self._unknown_lag_before

    def present_events(self) -> tuple[RunEvent, ...]:
        """Show the present state: the same events to all who ask before the next one comes."""
        if self._present_memo is None or self._present_memo[0] != self.end_index:
            changes = self._present_changes()
            last = len(changes) - 1
            events = (
                self.source.present_event(change, resumable=index == last) for index, change in enumerate(changes)
            )
            self._present_memo = (self.end_index, tuple(events))
        return self._present_memo[1]

    def wake_readers(self) -> None:
        """Tell all readers that there may be something for them."""
        for reader in tuple(self.readers):
            try:
                reader.wake()
            except Exception:  # one reader's own fault is not to be another's
                _logger.exception("A reader of run events failed.")

    def _drop_oldest(self) -> None:
        self._events.popleft()
        self._resumable_after = max(self._resumable_after, self._numbers.popleft())
        self.size_bytes -= self._sizes.popleft()
        if self._snapshots and self._snapshots[0] == self.start_index:
            self._snapshots.popleft()
        self.start_index += 1


class EventReader:
    """One reader's way through a lane; begins where `start_reading` says."""

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
        """Begin with the oldest snapshot, or else with the present state."""
        index = self._buffer.oldest_snapshot_index()
        if index is None:
            self._prelude = (*self._prelude, *self._buffer.present_events())
            index = self._buffer.end_index
        self._next_index = self._first_index = index

    def resume_after(self, number: int | None, cursor: str) -> None:
        """Begin behind an entry; None or one whose successors are gone: say so, and begin with the present state."""
        index = None if number is None else self._buffer.index_after_entry(number)
        if index is not None:
            self._next_index, self._first_index = index, -1
            return
        if self._buffer.reports_lag:
            event = self._buffer.source.present_event(CURSOR_EXPIRED, resumable=False)
            self._prelude = (RunEvent(cursor, event.at, event.provenance, event.change),)
        self.start_reading()

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
        """Tell whoever waits that there may be something."""
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
        """Go to the present; what was missed is said where the lane's readers are told of it."""
        buffer = self._buffer
        if buffer.reports_lag:
            is_unknown = buffer.is_lag_unknown(self._next_index)
            missed: Change = CURSOR_EXPIRED if is_unknown else LaggedChange(buffer.end_index - self._next_index)
            self._prelude = (buffer.source.present_event(missed, resumable=False), *buffer.present_events())
        else:
            # Who is not told that anything was missed is not to be told the same again either.
            self._prelude = tuple(
                event for event in buffer.present_events() if not _is_same_status(event.change, self._last_change)
            )
        self._next_index = buffer.end_index


def _is_same_status(change: Change, last: Change | None) -> bool:
    return isinstance(change, StatusChange) and isinstance(last, StatusChange) and change.run.status == last.run.status


def _change_size_bytes(change: Change) -> int:
    """Tell about how many bytes a change takes."""
    match change:
        case TextDeltaChange(value=value, annotations=[]):
            return _OVERHEAD_BYTES + 4 * len(value)
        case ToolCallDeltaChange(arguments=arguments, code=code):
            return _OVERHEAD_BYTES + 4 * len(arguments or "") + 4 * len(code or "")
        case _:
            return _OVERHEAD_BYTES + 2 * len(msgspec.json.encode(change))

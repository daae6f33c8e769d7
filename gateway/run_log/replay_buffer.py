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

    def event(self, change: Change, *, resumable: bool) -> RunEvent:
        """Make an event of the present; one that is not `resumable` leads whoever comes back to the present again."""

    async def leave(self, reader: EventReader) -> None:
        """Note that a reader has left."""


class ReplayBuffer:
    """Events that follow each other; `present` says what a reader is shown who begins with the present state.

    `tells_of_lag`: whether readers are told when they were too slow. `begins_with_snapshot`: whether a reader without
    a cursor begins at the oldest snapshot, where there is one; other snapshots are not shown.
    """

    def __init__(
        self,
        source: ReplaySource,
        bounds: ReplayBufferLimits,
        present: Callable[[], Sequence[Change]],
        *,
        tells_of_lag: bool = True,
        begins_with_snapshot: bool = False,
    ) -> None:
        self.source = source
        self.tells_of_lag = tells_of_lag
        self.begins_with_snapshot = begins_with_snapshot
        self.readers: set[EventReader] = set()
        self.start = 0
        self.size_bytes = 0
        self._bounds = bounds
        self._present = present
        self._events: deque[RunEvent] = deque()
        self._numbers: deque[int] = deque()
        self._sizes: deque[int] = deque()
        self._snapshots: deque[int] = deque()
        self._reachable = 0
        self._lost_before = 0
        self._memo: tuple[int, tuple[RunEvent, ...]] | None = None

    @property
    def end(self) -> int:
        """The place behind the last event."""
        return self.start + len(self._events)

    def at(self, place: int) -> RunEvent:
        """Give the event at a place that is held."""
        return self._events[place - self.start]

    def begin_after(self, number: int) -> None:
        """Say that the log is held from behind this entry on; what is here already no cursor leads to."""
        self._reachable = number
        self._numbers = deque([0] * len(self._numbers))
        self._memo = None

    def add(self, event: RunEvent, number: int) -> None:
        """Add the next event, that of a log's entry; the oldest may go."""
        if isinstance(event.change, SnapshotChange):
            self._snapshots.append(self.end)
        size_bytes = _size_of(event.change)
        self._events.append(event)
        self._numbers.append(number)
        self._sizes.append(size_bytes)
        self.size_bytes += size_bytes
        self._memo = None
        while len(self._events) > self._bounds.entries or (
            self.size_bytes > self._bounds.size_bytes and len(self._events) > 1
        ):
            self._drop_oldest()

    def skip(self, count: int | None, number: int) -> None:
        """Forget all events, since some that followed them are lost: `count` of them, None where nobody knows.

        What comes next follows entry `number`.
        """
        while self._events:
            self._drop_oldest()
        self.start += count or 1
        if count is None:
            self._lost_before = self.start
        self._reachable = number
        self._memo = None

    def place_after(self, number: int) -> int | None:
        """Give the place behind an entry; None where what came right after it is no longer held."""
        if number < self._reachable:
            return None
        return self.start + bisect_right(self._numbers, number)

    def oldest_snapshot(self) -> int | None:
        """Give the place of the oldest snapshot that is held, for readers who begin with one."""
        return self._snapshots[0] if self.begins_with_snapshot and self._snapshots else None

    def was_lost(self, place: int) -> bool:
        """Whether nobody knows how much came after this place."""
        return place < self._lost_before

    def present(self) -> tuple[RunEvent, ...]:
        """Show the present state: the same events to all who ask before the next one comes."""
        if self._memo is None or self._memo[0] != self.end:
            changes = self._present()
            last = len(changes) - 1
            events = (self.source.event(change, resumable=place == last) for place, change in enumerate(changes))
            self._memo = (self.end, tuple(events))
        return self._memo[1]

    def tell(self) -> None:
        """Tell all readers that there may be something for them."""
        for reader in tuple(self.readers):
            try:
                reader.wake()
            except Exception:  # one reader's own fault is not to be another's
                _logger.exception("A reader of run events failed.")

    def _drop_oldest(self) -> None:
        self._events.popleft()
        self._reachable = max(self._reachable, self._numbers.popleft())
        self.size_bytes -= self._sizes.popleft()
        if self._snapshots and self._snapshots[0] == self.start:
            self._snapshots.popleft()
        self.start += 1


class EventReader:
    """One reader's way through a lane; begins where `start` says."""

    __slots__ = ("__weakref__", "_begin", "_callback", "_has_left", "_lane", "_last", "_place", "_prelude", "_waiter")

    def __init__(self, lane: ReplayBuffer) -> None:
        self._lane = lane
        self._place = self._begin = lane.end
        self._prelude: Sequence[RunEvent] = ()
        self._last: Change | None = None
        self._callback: Callable[[], None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._has_left = False
        lane.readers.add(self)

    @property
    def lane(self) -> ReplayBuffer:
        return self._lane

    def start(self) -> None:
        """Begin with the oldest snapshot, or else with the present state."""
        place = self._lane.oldest_snapshot()
        if place is None:
            self._prelude = (*self._prelude, *self._lane.present())
            place = self._lane.end
        self._place = self._begin = place

    def resume(self, number: int | None, cursor: str) -> None:
        """Begin behind an entry; None or one whose successors are gone: say so, and begin with the present state."""
        place = None if number is None else self._lane.place_after(number)
        if place is not None:
            self._place, self._begin = place, -1
            return
        if self._lane.tells_of_lag:
            event = self._lane.source.event(CURSOR_EXPIRED, resumable=False)
            self._prelude = (RunEvent(cursor, event.at, event.provenance, event.change),)
        self.start()

    def poll_event(self) -> RunEvent | None:
        if self._has_left:
            raise StopAsyncIteration
        lane = self._lane
        if self._prelude:
            return self._next_of_prelude()
        if self._place < lane.start:
            self._catch_up()
            if self._prelude:
                return self._next_of_prelude()
        while self._place < lane.end:
            event = lane.at(self._place)
            self._place += 1
            if self._place - 1 == self._begin or not isinstance(event.change, SnapshotChange):
                self._last = event.change
                return event
        if lane.source.error is not None:
            raise lane.source.error.with_traceback(None)
        if lane.source.has_ended:
            raise StopAsyncIteration
        return None

    def on_available(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        lane = self._lane
        if self._prelude or self._place < lane.end or lane.source.has_ended or lane.source.error is not None:
            asyncio.get_running_loop().call_soon(self.wake)

    def wake(self) -> None:
        """Tell whoever waits that there may be something."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._callback is not None and not self._has_left:
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
        if self._has_left:
            return
        self._has_left = True
        self._lane.readers.discard(self)
        self._callback, self._prelude = None, ()
        self.wake()
        await self._lane.source.leave(self)

    def _next_of_prelude(self) -> RunEvent:
        first, *rest = self._prelude
        self._prelude, self._last = rest, first.change
        return first

    def _catch_up(self) -> None:
        """Go to the present; what was missed is said where the lane's readers are told of it."""
        lane = self._lane
        if lane.tells_of_lag:
            lost = lane.was_lost(self._place)
            missed: Change = CURSOR_EXPIRED if lost else LaggedChange(lane.end - self._place)
            self._prelude = (lane.source.event(missed, resumable=False), *lane.present())
        else:
            # Who is not told that anything was missed is not to be told the same again either.
            self._prelude = tuple(event for event in lane.present() if not _is_same_status(event.change, self._last))
        self._place = lane.end


def _is_same_status(change: Change, last: Change | None) -> bool:
    return isinstance(change, StatusChange) and isinstance(last, StatusChange) and change.run.status == last.run.status


def _size_of(change: Change) -> int:
    """Tell about how many bytes a change takes."""
    match change:
        case TextDeltaChange(value=value, annotations=[]):
            return _OVERHEAD_BYTES + 4 * len(value)
        case ToolCallDeltaChange(arguments=arguments, code=code):
            return _OVERHEAD_BYTES + 4 * len(arguments or "") + 4 * len(code or "")
        case _:
            return _OVERHEAD_BYTES + 2 * len(msgspec.json.encode(change))

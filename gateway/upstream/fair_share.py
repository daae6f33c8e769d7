"""Decides which caller's call may start, so that a few callers cannot take all that everybody shares. Pure.

The rule is the dynamic threshold of shared-memory switches: a caller may start one more call while its calls in flight
are fewer than half of what is free. It needs no clock and no count of callers. A lone caller gets a third of the
capacity. `n` callers that always want more get a share of `capacity // (n + 2)` each. A call that hangs cannot be taken
back, so the rule always leaves a reserve: of callers that hang one after another, each gets only a third of what the
ones before it have left.

Source: A. K. Choudhury and E. L. Hahne, "Dynamic queue length thresholds in a shared-memory packet switch", 1998.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

WaiterT = TypeVar("WaiterT")


class CallerUse(Generic[WaiterT]):
    """The calls of one caller: the number of those in flight, and those that wait, in order of arrival."""

    __slots__ = ("in_flight", "waiting")

    def __init__(self) -> None:
        self.in_flight = 0
        self.waiting: dict[WaiterT, None] = {}


class FairShare(Generic[WaiterT]):
    """Shares `capacity` calls at once between callers.

    No caller has more than `max_per_caller` calls in flight. At most `max_waiting` calls wait, shared by the same rule.
    After each method, no waiting call may start.
    """

    def __init__(self, capacity: int, max_per_caller: int, max_waiting: int | None = None) -> None:
        self.free = capacity
        self._max_per_caller = max_per_caller
        self._free_places = max_waiting
        # The callers with waiting calls, by their number of calls in flight, in order of arrival.
        self._waiting_callers: dict[int, dict[CallerUse[WaiterT], None]] = {}

    def start(self, caller: CallerUse[WaiterT]) -> bool:
        """Start a call, if it may start now. Calls of the same caller that wait go first."""
        if caller.waiting or not self._may_start(caller.in_flight):
            return False
        caller.in_flight += 1
        self.free -= 1
        return True

    def add_waiter(self, caller: CallerUse[WaiterT], waiter: WaiterT) -> bool:
        """Let a call wait that could not start. Returns False if too many wait."""
        if self._free_places is not None:
            if not has_room(len(caller.waiting), self._free_places):
                return False
            self._free_places -= 1
        if not caller.waiting:
            self._waiting_callers.setdefault(caller.in_flight, {})[caller] = None
        caller.waiting[waiter] = None
        return True

    def remove_waiter(self, caller: CallerUse[WaiterT], waiter: WaiterT) -> None:
        """Remove a call that waits no longer."""
        del caller.waiting[waiter]
        if self._free_places is not None:
            self._free_places += 1
        if not caller.waiting:
            self._remove_caller(caller)

    def finish(self, caller: CallerUse[WaiterT]) -> Sequence[WaiterT]:
        """End a call that was started.

        Returns:
            The waiting calls that have started in its place.
        """
        self.free += 1
        if not self._waiting_callers:
            caller.in_flight -= 1
            return ()
        self._set_in_flight(caller, caller.in_flight - 1)
        started: list[WaiterT] = []
        while self._waiting_callers and self._may_start(fewest := min(self._waiting_callers)):
            next_caller = next(iter(self._waiting_callers[fewest]))
            waiter = next(iter(next_caller.waiting))
            self.remove_waiter(next_caller, waiter)
            self.free -= 1
            self._set_in_flight(next_caller, fewest + 1)
            started.append(waiter)
        return started

    def _may_start(self, in_flight: int) -> bool:
        return in_flight < self._max_per_caller and has_room(in_flight, self.free)

    def _set_in_flight(self, caller: CallerUse[WaiterT], in_flight: int) -> None:
        if caller.waiting:
            self._remove_caller(caller)
            self._waiting_callers.setdefault(in_flight, {})[caller] = None
        caller.in_flight = in_flight

    def _remove_caller(self, caller: CallerUse[WaiterT]) -> None:
        callers = self._waiting_callers[caller.in_flight]
        del callers[caller]
        if not callers:
            del self._waiting_callers[caller.in_flight]


def has_room(own: int, free: int) -> bool:
    """Tell whether a caller that has `own` places may take one more of the `free` ones."""
    return 2 * own < free

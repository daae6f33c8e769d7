import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.fair_share import CallerUse, FairShare, has_room
from tests.support.full_runs import long_except


class SharedCalls:
    """A share with callers, and every rule of it checked after every step."""

    def __init__(self, capacity: int, max_per_caller: int, callers: int, max_waiting: int | None = None) -> None:
        self.capacity, self.max_per_caller, self.max_waiting = capacity, max_per_caller, max_waiting
        self.share: FairShare[int] = FairShare(capacity, max_per_caller, max_waiting)
        self.callers: list[CallerUse[int]] = [CallerUse() for _ in range(callers)]
        self.started: list[list[int]] = [[] for _ in range(callers)]
        self.waiting: list[list[int]] = [[] for _ in range(callers)]
        self._call_numbers = itertools.count()

    def add(self, caller: int) -> bool:
        call, use = next(self._call_numbers), self.callers[caller]
        must_wait = bool(self.waiting[caller]) or not self.may_start(caller)
        assert self.share.start(use) is not must_wait
        if not must_wait:
            self.started[caller].append(call)
            return self.checked()
        places = None if self.max_waiting is None else self.max_waiting - sum(map(len, self.waiting))
        accepted = self.share.add_waiter(use, call)
        assert accepted is (places is None or has_room(len(self.waiting[caller]), places))
        if accepted:
            self.waiting[caller].append(call)
        return self.checked() and accepted

    def finish(self, caller: int) -> bool:
        if not self.started[caller]:
            return False
        self.started[caller].pop(0)
        for call in self.share.finish(self.callers[caller]):
            (owner,) = [number for number, calls in enumerate(self.waiting) if call in calls]
            assert self.waiting[owner].pop(0) == call, "a caller's calls start in their order"
            self.started[owner].append(call)
        return self.checked()

    def cancel(self, caller: int, position: int) -> bool:
        if position >= len(self.waiting[caller]):
            return False
        self.share.remove_waiter(self.callers[caller], self.waiting[caller].pop(position))
        return self.checked()

    def may_start(self, caller: int) -> bool:
        in_flight = self.callers[caller].in_flight
        return in_flight < self.max_per_caller and 2 * in_flight < self.share.free

    def checked(self) -> bool:
        assert self.share.free >= 0
        assert sum(caller.in_flight for caller in self.callers) + self.share.free == self.capacity
        for number, caller in enumerate(self.callers):
            assert caller.in_flight == len(self.started[number]) <= self.max_per_caller
            assert list(caller.waiting) == self.waiting[number]
            assert not (caller.waiting and self.may_start(number)), "a call waits that may start"
        return True

    @property
    def state(self) -> object:
        return tuple((len(started), len(waiting)) for started, waiting in zip(self.started, self.waiting, strict=True))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "finish", "finish", "cancel"]), st.integers(0, 5), st.integers(0, 5)
    ),
    max_size=120,
)


@given(st.integers(1, 30), st.integers(1, 20), st.none() | st.integers(1, 20), STEPS)
def test_no_rule_is_ever_broken_and_all_is_given_back(
    capacity: int, max_per_caller: int, max_waiting: int | None, steps: list[tuple[str, int, int]]
) -> None:
    calls = SharedCalls(capacity, max_per_caller, callers=6, max_waiting=max_waiting)
    for step, caller, position in steps:
        if step == "add":
            calls.add(caller)
        elif step == "finish":
            calls.finish(caller)
        else:
            calls.cancel(caller, position)
    while any(calls.started):
        calls.finish(max(range(6), key=lambda caller: len(calls.started[caller])))
    assert calls.share.free == capacity
    assert not any(calls.waiting)


@pytest.mark.parametrize(
    ("capacity", "max_per_caller"), long_except([(1, 1), (2, 2), (3, 2), (4, 4), (5, 2)], [(2, 2)])
)
def test_no_rule_is_broken_in_any_short_history(capacity: int, max_per_caller: int) -> None:
    steps = [(step, caller) for step in ("add", "finish", "cancel") for caller in range(2)]
    for history in itertools.product(steps, repeat=6):
        calls = SharedCalls(capacity, max_per_caller, callers=2, max_waiting=3)
        for step, caller in history:
            if step == "add":
                calls.add(caller)
            elif step == "finish":
                calls.finish(caller)
            else:
                calls.cancel(caller, 0)


@given(st.integers(1, 60), st.lists(st.integers(0, 7), min_size=1, max_size=300), st.integers(1, 60))
def test_each_of_the_callers_that_want_more_gets_its_share(
    capacity: int, arrivals: list[int], max_per_caller: int
) -> None:
    calls = SharedCalls(capacity, max_per_caller, callers=8)
    for caller in arrivals:
        calls.add(caller)
    wanting = sorted(set(arrivals))
    for caller in wanting:
        for _ in range(3 * capacity):
            calls.add(caller)
    share = min(max_per_caller, capacity // (len(wanting) + 2))
    in_order = [caller for caller in wanting for _ in calls.started[caller]]
    for caller in in_order:  # each call that was in flight ends once
        calls.finish(caller)
    assert all(len(calls.started[caller]) >= share for caller in wanting)


@given(st.integers(1, 5), st.permutations(range(8)), st.data())
def test_nothing_starves_if_there_are_more_callers_than_places(
    capacity: int, order: list[int], data: st.DataObject
) -> None:
    calls = SharedCalls(capacity, capacity, callers=8)
    for caller in order * 8:
        calls.add(caller)
    served = {caller for caller in order if calls.started[caller]}
    for _ in range(8):  # one call after another ends, of any caller
        calls.finish(data.draw(st.sampled_from([caller for caller in order if calls.started[caller]])))
        served |= {caller for caller in order if calls.started[caller]}
    assert served == set(order)


def test_each_caller_that_hangs_gets_a_third_of_what_is_left() -> None:
    calls = SharedCalls(capacity=300, max_per_caller=100, callers=12)
    for caller in range(12):
        for _ in range(100):
            calls.add(caller)
    assert [len(started) for started in calls.started] == [100, 67, 45, 30, 20, 13, 9, 6, 4, 2, 2, 1]


def test_a_call_that_waits_for_its_caller_only_does_not_hold_up_others() -> None:
    calls = SharedCalls(capacity=10, max_per_caller=1, callers=2)
    calls.add(0)
    calls.add(0)
    calls.add(1)
    assert calls.state == ((1, 1), (1, 0))

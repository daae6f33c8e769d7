"""Many objects of one thread are one list call; what it does not hold is asked for alone."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.list_planning import MIN_LOADS_FOR_LIST, load_through_lists, plan_lists
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.paging import Window
from schema.contract.ports import Results, RunPageKey
from schema.contract.wire import Page, RunObject

KEYS = st.lists(st.builds(RunKey, st.sampled_from("ab"), st.sampled_from([f"run_{n}" for n in range(8)])))


def run(key: RunKey) -> RunObject:
    return RunObject(id=key.run_id, created_at=1, thread_id=key.thread_id)


class Upstream:
    """Lists the given runs of each thread, and knows every run by its id."""

    def __init__(self, listed: Sequence[str] = (), failure: GatewayError | None = None) -> None:
        self.listed = listed
        self.failure = failure
        self.calls: list[str] = []

    async def list_runs(self, keys: Sequence[RunPageKey]) -> Results[Page[RunObject]]:
        self.calls += [f"list {key.thread_id} {key.window.limit}" for key in keys]
        pages = [Page(data=[run(RunKey(key.thread_id, listed)) for listed in self.listed]) for key in keys]
        return pages if self.failure is None else [self.failure for _ in keys]

    async def get_runs(self, keys: Sequence[RunKey]) -> Results[RunObject]:
        self.calls += [f"get {key.thread_id} {key.run_id}" for key in keys]
        return [run(key) for key in keys]

    async def load(self, keys: Sequence[RunKey]) -> Results[RunObject]:
        return await load_through_lists(keys, RunPageKey, self.list_runs, self.get_runs)


def keys(thread_id: str, *names: str) -> list[RunKey]:
    return [RunKey(thread_id, name) for name in names]


async def test_two_runs_of_a_thread_are_asked_for_alone() -> None:
    upstream = Upstream()
    await upstream.load(keys("a", "x", "y"))
    assert upstream.calls == ["get a x", "get a y"]


async def test_three_runs_of_a_thread_are_one_list() -> None:
    upstream = Upstream(["z", "y", "x", "w"])
    wanted = keys("a", "x", "y", "z")
    assert await upstream.load(wanted) == [run(key) for key in wanted]
    assert upstream.calls == ["list a 20"]


async def test_what_the_list_does_not_hold_is_asked_for_alone_and_each_thread_is_planned_for_itself() -> None:
    upstream = Upstream(["x", "y"])
    wanted = [*keys("a", "x", "y", "old"), *keys("b", "x")]
    assert await upstream.load(wanted) == [run(key) for key in wanted]
    assert upstream.calls == ["list a 20", "get b x", "get a old"]


@pytest.mark.parametrize("code", [ErrorCode.NOT_FOUND, ErrorCode.UPSTREAM_FAILED, ErrorCode.RATE_LIMITED])
async def test_a_thread_that_is_gone_and_a_failing_upstream_answer_for_all(code: ErrorCode) -> None:
    failure = GatewayError(code, "Why.")
    upstream = Upstream(failure=failure)
    assert await upstream.load(keys("a", "x", "y", "z")) == [failure] * 3
    assert upstream.calls == ["list a 20"]


async def test_an_upstream_without_such_a_list_is_asked_for_each() -> None:
    upstream = Upstream(failure=GatewayError(ErrorCode.UNSUPPORTED_BY_UPSTREAM, "No list."))
    wanted = keys("a", "x", "y", "z")
    assert await upstream.load(wanted) == [run(key) for key in wanted]
    assert len(upstream.calls) == 4


@given(KEYS)
def test_a_list_is_worth_its_call_from_three_different_objects_on(wanted: list[RunKey]) -> None:
    for thread_id in "ab":
        count = len({key for key in wanted if key.thread_id == thread_id})
        expected = Window(20, "desc") if count >= MIN_LOADS_FOR_LIST else None
        assert plan_lists(wanted).get(thread_id) == expected


def test_a_page_holds_twice_what_is_wanted_and_never_more_than_the_upstream_gives() -> None:
    for count, limit in ((3, 20), (15, 30), (80, 100)):
        assert plan_lists(keys("a", *map(str, range(count))))["a"].limit == limit


@given(KEYS, st.lists(st.sampled_from([f"run_{n}" for n in range(8)]), unique=True))
async def test_every_key_is_answered_in_its_place_and_none_is_asked_for_alone_twice(
    wanted: list[RunKey], listed: list[str]
) -> None:
    upstream = Upstream(listed)
    assert await upstream.load(wanted) == [run(key) for key in wanted]
    once = Upstream(listed)
    await once.load(list(dict.fromkeys(wanted)))
    assert len(once.calls) == len(set(once.calls))

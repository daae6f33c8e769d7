"""Tests that many objects of one thread take one list call, and that the rest is loaded by single calls."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.list_planning import MIN_LOADS_FOR_LIST, load_through_lists, plan_lists
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.kinds import RunPageKey
from schema.contract.paging import Window
from schema.contract.ports import Results
from schema.contract.wire import Page, RunObject

KEYS = st.lists(st.builds(RunKey, st.sampled_from("ab"), st.sampled_from([f"run_{n}" for n in range(8)])))


def run(key: RunKey) -> RunObject:
    return RunObject(id=key.run_id, created_at=1, thread_id=key.thread_id)


class Upstream:
    """A fake upstream: lists the given runs of each thread, and knows every run by its id."""

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


async def test_two_runs_of_a_thread_are_loaded_by_single_calls() -> None:
    upstream = Upstream()
    await upstream.load(keys("a", "x", "y"))
    assert upstream.calls == ["get a x", "get a y"]


async def test_three_runs_of_a_thread_are_loaded_by_one_list_call() -> None:
    upstream = Upstream(["z", "y", "x", "w"])
    wanted = keys("a", "x", "y", "z")
    assert await upstream.load(wanted) == [run(key) for key in wanted]
    assert upstream.calls == ["list a 20"]


async def test_objects_outside_the_page_are_loaded_singly_and_each_thread_is_planned_on_its_own() -> None:
    upstream = Upstream(["x", "y"])
    wanted = [*keys("a", "x", "y", "old"), *keys("b", "x")]
    assert await upstream.load(wanted) == [run(key) for key in wanted]
    assert upstream.calls == ["list a 20", "get b x", "get a old"]


@pytest.mark.parametrize("code", [ErrorCode.NOT_FOUND, ErrorCode.UPSTREAM_FAILED, ErrorCode.RATE_LIMITED])
async def test_a_missing_thread_or_a_failing_upstream_is_the_result_of_every_key(code: ErrorCode) -> None:
    failure = GatewayError(code, "Why.")
    upstream = Upstream(failure=failure)
    assert await upstream.load(keys("a", "x", "y", "z")) == [failure] * 3
    assert upstream.calls == ["list a 20"]


async def test_an_upstream_without_the_list_gets_single_calls() -> None:
    upstream = Upstream(failure=GatewayError(ErrorCode.UNSUPPORTED_BY_UPSTREAM, "No list."))
    wanted = keys("a", "x", "y", "z")
    assert await upstream.load(wanted) == [run(key) for key in wanted]
    assert len(upstream.calls) == 4


@given(KEYS)
def test_a_list_call_is_planned_from_three_different_objects_on(wanted: list[RunKey]) -> None:
    for thread_id in "ab":
        count = len({key for key in wanted if key.thread_id == thread_id})
        expected = Window(20, "desc") if count >= MIN_LOADS_FOR_LIST else None
        assert plan_lists(wanted).get(thread_id) == expected


def test_a_page_is_twice_the_wanted_number_within_the_upstreams_limits() -> None:
    for count, limit in ((3, 20), (15, 30), (80, 100)):
        assert plan_lists(keys("a", *map(str, range(count))))["a"].limit == limit


@given(KEYS, st.lists(st.sampled_from([f"run_{n}" for n in range(8)]), unique=True))
async def test_every_key_gets_its_result_in_order_and_no_key_is_loaded_twice(
    wanted: list[RunKey], listed: list[str]
) -> None:
    upstream = Upstream(listed)
    assert await upstream.load(wanted) == [run(key) for key in wanted]
    once = Upstream(listed)
    await once.load(list(dict.fromkeys(wanted)))
    assert len(once.calls) == len(set(once.calls))

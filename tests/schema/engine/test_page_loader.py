"""Page loaders release the pages of each thread as they arrive."""

import asyncio
from collections.abc import Sequence

import pytest

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.kinds import RunPageKey
from schema.contract.paging import Window
from schema.contract.ports import OnResult, Results
from schema.contract.wire import Page, RunObject
from schema.engine.batches import BatchRunner
from schema.engine.loaders import ObjectLoader, PageLoader
from tests.schema.builders import run_ready_tasks
from tests.support.wire_samples import run

REFUSED = GatewayError(ErrorCode.FORBIDDEN, "No.")


class ManualPort:
    """A port function whose results a test sets one by one."""

    def __init__(self) -> None:
        self.batches: list[list[RunPageKey]] = []
        self.on_result: OnResult[RunPageKey, Page[RunObject]] | None = None
        self._results: dict[RunPageKey, Page[RunObject] | GatewayError] = {}
        self._all_results = asyncio.Event()

    async def __call__(
        self, keys: Sequence[RunPageKey], *, on_result: OnResult[RunPageKey, Page[RunObject]] | None = None
    ) -> Results[Page[RunObject]]:
        self.batches.append(list(keys))
        self.on_result = on_result
        await self._all_results.wait()
        return [self._results[key] for key in keys]

    def set_result(self, key: RunPageKey, page: Page[RunObject] | GatewayError) -> None:
        self._results[key] = page
        if self.on_result is not None:
            self.on_result(key, page)
        if set(self._results) >= {key for keys in self.batches for key in keys}:
            self._all_results.set()


def make_loaders(
    port: ManualPort, batches: BatchRunner | None = None, *, single: list[list[RunKey]] | None = None
) -> tuple[PageLoader[RunPageKey, RunObject], ObjectLoader[RunKey, RunObject]]:
    """Make loaders of runs. `single` records the batches of single loads; without it there must be none."""

    async def get_runs(keys: Sequence[RunKey]) -> Results[RunObject]:
        assert single is not None, "expected no single load"
        single.append(list(keys))
        return [run(key.run_id) for key in keys]

    batches = batches or BatchRunner(60)
    objects: ObjectLoader[RunKey, RunObject] = ObjectLoader(get_runs, batches)
    return PageLoader(port, batches, objects, lambda page: (page.thread_id,)), objects


def run_page(thread_id: str, limit: int = 5, after: str | None = None) -> RunPageKey:
    return RunPageKey(thread_id, Window(limit, "asc", after))


async def test_the_page_of_one_thread_does_not_wait_for_that_of_another() -> None:
    port = ManualPort()
    pages, runs = make_loaders(port)
    slow, short, fast, refused = run_page("a"), run_page("b", 1), run_page("b"), run_page("c")
    started = {key: pages.start_load(key) for key in (slow, short, fast, refused)}
    await run_ready_tasks()
    assert port.batches == [[slow, fast, refused]]
    peeked: list[object] = []
    started[fast].add_done_callback(lambda _: peeked.append(runs.peek(RunKey("b", "run_2"))))
    listed = Page(data=[run("run_1"), run("run_2")])
    port.set_result(fast, listed)
    port.set_result(refused, REFUSED)
    assert [started[key].done() for key in (slow, short, fast, refused)] == [False, True, True, True]
    assert started[fast].result() is listed
    assert [one.id for one in started[short].result().data] == ["run_1"]
    assert isinstance(started[refused].exception(), GatewayError)
    assert pages.peek(fast) is listed
    await run_ready_tasks()
    assert peeked == [listed.data[1]]
    port.set_result(slow, Page(data=[]))
    assert (await pages.load(slow)).data == []
    assert await pages.load(fast) is listed


async def test_the_pages_of_one_thread_are_released_together() -> None:
    port = ManualPort()
    pages, _ = make_loaders(port)
    early, late, other = run_page("a"), run_page("a", after="run_1"), run_page("b")
    started = {key: pages.start_load(key) for key in (early, late, other)}
    await run_ready_tasks()
    port.set_result(early, Page(data=[run("run_1")]))
    assert [future.done() for future in started.values()] == [False, False, False]
    port.set_result(late, Page(data=[run("run_2")]))
    assert [future.done() for future in started.values()] == [True, True, False]
    port.set_result(other, Page(data=[]))
    await asyncio.gather(*started.values())


async def test_an_object_waits_for_pages_that_were_requested_earlier() -> None:
    port = ManualPort()
    single: list[list[RunKey]] = []
    pages, objects = make_loaders(port, single=single)
    pages.start_load(run_page("a"))
    pages.start_load(run_page("a", after="run_1"))
    await run_ready_tasks()
    found, missing, elsewhere = (
        objects.start_load(RunKey(*key)) for key in (("a", "run_2"), ("a", "run_3"), ("b", "run_1"))
    )
    await run_ready_tasks()
    assert single == [[RunKey("b", "run_1")]]
    port.set_result(run_page("a"), Page(data=[run("run_1")]))
    await run_ready_tasks()
    assert not found.done()
    port.set_result(run_page("a", after="run_1"), Page(data=[run("run_2")]))
    assert (await found).id == "run_2"
    await asyncio.gather(missing, elsewhere)
    assert single[1:] == [[RunKey("a", "run_3")]]


async def test_an_object_does_not_wait_for_a_page_that_is_requested_with_it() -> None:
    port = ManualPort()
    single: list[list[RunKey]] = []
    pages, objects = make_loaders(port, single=single)
    page = pages.start_load(run_page("a"))
    run_1 = objects.start_load(RunKey("a", "run_1"))
    await run_1
    assert single == [[RunKey("a", "run_1")]]
    port.set_result(run_page("a"), Page(data=[run("run_1")]))
    await page


async def test_an_object_is_loaded_if_the_page_that_may_hold_it_fails() -> None:
    port = ManualPort()
    single: list[list[RunKey]] = []
    pages, objects = make_loaders(port, single=single)
    page = pages.start_load(run_page("a"))
    await run_ready_tasks()
    run_1 = objects.start_load(RunKey("a", "run_1"))
    port.set_result(run_page("a"), GatewayError(ErrorCode.UPSTREAM_FAILED, "Down."))
    assert (await run_1).id == "run_1"
    assert isinstance(page.exception(), GatewayError)


async def test_pages_of_only_one_thread_need_no_callback() -> None:
    port = ManualPort()
    pages, _ = make_loaders(port)
    early, late = pages.start_load(run_page("a")), pages.start_load(run_page("a", after="run_1"))
    await run_ready_tasks()
    assert port.on_result is None
    port.set_result(run_page("a"), Page(data=[]))
    port.set_result(run_page("a", after="run_1"), Page(data=[]))
    await asyncio.gather(early, late)


async def test_a_page_that_arrives_after_the_operation_has_ended_is_ignored() -> None:
    port, batches = ManualPort(), BatchRunner(60)
    pages, _ = make_loaders(port, batches)
    started = [pages.start_load(run_page(thread_id)) for thread_id in "ab"]
    await run_ready_tasks()
    await batches.aclose()
    await run_ready_tasks()
    port.set_result(run_page("a"), Page(data=[]))
    for future in started:
        with pytest.raises(GatewayError, match="ended before this was loaded"):
            await future

"""Pages are given out thread by thread, as they come."""

import asyncio
from collections.abc import Sequence

import pytest

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.paging import Window
from schema.contract.ports import OnResult, Results, RunPageKey
from schema.contract.wire import Page, RunObject
from schema.engine.batches import BatchRunner
from schema.engine.loaders import ObjectLoader, PageLoader
from tests.schema.builders import ticks
from tests.support.wire_samples import run

REFUSED = GatewayError(ErrorCode.FORBIDDEN, "No.")


class ByHand:
    """A port function whose answers a test gives one by one."""

    def __init__(self) -> None:
        self.batches: list[list[RunPageKey]] = []
        self.on_result: OnResult[RunPageKey, Page[RunObject]] | None = None
        self._answers: dict[RunPageKey, Page[RunObject] | GatewayError] = {}
        self._whole = asyncio.Event()

    async def __call__(
        self, keys: Sequence[RunPageKey], *, on_result: OnResult[RunPageKey, Page[RunObject]] | None = None
    ) -> Results[Page[RunObject]]:
        self.batches.append(list(keys))
        self.on_result = on_result
        await self._whole.wait()
        return [self._answers[key] for key in keys]

    def answer(self, key: RunPageKey, page: Page[RunObject] | GatewayError) -> None:
        self._answers[key] = page
        if self.on_result is not None:
            self.on_result(key, page)
        if set(self._answers) >= {key for keys in self.batches for key in keys}:
            self._whole.set()


def run_pages(
    by_hand: ByHand, batches: BatchRunner | None = None, *, single: list[list[RunKey]] | None = None
) -> tuple[PageLoader[RunPageKey, RunObject], ObjectLoader[RunKey, RunObject]]:
    """Loaders of runs; batches of single loads are noted in `single`, without which there may be none."""

    async def get_runs(keys: Sequence[RunKey]) -> Results[RunObject]:
        assert single is not None, "expected no single load"
        single.append(list(keys))
        return [run(key.run_id) for key in keys]

    batches = batches or BatchRunner(60)
    objects: ObjectLoader[RunKey, RunObject] = ObjectLoader(get_runs, batches)
    return PageLoader(by_hand, batches, objects, lambda page: (page.thread_id,)), objects


def run_page(thread_id: str, limit: int = 5, after: str | None = None) -> RunPageKey:
    return RunPageKey(thread_id, Window(limit, "asc", after))


async def test_the_page_of_one_thread_does_not_wait_for_that_of_another() -> None:
    by_hand = ByHand()
    pages, runs = run_pages(by_hand)
    slow, short, quick, refused = run_page("a"), run_page("b", 1), run_page("b"), run_page("c")
    started = {key: pages.start_load(key) for key in (slow, short, quick, refused)}
    await ticks()
    assert by_hand.batches == [[slow, quick, refused]]
    held_when_here: list[object] = []
    started[quick].add_done_callback(lambda _: held_when_here.append(runs.peek(RunKey("b", "run_2"))))
    listed = Page(data=[run("run_1"), run("run_2")])
    by_hand.answer(quick, listed)
    by_hand.answer(refused, REFUSED)
    assert [started[key].done() for key in (slow, short, quick, refused)] == [False, True, True, True]
    assert started[quick].result() is listed
    assert [one.id for one in started[short].result().data] == ["run_1"]
    assert isinstance(started[refused].exception(), GatewayError)
    assert pages.peek(quick) is listed
    await ticks()
    assert held_when_here == [listed.data[1]]
    by_hand.answer(slow, Page(data=[]))
    assert (await pages.load(slow)).data == []
    assert await pages.load(quick) is listed


async def test_the_pages_of_one_thread_are_here_together() -> None:
    by_hand = ByHand()
    pages, _ = run_pages(by_hand)
    early, late, other = run_page("a"), run_page("a", after="run_1"), run_page("b")
    started = {key: pages.start_load(key) for key in (early, late, other)}
    await ticks()
    by_hand.answer(early, Page(data=[run("run_1")]))
    assert [future.done() for future in started.values()] == [False, False, False]
    by_hand.answer(late, Page(data=[run("run_2")]))
    assert [future.done() for future in started.values()] == [True, True, False]
    by_hand.answer(other, Page(data=[]))
    await asyncio.gather(*started.values())


async def test_an_object_waits_for_the_pages_that_were_asked_for_before() -> None:
    by_hand = ByHand()
    single: list[list[RunKey]] = []
    pages, objects = run_pages(by_hand, single=single)
    pages.start_load(run_page("a"))
    pages.start_load(run_page("a", after="run_1"))
    await ticks()
    found, missing, elsewhere = (
        objects.start_load(RunKey(*key)) for key in (("a", "run_2"), ("a", "run_3"), ("b", "run_1"))
    )
    await ticks()
    assert single == [[RunKey("b", "run_1")]]
    by_hand.answer(run_page("a"), Page(data=[run("run_1")]))
    await ticks()
    assert not found.done()
    by_hand.answer(run_page("a", after="run_1"), Page(data=[run("run_2")]))
    assert (await found).id == "run_2"
    await asyncio.gather(missing, elsewhere)
    assert single[1:] == [[RunKey("a", "run_3")]]


async def test_an_object_does_not_wait_for_a_page_that_is_asked_for_with_it() -> None:
    by_hand = ByHand()
    single: list[list[RunKey]] = []
    pages, objects = run_pages(by_hand, single=single)
    page = pages.start_load(run_page("a"))
    run_1 = objects.start_load(RunKey("a", "run_1"))
    await run_1
    assert single == [[RunKey("a", "run_1")]]
    by_hand.answer(run_page("a"), Page(data=[run("run_1")]))
    await page


async def test_an_object_is_loaded_where_the_page_that_may_hold_it_fails() -> None:
    by_hand = ByHand()
    single: list[list[RunKey]] = []
    pages, objects = run_pages(by_hand, single=single)
    page = pages.start_load(run_page("a"))
    await ticks()
    run_1 = objects.start_load(RunKey("a", "run_1"))
    by_hand.answer(run_page("a"), GatewayError(ErrorCode.UPSTREAM_FAILED, "Down."))
    assert (await run_1).id == "run_1"
    assert isinstance(page.exception(), GatewayError)


async def test_one_threads_pages_alone_need_not_land() -> None:
    by_hand = ByHand()
    pages, _ = run_pages(by_hand)
    early, late = pages.start_load(run_page("a")), pages.start_load(run_page("a", after="run_1"))
    await ticks()
    assert by_hand.on_result is None
    by_hand.answer(run_page("a"), Page(data=[]))
    by_hand.answer(run_page("a", after="run_1"), Page(data=[]))
    await asyncio.gather(early, late)


async def test_a_page_that_lands_after_its_operation_has_ended_changes_nothing() -> None:
    by_hand, batches = ByHand(), BatchRunner(60)
    pages, _ = run_pages(by_hand, batches)
    started = [pages.start_load(run_page(thread_id)) for thread_id in "ab"]
    await ticks()
    await batches.aclose()
    await ticks()
    by_hand.answer(run_page("a"), Page(data=[]))
    for future in started:
        with pytest.raises(GatewayError, match="ended before this was loaded"):
            await future

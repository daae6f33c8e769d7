import pytest

from gateway.cache.keeping import Keeper
from gateway.cache.names import place_of
from gateway.cache.pages import objects_of
from gateway.cache.wishes import Wish
from schema.keys import RunKey
from schema.ports import MessagePageKey, RunPageKey
from schema.wire import Page
from tests.gateway.cache.processes import processes
from tests.gateway.cache.upstream import ACTIVE, ENDED, OPEN, PAGE_KEYS, THREAD, T, Upstream, cached, read
from tests.support.fake_threads_api import Key
from tests.support.wire_samples import run, thread


@pytest.mark.parametrize("page_key", PAGE_KEYS, ids=repr)
async def test_a_page_holds_its_objects_ready_each_as_long_as_its_own_state_allows(page_key: Key) -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        (page,) = await read(cached(upstream, shared), page_key)
        await shared.settled()
        upstream.calls.clear()
        objects = [(key, one) for key, one in objects_of(page_key, page) if key != ACTIVE]
        assert objects
        for key, one in objects:
            assert repr(await read(cached(upstream, shared), key))[:60] == repr([one])[:60]
        assert upstream.calls == []
        if isinstance(page_key, RunPageKey):
            await read(cached(upstream, shared), ACTIVE)
            assert len(upstream.calls) == 1


async def test_objects_do_not_keep_the_text_of_their_page_alive() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        (page,) = await read(cached(upstream, shared), MessagePageKey(T, None, OPEN))
        await shared.settled()
        for key, one in objects_of(MessagePageKey(T, None, OPEN), page):
            held = shared.memory.get("ann", place_of(key))
            assert held is not None
            assert held.value == one
            assert held.value is not one


async def test_a_page_of_runs_tells_which_are_over() -> None:
    async with processes(1, None) as (shared,):
        keeper = Keeper(shared, "ann")
        keeper.learn(RunPageKey(T, OPEN), Page([run("run_1"), run("run_2", status="queued")]))
        keeper.learn(RunKey(T, "run_3"), run("run_3", status="failed"))
        moment = shared.ended_runs.begin_read()
        over = [shared.ended_runs.was_over("ann", RunKey(T, f"run_{number}"), moment) for number in (1, 2, 3)]
        assert over == [True, False, True]


@pytest.mark.parametrize(("hand_over", "shares"), [(True, True), (False, False)])
async def test_what_may_not_be_kept_is_only_handed_over(hand_over: bool, shares: bool) -> None:
    async with processes(1, None) as (shared,):
        wish = Wish.of(ACTIVE)
        wish.versions = dict.fromkeys(wish.tags, "v1")
        kept = Keeper(shared, "ann").keep(wish, run(status="queued"), 1, hand_over=hand_over)
        assert (kept is not None) is shares
        assert kept is None or kept.ttl_seconds == 0
        assert len(shared.memory) == 0


async def test_nothing_is_kept_that_was_read_while_its_tags_were_being_written() -> None:
    async with processes(1, None) as (shared,):
        keeper = Keeper(shared, "ann")
        for key, value in ((THREAD, thread()), (ENDED, run())):
            wish = Wish.of(key)
            wish.versions = dict.fromkeys(wish.tags, "w1")
            assert keeper.keep(wish, value, 1, hand_over=False) is None
        page = Wish.of(RunPageKey(T, OPEN))
        page.versions = dict.fromkeys(page.tags, "w1")
        keeper.prime(page, Page([run()]), 1)
        assert len(shared.memory) == 0

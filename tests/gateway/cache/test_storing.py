import pytest

from gateway.cache.cache_keys import to_cache_key
from gateway.cache.cache_lookup import CacheLookup
from gateway.cache.ended_runs import EndedRuns
from gateway.cache.storing import ResultStorer
from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey
from schema.contract.paging import Window
from schema.contract.ports import MessagePageKey, RunPageKey
from schema.contract.wire import Page
from tests.gateway.cache.processes import Clock, processes
from tests.gateway.cache.upstream import (
    ACTIVE,
    ANSWER,
    ENDED,
    OPEN,
    PAGE_KEYS,
    THREAD,
    USER_MESSAGE,
    T,
    Upstream,
    cached,
    object_key,
    read,
)
from tests.support.fake_threads_api import Key
from tests.support.wire_samples import run, thread


@pytest.mark.parametrize("page_key", PAGE_KEYS, ids=repr)
async def test_a_page_holds_its_objects_ready_each_as_long_as_its_own_state_allows(page_key: Key) -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        (page,) = await read(cached(upstream, shared), page_key)
        await shared.settled()
        upstream.calls.clear()
        objects = [(key, one) for one in page.data if (key := object_key(page_key, one.id)) != ACTIVE]
        assert objects
        for key, one in objects:
            assert repr(await read(cached(upstream, shared), key))[:60] == repr([one])[:60]
        assert upstream.calls == []
        if isinstance(page_key, RunPageKey):
            await read(cached(upstream, shared), ACTIVE)
            assert len(upstream.calls) == 1


async def test_an_object_is_taken_out_of_its_page_once_and_does_not_keep_the_pages_text_alive() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        (page,) = await read(cached(upstream, shared), MessagePageKey(T, None, OPEN))
        await shared.settled()
        for one in page.data:
            key = object_key(MessagePageKey(T, None, OPEN), one.id)
            assert shared.memory.get("ann", to_cache_key(key)) is None
            (first,) = await read(cached(upstream, shared), key)
            assert first == one
            assert first is not one
            assert (await read(cached(upstream, shared), key))[0] is first


async def test_an_object_is_what_the_latest_page_says_and_lives_from_when_that_was_read() -> None:
    upstream, clock = Upstream(), Clock()
    ended = RunPageKey(T, Window(1, "asc"))
    async with processes(1, None, clock) as (shared,):

        async def owner() -> str:
            ((found,),) = [await read(cached(upstream, shared), ENDED)]
            return str(found.metadata["owner"])

        await read(cached(upstream, shared), ENDED)
        upstream.runs[ENDED] = run("run_1", metadata={"owner": "behind"})
        clock.now += 400
        assert await owner() == "anybody"
        await read(cached(upstream, shared), ended)
        await shared.settled()
        clock.now += 400
        assert await owner() == "behind"
        upstream.runs[ENDED] = run("run_1", metadata={"owner": "later"})
        clock.now += 199
        assert await owner() == "behind"
        clock.now += 1
        assert await owner() == "later"


async def test_an_object_of_a_page_that_had_to_leave_is_asked_for() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        await read(cached(upstream, shared), RunPageKey(T, OPEN))
        await shared.settled()
        (held,) = shared.pages.of("ann", ENDED, 0)
        shared.memory.drop("ann", held.place)
        await read(cached(upstream, shared), ENDED)
        assert len(upstream.calls) == 2
        assert shared.pages.of("ann", ENDED, 0) == []


async def test_a_message_whose_run_is_no_longer_known_to_be_over_is_not_taken_out_of_its_settled_page() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        shared.ended_runs = EndedRuns(max_runs=1)
        await read(cached(upstream, shared), ENDED)
        await read(cached(upstream, shared), MessagePageKey(T, "run_1", OPEN))
        await shared.settled()
        shared.ended_runs.learn("bob", ENDED, "completed")
        upstream.calls.clear()
        asked = [USER_MESSAGE, ANSWER]
        assert await read(cached(upstream, shared), *asked) == [upstream.messages[key] for key in asked]
        assert len(upstream.calls) == 1


async def test_an_object_is_found_on_whichever_page_has_it_and_asked_for_when_none_has() -> None:
    upstream = Upstream()
    last, absent = RunKey(T, "run_3"), RunKey(T, "run_4")
    upstream.runs[last] = run("run_3", created_at=2_000)
    async with processes(1, None) as (shared,):
        for window in (Window(2, "asc"), Window(1, "desc")):
            await read(cached(upstream, shared), RunPageKey(T, window))
            await shared.settled()
        upstream.calls.clear()
        for _ in range(2):
            assert [found.id for found in await read(cached(upstream, shared), ENDED, last)] == ["run_1", "run_3"]
        assert upstream.calls == []
        assert isinstance((await read(cached(upstream, shared), absent))[0], GatewayError)
        assert len(upstream.calls) == 1
        assert shared.pages.of("ann", absent, 0) == []
        assert len(shared.pages) == 2


async def test_a_page_of_runs_tells_which_are_over() -> None:
    async with processes(1, None) as (shared,):
        keeper = ResultStorer(shared, "ann")
        keeper.learn(RunPageKey(T, OPEN), Page([run("run_1"), run("run_2", status="queued")]))
        keeper.learn(RunKey(T, "run_3"), run("run_3", status="failed"))
        moment = shared.ended_runs.begin_read()
        over = [shared.ended_runs.was_over("ann", RunKey(T, f"run_{number}"), moment) for number in (1, 2, 3)]
        assert over == [True, False, True]


@pytest.mark.parametrize(("hand_over", "shares"), [(True, True), (False, False)])
async def test_what_may_not_be_kept_is_only_handed_over(hand_over: bool, shares: bool) -> None:
    async with processes(1, None) as (shared,):
        wish = CacheLookup.of(ACTIVE)
        wish.versions = dict.fromkeys(wish.tags, "v1")
        kept = ResultStorer(shared, "ann").keep(wish, run(status="queued"), 1, hand_over=hand_over)
        assert (kept is not None) is shares
        assert kept is None or kept.ttl_seconds == 0
        assert len(shared.memory) == 0


async def test_nothing_is_kept_that_was_read_while_its_tags_were_being_written() -> None:
    async with processes(1, None) as (shared,):
        keeper = ResultStorer(shared, "ann")
        for key, value in ((THREAD, thread()), (ENDED, run())):
            wish = CacheLookup.of(key)
            wish.versions = dict.fromkeys(wish.tags, "w1")
            assert keeper.keep(wish, value, 1, hand_over=False) is None
        page = CacheLookup.of(RunPageKey(T, OPEN))
        page.versions = dict.fromkeys(page.tags, "w1")
        keeper.hold(page, Page([run()]), 1, None)
        assert len(shared.memory) == 0

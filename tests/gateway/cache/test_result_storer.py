import pytest

from gateway.cache.cache_keys import to_cache_key
from gateway.cache.cache_lookup import CacheLookup
from gateway.cache.ended_runs import EndedRuns
from gateway.cache.result_storer import ResultStorer
from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey
from schema.contract.kinds import Key, MessagePageKey, RunPageKey
from schema.contract.paging import Window
from schema.contract.wire import Page
from tests.gateway.cache.processes import Clock, processes
from tests.gateway.cache.upstream import (
    ACTIVE,
    ASSISTANT_MESSAGE,
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
from tests.support.wire_samples import run, thread


@pytest.mark.parametrize("page_key", PAGE_KEYS, ids=repr)
async def test_the_objects_of_a_page_need_no_call_if_their_own_state_allows_it(page_key: Key) -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        (page,) = await read(cached(upstream, shared), page_key)
        await shared.wait_until_idle()
        upstream.calls.clear()
        objects = [(key, item) for item in page.data if (key := object_key(page_key, item.id)) != ACTIVE]
        assert objects
        for key, item in objects:
            assert repr(await read(cached(upstream, shared), key))[:60] == repr([item])[:60]
        assert upstream.calls == []
        if isinstance(page_key, RunPageKey):
            await read(cached(upstream, shared), ACTIVE)
            assert len(upstream.calls) == 1


async def test_an_object_is_taken_from_its_page_once_as_a_copy_without_the_pages_text() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        (page,) = await read(cached(upstream, shared), MessagePageKey(T, None, OPEN))
        await shared.wait_until_idle()
        for item in page.data:
            key = object_key(MessagePageKey(T, None, OPEN), item.id)
            assert shared.memory.get_entry("ann", to_cache_key(key)) is None
            (first,) = await read(cached(upstream, shared), key)
            assert first == item
            assert first is not item
            assert (await read(cached(upstream, shared), key))[0] is first


async def test_an_object_comes_from_the_latest_page_and_its_lifetime_starts_when_that_was_read() -> None:
    upstream, clock = Upstream(), Clock()
    ended = RunPageKey(T, Window(1, "asc"))
    async with processes(1, None, clock) as (shared,):

        async def owner() -> str:
            ((found,),) = [await read(cached(upstream, shared), ENDED)]
            return str(found.metadata["owner"])

        await read(cached(upstream, shared), ENDED)
        upstream.runs[ENDED] = run("run_1", metadata={"owner": "second"})
        clock.now += 400
        assert await owner() == "anybody"
        await read(cached(upstream, shared), ended)
        await shared.wait_until_idle()
        clock.now += 400
        assert await owner() == "second"
        upstream.runs[ENDED] = run("run_1", metadata={"owner": "third"})
        clock.now += 199
        assert await owner() == "second"
        clock.now += 1
        assert await owner() == "third"


async def test_an_object_of_an_evicted_page_is_fetched() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        await read(cached(upstream, shared), RunPageKey(T, OPEN))
        await shared.wait_until_idle()
        (indexed,) = shared.page_index.find_pages("ann", ENDED, 0)
        shared.memory.remove_entry("ann", indexed.cache_key)
        await read(cached(upstream, shared), ENDED)
        assert len(upstream.calls) == 2
        assert shared.page_index.find_pages("ann", ENDED, 0) == []


async def test_a_message_is_not_taken_from_its_settled_page_after_its_run_was_evicted_from_ended_runs() -> None:
    upstream = Upstream()
    async with processes(1, None) as (shared,):
        shared.ended_runs = EndedRuns(max_runs=1)
        await read(cached(upstream, shared), ENDED)
        await read(cached(upstream, shared), MessagePageKey(T, "run_1", OPEN))
        await shared.wait_until_idle()
        shared.ended_runs.record_status("bob", ENDED, "completed")
        upstream.calls.clear()
        keys = [USER_MESSAGE, ASSISTANT_MESSAGE]
        assert await read(cached(upstream, shared), *keys) == [upstream.messages[key] for key in keys]
        assert len(upstream.calls) == 1


async def test_an_object_is_found_on_any_page_of_its_list_and_fetched_if_it_is_on_none() -> None:
    upstream = Upstream()
    last, absent = RunKey(T, "run_3"), RunKey(T, "run_4")
    upstream.runs[last] = run("run_3", created_at=2_000)
    async with processes(1, None) as (shared,):
        for window in (Window(2, "asc"), Window(1, "desc")):
            await read(cached(upstream, shared), RunPageKey(T, window))
            await shared.wait_until_idle()
        upstream.calls.clear()
        for _ in range(2):
            assert [found.id for found in await read(cached(upstream, shared), ENDED, last)] == ["run_1", "run_3"]
        assert upstream.calls == []
        assert isinstance((await read(cached(upstream, shared), absent))[0], GatewayError)
        assert len(upstream.calls) == 1
        assert shared.page_index.find_pages("ann", absent, 0) == []
        assert len(shared.page_index) == 2


async def test_ended_runs_are_recorded_from_runs_and_pages_of_runs() -> None:
    async with processes(1, None) as (shared,):
        storer = ResultStorer(shared, "ann")
        storer.record_ended_runs(RunPageKey(T, OPEN), Page([run("run_1"), run("run_2", status="queued")]))
        storer.record_ended_runs(RunKey(T, "run_3"), run("run_3", status="failed"))
        read_number = shared.ended_runs.begin_read()
        ended = [shared.ended_runs.ended_before("ann", RunKey(T, f"run_{number}"), read_number) for number in (1, 2, 3)]
        assert ended == [True, False, True]


async def test_the_result_of_a_run_that_goes_on_is_not_stored() -> None:
    async with processes(1, None) as (shared,):
        lookup = CacheLookup.for_key(ACTIVE)
        lookup.versions = dict.fromkeys(lookup.tags, "v1")
        assert ResultStorer(shared, "ann").store_result(lookup, run(status="queued"), 1) is None
        assert len(shared.memory) == 0


async def test_a_result_read_while_its_tags_were_being_written_is_not_stored() -> None:
    async with processes(1, None) as (shared,):
        storer = ResultStorer(shared, "ann")
        for key, value in ((THREAD, thread()), (ENDED, run())):
            lookup = CacheLookup.for_key(key)
            lookup.versions = dict.fromkeys(lookup.tags, "w1")
            assert storer.store_result(lookup, value, 1) is None
        page = CacheLookup.for_key(RunPageKey(T, OPEN))
        page.versions = dict.fromkeys(page.tags, "w1")
        storer.index_page(page, Page([run()]), 1, None)
        assert len(shared.memory) == 0

"""The loaders of what the gateway keeps: one batch, one read of each list, and the marked error of a database away."""

import asyncio
import gc

import pytest

from schema.contract.errors import ErrorCode, GatewayError, RecordsUnavailableError
from schema.contract.keys import ThreadKey
from schema.contract.thread_records import KeysetWindow, RecordFilter, RecordOrder, TokenUsage
from schema.engine.batches import BatchRunner
from schema.engine.viewer_loaders import MAX_READS, RecordPageKey, UsageKey, ViewerLoaders, WaitingRunPageKey
from tests.schema.builders import execute, paths_and_codes
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.fake_viewer_api import LEDGER_AWAY, FakeViewerApi

THREADS = [ThreadKey("thread_1"), ThreadKey("thread_2")]
PAGE = RecordPageKey(RecordFilter(), RecordOrder.CREATED, KeysetWindow(5))


def loaders_over(viewer: FakeViewerApi) -> ViewerLoaders:
    return ViewerLoaders(viewer, BatchRunner(60.0))


async def test_records_come_in_one_batch_and_are_remembered() -> None:
    viewer = FakeViewerApi()
    viewer.add("thread_1", 1)
    loaders = loaders_over(viewer)
    loads = [loaders.records.start_load(key) for key in (*THREADS, *THREADS)]
    assert [await load for load in loads] == [viewer.records["thread_1"], None] * 2
    assert viewer.calls == [("get_records", THREADS)]
    await loaders.make_fresh().records.load(THREADS[0])
    assert len(viewer.calls) == 2


async def test_each_list_and_sum_is_read_once() -> None:
    viewer = FakeViewerApi(ended=[(1, TokenUsage(1, 1, 2))])
    viewer.add("thread_1", 1)
    loaders = loaders_over(viewer)
    for _ in range(2):
        assert (await loaders.record_pages.load(PAGE)).items == [viewer.records["thread_1"]]
        assert (await loaders.waiting_run_pages.load(WaitingRunPageKey(KeysetWindow(5)))).items == []
        assert (await loaders.usage.load(UsageKey(None, None))).total_tokens == 2
        assert await loaders.rate_limits.load(()) is None
    assert len(viewer.calls) == 4


async def test_a_database_that_is_away_is_marked_whether_the_error_is_raised_or_returned() -> None:
    class Raising(FakeViewerApi):
        async def get_records(self, keys: object) -> list[None]:
            raise LEDGER_AWAY

    for viewer in (FakeViewerApi(is_away=True), Raising(is_away=True)):
        loaders = loaders_over(viewer)
        for load in (loaders.records.load(THREADS[0]), loaders.record_pages.load(PAGE)):
            with pytest.raises(RecordsUnavailableError) as away:
                await load
            assert (away.value.extensions, away.value.message) == (LEDGER_AWAY.extensions, LEDGER_AWAY.message)


async def test_every_other_error_stays_as_it_is() -> None:
    other = GatewayError(ErrorCode.FORBIDDEN, "No.")

    class Refusing(FakeViewerApi):
        async def get_usage(self, since_ms: int | None, until_ms: int | None) -> TokenUsage:
            raise other

    with pytest.raises(GatewayError) as refused:
        await loaders_over(Refusing()).usage.load(UsageKey(None, None))
    assert refused.value is other


async def test_an_operation_reads_only_so_many_different_lists() -> None:
    viewer = FakeViewerApi()
    same = " ".join(f"s{number}: threads(first: 1) {{ pageInfo {{ endCursor }} }}" for number in range(MAX_READS))
    other = " ".join(
        f'o{number}: threads(first: 1, filter: {{ text: "{number}" }}) {{ pageInfo {{ endCursor }} }}'
        for number in range(MAX_READS)
    )
    result = await execute(FakeThreadsApi(), f"{{ viewer {{ {same} {other} }} }}", viewer=viewer)
    assert len(viewer.called("list_records")) == MAX_READS
    ((path, code),) = paths_and_codes(result)
    assert (path, code) == (["viewer", f"o{MAX_READS - 1}"], "TOO_EXPENSIVE")


async def test_a_load_that_is_abandoned_at_any_moment_leaves_no_coroutine_that_never_began() -> None:
    query = """{ viewer {
        threads(first: 1) { pageInfo { endCursor } }
        waitingRuns(first: 1) { pageInfo { endCursor } }
        usage { totalTokens }
        rateLimit { resetsAt }
    } }"""
    abandoned = 0
    for turns in range(40):
        executing = asyncio.create_task(execute(FakeThreadsApi(), query, viewer=FakeViewerApi()))
        for _ in range(turns):
            await asyncio.sleep(0)
        executing.cancel()
        await asyncio.wait([executing])
        abandoned += executing.cancelled()
    gc.collect()  # the warning of a coroutine that was never awaited fails this test
    assert abandoned > 5

"""Tests that the calls of a poller are taken from its caller's limit, and refused once it has none left."""

import asyncio
from collections import Counter

import pytest

from gateway.rate_limits.limit_kinds import LimitKind
from gateway.rate_limits.metered_threads_api import MeteredReplayApi, MeteredThreadsApi
from schema.contract.cost import Cost
from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import RUNS, RunPageKey
from schema.contract.paging import Window
from schema.contract.ports import RunReplay, ThreadsApi
from schema.contract.rate_limits import RateLimitedError
from schema.contract.run_streams import RunStream
from schema.contract.wire import RunObject
from tests.gateway.rate_limits.limit_world import ANN, LimitWorld
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import run, thread

KEY = RunKey("thread_1", "run_1")
PAGE = RunPageKey("thread_1", Window(10, "desc", None))


def metered(world: LimitWorld) -> tuple[ThreadsApi, FakeThreadsApi]:
    inner = FakeThreadsApi(threads={ThreadKey("thread_1"): thread()}, runs={KEY: run()})
    return world.limits.meter(ANN, inner), inner


async def test_calls_are_taken_until_none_is_left_and_then_refused_as_values() -> None:
    world = LimitWorld(calls=3)
    api, inner = metered(world)
    for _ in range(2):
        (result,) = await api.get(RUNS, [KEY])
        assert isinstance(result, RunObject)
    assert (await world.state()).calls_remaining == 3 - inner.cost.upstream_calls
    await world.limits.charge(ANN, Counter({LimitKind.CALLS: 5}))
    results = [*await api.get(RUNS, [KEY, KEY]), *await api.list(RUNS, [PAGE])]
    assert [isinstance(result, RateLimitedError) for result in results] == [True] * 3
    assert all(isinstance(result, GatewayError) and result.retry_after_ms for result in results)


async def test_reads_at_the_same_time_give_back_together_what_they_did_not_send() -> None:
    world = LimitWorld(calls=20)
    api, inner = metered(world)
    await asyncio.gather(api.get(RUNS, [KEY, RunKey("thread_1", "run_2")]), api.list(RUNS, [PAGE]))
    assert (await world.state()).calls_remaining == 20 - inner.cost.upstream_calls


async def test_without_limits_for_the_caller_the_port_is_as_it_was() -> None:
    inner = FakeThreadsApi(threads={ThreadKey("thread_1"): thread()}, runs={KEY: run()})
    api = MeteredThreadsApi(inner, lambda: None)
    assert await api.get(RUNS, [KEY]) == await inner.get(RUNS, [KEY])
    assert (api.cost, api.capabilities) == (inner.cost, inner.capabilities)
    assert isinstance(api.cost, Cost)


class ReplayingApi(FakeThreadsApi):
    """An upstream that has no stream to open, and says so at once."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[tuple[RunKey, str | None]] = []

    async def open_stream(self, key: RunKey, after: str | None) -> RunStream | None:
        self.opened.append((key, after))
        return None


async def test_a_stream_that_is_opened_counts_as_one_call_and_is_refused_once_none_is_left() -> None:
    world, inner = LimitWorld(calls=1), ReplayingApi()
    api = world.limits.meter(ANN, inner)
    assert isinstance(api, RunReplay)
    assert await api.open_stream(KEY, "resp_1:4") is None
    assert inner.opened == [(KEY, "resp_1:4")]
    assert (await world.state()).calls_remaining == 0
    with pytest.raises(RateLimitedError):
        await api.open_stream(KEY, None)
    assert len(inner.opened) == 1


async def test_a_port_without_streams_to_open_gets_none_by_being_metered() -> None:
    world = LimitWorld(calls=1)
    assert not isinstance(metered(world)[0], RunReplay)
    unmetered = MeteredReplayApi(ReplayingApi(), lambda: None)
    assert await unmetered.open_stream(KEY, None) is None

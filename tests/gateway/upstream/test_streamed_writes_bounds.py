"""Streams have bounds: places of their own, a deadline for the run, and an owner where their caller has left."""

import asyncio
import logging

import pytest

from gateway.upstream.retry import MAY_HAVE_TAKEN_PLACE
from gateway.upstream.threads_api_client import BoundThreadsApi, UpstreamClient
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_streams import RunStream
from schema.contract.wire import RunObject, ThreadObject
from tests.support.scripted_upstream import SILENCE, Answer, Request, ScriptedUpstream, answer, stream
from tests.support.upstream_client import (
    CREDENTIAL,
    LAST_EVENT,
    RUN_OBJECT,
    T1,
    ClientMaker,
    Taker,
    create_run,
    run_event,
)

WHOLE = stream(run_event("queued"), run_event("in_progress"), run_event("completed"), LAST_EVENT)


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
async def client(make_client: ClientMaker) -> UpstreamClient:
    return make_client(max_streams=1)


@pytest.fixture
async def api(client: UpstreamClient, taker: Taker) -> BoundThreadsApi:
    return client.bind(CREDENTIAL, taker)


def free(client: UpstreamClient) -> bool:
    return not client.stream_slots.locked()


async def test_a_run_that_no_stream_tells_of_within_the_deadline_is_late(
    make_client: ClientMaker, upstream: ScriptedUpstream, taker: Taker
) -> None:
    client = make_client(timeout_seconds=0.1)
    for silent in (SILENCE, stream(then="hang", whole=False), stream(b": hello\n\n", then="hang", whole=False)):
        upstream.plan(silent)
        with pytest.raises(GatewayError) as caught:
            await create_run(client.bind(CREDENTIAL, taker))
        assert (caught.value.code, caught.value.retryable) == (ErrorCode.UPSTREAM_TIMEOUT, False)
        assert caught.value.message.endswith(MAY_HAVE_TAKEN_PLACE)
    await taker.finished()
    assert len(taker.streams) == 1
    assert taker.failure is not None
    assert client.stream_slots._value == client.options.max_streams


async def test_with_all_places_taken_a_run_is_created_without_a_stream(
    client: UpstreamClient, api: BoundThreadsApi, upstream: ScriptedUpstream, taker: Taker
) -> None:
    more = asyncio.Event()
    upstream.plan(stream(run_event("queued"), more, run_event("completed"), LAST_EVENT), answer(200, RUN_OBJECT), WHOLE)
    await create_run(api)
    await create_run(api)
    more.set()
    await taker.finished()
    await create_run(api)
    assert ["stream" in request.json for request in upstream.requests] == [True, False, True]
    await taker.finished()


async def test_streams_keep_no_read_waiting(make_client: ClientMaker, upstream: ScriptedUpstream, taker: Taker) -> None:
    client = make_client(pool_size=1, max_concurrency_per_operation=1, max_concurrency_per_principal=1, max_streams=3)
    more = asyncio.Event()
    upstream.plan(*[stream(run_event("queued"), more, run_event("completed"))] * 3)
    api = client.bind(CREDENTIAL, taker)
    for _ in range(3):
        await create_run(api)
    (thread,) = await api.get_threads([T1])
    assert isinstance(thread, ThreadObject)
    more.set()
    await taker.finished()


async def test_a_caller_who_leaves_once_it_is_sent_leaves_the_run_and_its_stream(
    client: UpstreamClient, api: BoundThreadsApi, upstream: ScriptedUpstream, taker: Taker
) -> None:
    asked, more = asyncio.Event(), asyncio.Event()

    def note(_: Request) -> Answer:
        asked.set()
        return Answer(b"", later=(more, WHOLE.sent, *WHOLE.later))

    upstream.plan(note)
    writing = asyncio.ensure_future(create_run(api))
    await asked.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    more.set()
    async with asyncio.timeout(20):
        while not taker.streams:  # noqa: ASYNC110 - its arrival is what is tested
            await asyncio.sleep(0)
    await taker.finished()
    assert len(taker.events) == 4
    assert taker.failure is None
    assert free(client)


async def test_a_caller_who_leaves_before_it_is_sent_leaves_nothing(
    make_client: ClientMaker, upstream: ScriptedUpstream, taker: Taker
) -> None:
    asked, client = asyncio.Event(), make_client(max_concurrency_per_principal=1)

    def note(_: Request) -> Answer:
        asked.set()
        return SILENCE

    upstream.plan(note)
    reading = asyncio.ensure_future(_read(client.bind(CREDENTIAL)))
    await asked.wait()
    writing = asyncio.ensure_future(create_run(client.bind(CREDENTIAL, taker)))
    await asyncio.sleep(0)
    writing.cancel()
    reading.cancel()
    await asyncio.gather(writing, reading, return_exceptions=True)
    assert writing.cancelled()
    await _read(client.bind(CREDENTIAL))
    assert [request.method for request in upstream.requests] == ["GET", "GET"]
    assert free(client)


async def _read(api: BoundThreadsApi) -> None:
    await api.get_threads([T1])


async def test_a_client_that_closes_ends_the_writes_under_way(
    client: UpstreamClient, api: BoundThreadsApi, upstream: ScriptedUpstream
) -> None:
    asked = asyncio.Event()

    def note(_: Request) -> Answer:
        asked.set()
        return SILENCE

    upstream.plan(note)
    writing = asyncio.ensure_future(create_run(api))
    await asked.wait()
    await client.close()
    with pytest.raises(GatewayError, match=MAY_HAVE_TAKEN_PLACE) as caught:
        await writing
    assert (caught.value.code, caught.value.retryable) == (ErrorCode.GATEWAY_STOPPING, False)


async def test_a_client_that_closes_cuts_the_streams(
    client: UpstreamClient, api: BoundThreadsApi, upstream: ScriptedUpstream, taker: Taker
) -> None:
    upstream.plan(stream(run_event("queued"), then="hang", whole=False))
    await create_run(api)
    await client.close()
    await taker.finished()
    assert taker.failure is not None


async def test_a_taker_with_a_fault_of_its_own_does_not_keep_the_stream(
    client: UpstreamClient, upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    async def take(_: RunStream) -> RunObject:
        raise ZeroDivisionError

    upstream.plan(WHOLE)
    with caplog.at_level(logging.ERROR), pytest.raises(GatewayError) as caught:
        await create_run(client.bind(CREDENTIAL, take))
    assert caught.value.code is ErrorCode.INTERNAL
    assert "createRun failed unexpectedly" in caplog.text
    assert free(client)

"""Tests the bounds of streams: slots, a deadline for the run, and recording that outlives a cancelled caller."""

import asyncio
import logging

import pytest

from gateway.upstream.retry import MAY_HAVE_TAKEN_PLACE
from gateway.upstream.threads_api_client import BoundThreadsApi, UpstreamClient
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.kinds import THREADS
from schema.contract.run_streams import RunStream
from schema.contract.wire import RunObject, ThreadObject
from tests.support.scripted_upstream import (
    SILENCE,
    Request,
    ScriptedResponse,
    ScriptedUpstream,
    chunked_response,
    response,
)
from tests.support.upstream_client import (
    CREDENTIAL,
    LAST_EVENT,
    RUN_OBJECT,
    T1,
    ClientMaker,
    StreamRecorder,
    create_run,
    run_event,
)

WHOLE = chunked_response(run_event("queued"), run_event("in_progress"), run_event("completed"), LAST_EVENT)


@pytest.fixture
def recorder() -> StreamRecorder:
    return StreamRecorder()


@pytest.fixture
async def client(make_client: ClientMaker) -> UpstreamClient:
    return make_client(max_streams=1)


@pytest.fixture
async def api(client: UpstreamClient, recorder: StreamRecorder) -> BoundThreadsApi:
    return client.bind(CREDENTIAL, recorder)


def free(client: UpstreamClient) -> bool:
    return not client.stream_slots.locked()


async def test_a_stream_without_a_run_before_the_deadline_times_out(
    make_client: ClientMaker, upstream: ScriptedUpstream, recorder: StreamRecorder
) -> None:
    client = make_client(timeout_seconds=0.1)
    for silent in (
        SILENCE,
        chunked_response(then="hang", whole=False),
        chunked_response(b": hello\n\n", then="hang", whole=False),
    ):
        upstream.queue_responses(silent)
        with pytest.raises(GatewayError) as caught:
            await create_run(client.bind(CREDENTIAL, recorder))
        assert (caught.value.code, caught.value.retryable) == (ErrorCode.UPSTREAM_TIMEOUT, False)
        assert caught.value.message.endswith(MAY_HAVE_TAKEN_PLACE)
    await recorder.finished()
    assert len(recorder.streams) == 1
    assert recorder.failure is not None
    assert client.stream_slots._value == client.options.max_streams


async def test_without_a_free_slot_a_run_is_created_without_a_stream(
    client: UpstreamClient, api: BoundThreadsApi, upstream: ScriptedUpstream, recorder: StreamRecorder
) -> None:
    more = asyncio.Event()
    upstream.queue_responses(
        chunked_response(run_event("queued"), more, run_event("completed"), LAST_EVENT),
        response(200, RUN_OBJECT),
        WHOLE,
    )
    await create_run(api)
    await create_run(api)
    more.set()
    await recorder.finished()
    await create_run(api)
    assert ["stream" in request.json for request in upstream.requests] == [True, False, True]
    await recorder.finished()


async def test_streams_do_not_block_reads(
    make_client: ClientMaker, upstream: ScriptedUpstream, recorder: StreamRecorder
) -> None:
    client = make_client(pool_size=1, max_concurrency_per_operation=1, max_concurrency_per_principal=1, max_streams=3)
    more = asyncio.Event()
    upstream.queue_responses(*[chunked_response(run_event("queued"), more, run_event("completed"))] * 3)
    api = client.bind(CREDENTIAL, recorder)
    for _ in range(3):
        await create_run(api)
    (thread,) = await api.get(THREADS, [T1])
    assert isinstance(thread, ThreadObject)
    more.set()
    await recorder.finished()


async def test_a_caller_cancelled_after_sending_leaves_the_stream_recorded(
    client: UpstreamClient, api: BoundThreadsApi, upstream: ScriptedUpstream, recorder: StreamRecorder
) -> None:
    requested, more = asyncio.Event(), asyncio.Event()

    def note(_: Request) -> ScriptedResponse:
        requested.set()
        return ScriptedResponse(b"", pieces=(more, WHOLE.data, *WHOLE.pieces))

    upstream.queue_responses(note)
    writing = asyncio.ensure_future(create_run(api))
    await requested.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    more.set()
    async with asyncio.timeout(20):
        while not recorder.streams:  # noqa: ASYNC110 - its arrival is what is tested
            await asyncio.sleep(0)
    await recorder.finished()
    assert len(recorder.events) == 4
    assert recorder.failure is None
    assert free(client)


async def test_a_caller_cancelled_before_sending_leaves_nothing(
    make_client: ClientMaker, upstream: ScriptedUpstream, recorder: StreamRecorder
) -> None:
    requested, client = asyncio.Event(), make_client(max_concurrency_per_principal=1)

    def note(_: Request) -> ScriptedResponse:
        requested.set()
        return SILENCE

    upstream.queue_responses(note)
    reading = asyncio.ensure_future(_read(client.bind(CREDENTIAL)))
    await requested.wait()
    writing = asyncio.ensure_future(create_run(client.bind(CREDENTIAL, recorder)))
    await asyncio.sleep(0)
    writing.cancel()
    reading.cancel()
    await asyncio.gather(writing, reading, return_exceptions=True)
    assert writing.cancelled()
    await _read(client.bind(CREDENTIAL))
    assert [request.method for request in upstream.requests] == ["GET", "GET"]
    assert free(client)


async def _read(api: BoundThreadsApi) -> None:
    await api.get(THREADS, [T1])


async def test_closing_the_client_ends_the_writes_in_flight(
    client: UpstreamClient, api: BoundThreadsApi, upstream: ScriptedUpstream
) -> None:
    requested = asyncio.Event()

    def note(_: Request) -> ScriptedResponse:
        requested.set()
        return SILENCE

    upstream.queue_responses(note)
    writing = asyncio.ensure_future(create_run(api))
    await requested.wait()
    await client.close()
    with pytest.raises(GatewayError, match=MAY_HAVE_TAKEN_PLACE) as caught:
        await writing
    assert (caught.value.code, caught.value.retryable) == (ErrorCode.GATEWAY_STOPPING, False)


async def test_closing_the_client_cuts_the_streams(
    client: UpstreamClient, api: BoundThreadsApi, upstream: ScriptedUpstream, recorder: StreamRecorder
) -> None:
    upstream.queue_responses(chunked_response(run_event("queued"), then="hang", whole=False))
    await create_run(api)
    await client.close()
    await recorder.finished()
    assert recorder.failure is not None


async def test_a_failing_recorder_does_not_keep_the_stream_open(
    client: UpstreamClient, upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    async def take(_: RunStream) -> RunObject:
        raise ZeroDivisionError

    upstream.queue_responses(WHOLE)
    with caplog.at_level(logging.ERROR), pytest.raises(GatewayError) as caught:
        await create_run(client.bind(CREDENTIAL, take))
    assert caught.value.code is ErrorCode.INTERNAL
    assert "createRun failed unexpectedly" in caplog.text
    assert free(client)

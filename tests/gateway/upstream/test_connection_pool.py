"""Tests that no caller can take all connections, and that the probe needs none of them."""

import asyncio
from typing import Any

import pytest

from gateway.upstream.threads_api_client import BoundThreadsApi
from schema.contract.bodies import ThreadBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.kinds import THREADS
from schema.contract.wire import ThreadObject
from schema.contract.writes import CREATE_THREAD
from tests.support.scripted_upstream import SILENCE, Request, ScriptedResponse, ScriptedUpstream, echo
from tests.support.upstream_client import T1, ClientMaker, StreamRecorder, create_run

KEYS = [ThreadKey(f"greedy_{number}") for number in range(5)]


def hang_for_greedy(request: Request) -> ScriptedResponse:
    return SILENCE if "greedy" in request.target or request.method == "POST" else echo(request)


async def start_reads(upstream: ScriptedUpstream, api: BoundThreadsApi, expected: int) -> asyncio.Task[object]:
    """Start reads that hang, and wait until the expected number of calls has arrived."""
    reading = asyncio.create_task(_read(api))
    await wait_for_requests(upstream, expected)
    return reading


async def wait_for_requests(upstream: ScriptedUpstream, expected: int) -> None:
    async with asyncio.timeout(20):
        while len(upstream.requests) < expected:  # noqa: ASYNC110 - their arrival is what is tested
            await asyncio.sleep(0)


async def _read(api: BoundThreadsApi) -> object:
    return await api.get(THREADS, KEYS)


async def end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("same_credential", [True, False])
async def test_callers_share_the_connections_whatever_their_credential(
    make_client: ClientMaker, upstream: ScriptedUpstream, *, same_credential: bool
) -> None:
    upstream.default_response = hang_for_greedy
    client = make_client(pool_size=6)
    credentials = ["Bearer one"] * 3 if same_credential else [f"Bearer {number}" for number in range(3)]
    greedy = [
        await start_reads(upstream, client.bind(credentials[0], caller="a"), 2),
        await start_reads(upstream, client.bind(credentials[1], caller="b"), 4),
    ]
    (thread,) = await client.bind(credentials[2], caller="c").get(THREADS, [T1])
    assert isinstance(thread, ThreadObject)
    assert len(upstream.requests) == 5
    await end(*greedy)


@pytest.mark.parametrize("credentials", [("Bearer one", "Bearer one"), ("Bearer one", "Bearer two")])
async def test_all_operations_of_one_caller_have_one_share(
    make_client: ClientMaker, upstream: ScriptedUpstream, credentials: tuple[str, str]
) -> None:
    upstream.default_response = hang_for_greedy
    client = make_client(pool_size=6)
    reading = await start_reads(upstream, client.bind(credentials[0], caller="a"), 2)
    again = asyncio.create_task(_read(client.bind(credentials[1], caller="a")))
    (thread,) = await client.bind(None, caller="b").get(THREADS, [T1])
    assert isinstance(thread, ThreadObject)
    assert len(upstream.requests) == 3
    await end(reading, again)


async def test_the_probe_needs_none_of_the_connections(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    upstream.default_response = hang_for_greedy
    client = make_client(pool_size=1)
    reading = await start_reads(upstream, client.bind("Bearer a"), 1)
    for _ in range(2):
        assert await client.ping() is None
    assert upstream.connections == 3, "an idle connection may be lost already"
    await end(reading)


async def test_writes_leave_half_of_a_callers_share_and_of_the_connections(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    upstream.default_response = hang_for_greedy
    client = make_client(pool_size=12, max_concurrency_per_principal=4)
    apis = [client.bind(None, caller=f"caller {number % 10}") for number in range(30)]
    writes: list[asyncio.Task[object]] = [asyncio.create_task(_create_thread(api)) for api in apis]
    await wait_for_requests(upstream, 6)
    (thread,) = await apis[0].get(THREADS, [T1])
    assert isinstance(thread, ThreadObject)
    assert len(upstream.requests) == 7
    await end(*writes)


async def test_a_write_that_never_gets_a_slot_is_not_sent_and_may_be_repeated(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    upstream.default_response = hang_for_greedy
    client = make_client(pool_size=2, timeout_seconds=0.2)
    results = await asyncio.gather(*(_create_thread(client.bind(None)) for _ in range(2)), return_exceptions=True)
    sent, unsent = results
    assert isinstance(sent, GatewayError)
    assert isinstance(unsent, GatewayError)
    assert (sent.code, sent.retryable) == (ErrorCode.UPSTREAM_TIMEOUT, False)
    assert (unsent.code, unsent.retryable) == (ErrorCode.UPSTREAM_TIMEOUT, True)
    assert unsent.message == "Expected an answer of the upstream within 0.1 s, got none."
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("records", [True, False])
async def test_one_waiting_write_too_many_is_refused_before_it_is_sent(
    make_client: ClientMaker, upstream: ScriptedUpstream, *, records: bool
) -> None:
    upstream.default_response = hang_for_greedy
    client = make_client(pool_size=2)
    api = client.bind(None, StreamRecorder() if records else None)
    writes = [asyncio.ensure_future(create_run(api)) for _ in range(1 + 500 + 1)]
    done, _ = await asyncio.wait(writes, return_when=asyncio.FIRST_EXCEPTION)
    (refused,) = done
    assert isinstance(error := refused.exception(), GatewayError)
    assert (error.code, error.retryable) == (ErrorCode.TOO_MANY_OPERATIONS, True)
    await wait_for_requests(upstream, 1)
    await end(*writes)
    assert len(upstream.requests) == 1


async def _create_thread(api: BoundThreadsApi) -> object:
    return await api.write(CREATE_THREAD, None, ThreadBody())

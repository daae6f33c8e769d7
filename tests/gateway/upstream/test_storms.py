"""Storms: every call fails for a time. The upstream gets at most 1.1 calls for each client call, and recovers at once.

Each client call reads one thread. The clock is a fake one that moves with each client call and with each pause.
"""

import asyncio

import pytest

from gateway.upstream.threads_api_client import BoundThreadsApi, UpstreamClient
from schema.contract.bodies import ThreadBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.kinds import THREADS
from schema.contract.wire import ThreadObject
from schema.contract.writes import CREATE_THREAD
from tests.support.scripted_upstream import (
    CLOSED,
    RESET,
    SILENCE,
    Request,
    ScriptedResponse,
    ScriptedUpstream,
    echo,
    response,
    truncated,
)
from tests.support.upstream_client import CREDENTIAL, T1, WHOLE, ClientMaker, RecordedSleeps, read_failure

CLIENT_CALLS = 200
SECONDS_BETWEEN_CALLS = 0.02
STORMS = {
    "429": response(429),
    "429 with Retry-After": response(429, Retry_After="1"),
    "429 with a long Retry-After": response(429, Retry_After="30"),
    "500": response(500),
    "502": response(502),
    "503": response(503),
    "503 with Retry-After": response(503, Retry_After="1"),
    "504": response(504),
    "reset": RESET,
    "closed": CLOSED,
    "a body cut short": truncated(response(200, WHOLE)),
    "JSON cut short": response(200, b'{"id": "thre'),
    "a malformed body": response(200, b"<html>log in", Content_Type="text/html"),
}
OPENS_BREAKER = {"500", "502", "503", "504", "reset", "closed"}
LONG_PAUSE = response(429, Retry_After="30")
EACH_NUMBER_OF_CALLERS = pytest.mark.parametrize("callers", [1, 100])


def bind_callers(client: UpstreamClient, callers: int) -> list[BoundThreadsApi]:
    return [client.bind(f"Bearer {number}", caller=f"caller {number}") for number in range(callers)]


async def endure(apis: list[BoundThreadsApi], clock: RecordedSleeps) -> list[GatewayError]:
    errors = []
    for number in range(CLIENT_CALLS):
        errors.append(await read_failure(apis[number % len(apis)]))
        clock.advance(SECONDS_BETWEEN_CALLS)
    return errors


@EACH_NUMBER_OF_CALLERS
@pytest.mark.parametrize("storm", STORMS)
async def test_a_storm_is_not_multiplied_and_ends_within_a_second(
    make_client: ClientMaker, upstream: ScriptedUpstream, pauses: RecordedSleeps, storm: str, callers: int
) -> None:
    apis = bind_callers(make_client(), callers)
    upstream.default_response = STORMS[storm]
    errors = await endure(apis, pauses)
    assert len(upstream.requests) <= 1.1 * CLIENT_CALLS
    assert sum(api.cost.upstream_calls for api in apis) == len(upstream.requests)
    refused = [error for error in errors if "latest calls of getThread failed" in error.message]
    if storm != "503 with Retry-After":  # an outage too, but a lone caller waits, and fails too seldom
        assert bool(refused) is (storm in OPENS_BREAKER)
    for error in refused:
        assert (error.code, error.retryable) == (ErrorCode.UPSTREAM_FAILED, True)
        assert 0 < (error.retry_after_ms or 0) <= 800
    upstream.default_response = echo
    pauses.advance(29.0 if storm == "429 with a long Retry-After" else 1.0)
    for api in apis:
        (thread,) = await api.get(THREADS, [T1])
        assert isinstance(thread, ThreadObject)


@EACH_NUMBER_OF_CALLERS
async def test_a_storm_of_timeouts_opens_the_breaker(
    make_client: ClientMaker, upstream: ScriptedUpstream, callers: int
) -> None:
    apis = bind_callers(make_client(timeout_seconds=0.05), callers)
    upstream.default_response = SILENCE
    for number in range(10):
        assert (await read_failure(apis[number % callers])).code is ErrorCode.UPSTREAM_TIMEOUT
    assert len(upstream.requests) == 10
    for api in apis:
        assert (await read_failure(api)).code is ErrorCode.UPSTREAM_FAILED
    assert len(upstream.requests) == 10


async def test_calls_that_their_caller_gave_up_open_no_breaker(
    api: BoundThreadsApi, upstream: ScriptedUpstream
) -> None:
    all_arrived = asyncio.Event()

    def be_silent(_: Request) -> ScriptedResponse:
        if len(upstream.requests) == 20:
            all_arrived.set()
        return SILENCE

    upstream.default_response = be_silent
    reads = [asyncio.ensure_future(api.get(THREADS, [T1])) for _ in range(20)]
    await all_arrived.wait()
    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)
    upstream.default_response = echo
    assert isinstance((await api.get(THREADS, [T1]))[0], ThreadObject)


async def test_a_lone_failing_call_is_retried_while_others_succeed(
    api: BoundThreadsApi, upstream: ScriptedUpstream
) -> None:
    for _ in range(20):
        upstream.queue_responses(response(503), *[echo] * 11)
        for _ in range(11):
            (thread,) = await api.get(THREADS, [T1])
            assert isinstance(thread, ThreadObject)
    assert len(upstream.requests) == 20 * 12


async def test_failures_of_one_caller_stop_no_other(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    def fail_attacker(request: Request) -> ScriptedResponse:
        return response(500) if request.headers["authorization"] == "Bearer 0" else echo(request)

    attacker, victim = bind_callers(make_client(), 2)
    upstream.default_response = fail_attacker
    for _ in range(100):
        await read_failure(attacker)
    for _ in range(100):
        (thread,) = await victim.get(THREADS, [T1])
        assert isinstance(thread, ThreadObject)
        await read_failure(attacker)


async def test_callers_who_share_a_credential_are_counted_apart(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    client = make_client()
    attacker, victim = (client.bind(CREDENTIAL, caller=caller) for caller in ("attacker", "victim"))
    upstream.default_response = response(500)
    for _ in range(100):
        await read_failure(attacker)
    assert len(upstream.requests) == 10
    upstream.default_response = echo
    (thread,) = await victim.get(THREADS, [T1])
    assert isinstance(thread, ThreadObject)


async def test_a_breaker_holds_for_its_operation_alone(api: BoundThreadsApi, upstream: ScriptedUpstream) -> None:
    upstream.default_response = response(500)
    for _ in range(20):
        await read_failure(api)
    assert len(upstream.requests) == 10
    upstream.default_response = response(body=WHOLE)
    created = await api.write(CREATE_THREAD, None, ThreadBody())
    assert isinstance(created, ThreadObject)


async def test_a_write_is_refused_while_its_breaker_is_open_and_may_be_sent_again(
    api: BoundThreadsApi, upstream: ScriptedUpstream, pauses: RecordedSleeps
) -> None:
    upstream.default_response = response(500)
    errors = []
    for _ in range(11):
        with pytest.raises(GatewayError) as caught:
            await api.write(CREATE_THREAD, None, ThreadBody())
        errors.append(caught.value)
    assert len(upstream.requests) == api.cost.upstream_calls == 10
    assert [error.retryable for error in errors] == [False] * 10 + [True]
    assert "may have taken place" not in errors[-1].message
    upstream.default_response = response(body=WHOLE)
    pauses.advance(1.0)
    created = await api.write(CREATE_THREAD, None, ThreadBody())
    assert isinstance(created, ThreadObject)


async def test_a_pause_holds_for_all_callers_of_its_credential(
    make_client: ClientMaker, upstream: ScriptedUpstream, pauses: RecordedSleeps
) -> None:
    client = make_client()
    first, second = (client.bind(CREDENTIAL, caller=caller) for caller in ("a", "b"))
    upstream.queue_responses(LONG_PAUSE)
    await read_failure(first)
    pauses.advance(10.0)
    error = await read_failure(second)
    assert error.extensions == {"code": "RATE_LIMITED", "retryable": True, "retryAfterMs": 20_000}
    with pytest.raises(GatewayError, match="asked for a pause"):
        await second.write(CREATE_THREAD, None, ThreadBody())
    assert len(upstream.requests) == 1
    assert isinstance((await client.bind("Bearer other").get(THREADS, [T1]))[0], ThreadObject)
    assert not pauses


async def test_the_end_of_a_short_pause_is_waited_for(
    api: BoundThreadsApi, upstream: ScriptedUpstream, pauses: RecordedSleeps
) -> None:
    upstream.queue_responses(LONG_PAUSE)
    await read_failure(api)
    pauses.advance(29.5)
    assert isinstance((await api.get(THREADS, [T1]))[0], ThreadObject)
    assert list(pauses) == [pytest.approx(0.6)]


async def test_a_short_pause_beyond_the_deadline_is_not_waited_for(
    make_client: ClientMaker, upstream: ScriptedUpstream, pauses: RecordedSleeps
) -> None:
    api = make_client(timeout_seconds=0.4).bind(CREDENTIAL)
    upstream.queue_responses(LONG_PAUSE)
    await read_failure(api)
    pauses.advance(29.5)
    assert (await read_failure(api)).retry_after_ms == 500
    assert not pauses

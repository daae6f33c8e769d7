import asyncio
import logging

import pytest

from gateway.upstream.threads_api_client import BoundThreadsApi
from schema.contract.errors import ErrorCode
from schema.contract.keys import ThreadKey
from schema.contract.kinds import THREADS
from schema.contract.wire import ThreadObject
from tests.support.ports import free_port
from tests.support.scripted_upstream import (
    CLOSED,
    RESET,
    Request,
    ScriptedResponse,
    ScriptedUpstream,
    echo,
    response,
    truncated,
)
from tests.support.upstream_client import CREDENTIAL, T1, WHOLE, ClientMaker, RecordedSleeps, read_failure


@pytest.mark.parametrize(
    "passing",
    [
        RESET,
        CLOSED,
        response(429, b""),
        response(502, b"<html>"),
        response(503, b"busy"),
        response(504, b""),
        truncated(response(200, WHOLE)),
        truncated(response(200, b"5\r\n{    \r\n0\r\n\r\n", Content_Length="", Transfer_Encoding="chunked"), 5),
        truncated(response(200, WHOLE, Content_Length="")),
        response(200, b'{"id": "thre'),
        response(200, b"not gzip", Content_Encoding="gzip"),
    ],
)
async def test_a_transient_failure_is_retried(
    api: BoundThreadsApi, upstream: ScriptedUpstream, pauses: RecordedSleeps, passing: ScriptedResponse
) -> None:
    upstream.queue_responses(passing, passing)
    (thread,) = await api.get(THREADS, [T1])
    assert isinstance(thread, ThreadObject)
    assert len(upstream.requests) == 3
    assert api.cost.upstream_calls == 3
    assert pauses == [0.1, 0.2]


@pytest.mark.parametrize(
    ("lasting", "code"),
    [
        (RESET, ErrorCode.UPSTREAM_UNREACHABLE),
        (response(429, b""), ErrorCode.RATE_LIMITED),
        (response(503, b""), ErrorCode.UPSTREAM_FAILED),
        (truncated(response(200, WHOLE)), ErrorCode.UPSTREAM_INVALID_RESPONSE),
    ],
)
async def test_after_two_retries_the_failure_is_the_result(
    api: BoundThreadsApi, upstream: ScriptedUpstream, lasting: ScriptedResponse, code: ErrorCode
) -> None:
    upstream.default_response = lasting
    error = await read_failure(api)
    assert (error.code, error.retryable) == (code, True)
    assert len(upstream.requests) == 3


@pytest.mark.parametrize(
    ("lasting", "code"),
    [
        (response(400, {"error": {"message": "x", "param": "limit"}}), ErrorCode.BAD_USER_INPUT),
        (response(401, {"error": {"message": "x"}}), ErrorCode.UNAUTHENTICATED),
        (response(404, {"detail": "Not Found"}), ErrorCode.UNSUPPORTED_BY_UPSTREAM),
        (response(500, b"Internal Server Error", Content_Type="text/plain"), ErrorCode.UPSTREAM_FAILED),
        (response(200, b"<html>please log in</html>", Content_Type="text/html"), ErrorCode.UPSTREAM_INVALID_RESPONSE),
        (response(200, {"id": "thread_2", "created_at": 1}), ErrorCode.UPSTREAM_INVALID_RESPONSE),
        (ScriptedResponse(b"SSH-2.0-OpenSSH_9.2\r\n", then="close"), ErrorCode.UPSTREAM_INVALID_RESPONSE),
        (response(200, WHOLE, X_Long="x" * 20_000), ErrorCode.UPSTREAM_INVALID_RESPONSE),
    ],
)
async def test_a_lasting_failure_is_not_retried(
    api: BoundThreadsApi, upstream: ScriptedUpstream, pauses: RecordedSleeps, lasting: ScriptedResponse, code: ErrorCode
) -> None:
    upstream.default_response = lasting
    assert (await read_failure(api)).code is code
    assert len(upstream.requests) == 1
    assert not pauses


async def test_retry_after_is_obeyed(api: BoundThreadsApi, upstream: ScriptedUpstream, pauses: RecordedSleeps) -> None:
    upstream.queue_responses(
        response(429, b"", Retry_After="3"), response(503, b"", Retry_After="Thu, 01 Jan 1970 00:00:04 GMT")
    )
    (thread,) = await api.get(THREADS, [T1])
    assert isinstance(thread, ThreadObject)
    assert list(pauses) == pytest.approx([3.1, 4.2])


async def test_a_wait_beyond_the_deadline_is_not_started(
    api: BoundThreadsApi, upstream: ScriptedUpstream, pauses: RecordedSleeps
) -> None:
    upstream.default_response = response(
        429, {"error": {"message": "Slow down."}}, Retry_After="60", X_Request_Id="req_7"
    )
    error = await read_failure(api)
    assert error.extensions == {
        "code": "RATE_LIMITED",
        "retryable": True,
        "retryAfterMs": 60_000,
        "upstreamRequestId": "req_7",
    }
    assert error.message == "Slow down."
    assert not pauses
    assert len(upstream.requests) == 1


async def test_a_pause_frees_its_slot(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    client = make_client(max_concurrency_per_operation=1)
    other_is_done = asyncio.Event()

    async def until_the_other_is_done(_: float) -> None:
        await other_is_done.wait()

    def serve(request: Request) -> ScriptedResponse:
        if request.target.endswith("/b"):
            other_is_done.set()
        return echo(request)

    client.sleep = until_the_other_is_done
    upstream.queue_responses(response(503, b""))
    upstream.default_response = serve
    got = await client.bind(None).get(THREADS, [ThreadKey("a"), ThreadKey("b")])
    assert all(isinstance(thread, ThreadObject) for thread in got)
    assert upstream.targets == ["/v1/threads/a", "/v1/threads/b", "/v1/threads/a"]


async def test_a_redirect_is_not_followed(api: BoundThreadsApi, upstream: ScriptedUpstream) -> None:
    upstream.default_response = response(307, b"", Location=f"{upstream.url}/elsewhere")
    assert (await read_failure(api)).code is ErrorCode.UPSTREAM_INVALID_RESPONSE
    assert upstream.targets == ["/v1/threads/thread_1"]


async def test_an_echoed_credential_is_removed(api: BoundThreadsApi, upstream: ScriptedUpstream) -> None:
    upstream.default_response = response(
        403, {"error": {"message": "key-of-somebody may not"}}, X_Request_Id="key-of-somebody"
    )
    error = await read_failure(api)
    assert (error.message, error.upstream_request_id) == ("[removed] may not", "[removed]")


async def test_a_refused_connection_is_retried_and_its_error_names_no_address(
    make_client: ClientMaker, pauses: RecordedSleeps
) -> None:
    port = free_port()
    api = make_client(base_url=f"http://127.0.0.1:{port}/v1").bind(None)
    error = await read_failure(api)
    assert (error.code, error.retryable) == (ErrorCode.UPSTREAM_UNREACHABLE, True)
    assert str(port) not in error.message
    assert len(pauses) == 2


async def test_an_upstream_without_the_expected_tls_is_unreachable(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    upstream.default_response = CLOSED
    error = await read_failure(make_client(base_url=upstream.url.replace("http:", "https:")).bind(None))
    assert error.code is ErrorCode.UPSTREAM_UNREACHABLE
    assert "127.0.0.1" not in error.message


async def test_a_closed_client_returns_errors(make_client: ClientMaker, caplog: pytest.LogCaptureFixture) -> None:
    client = make_client()
    await client.close()
    with caplog.at_level(logging.ERROR):
        error = await read_failure(client.bind(CREDENTIAL))
    assert (error.code, error.message) == (ErrorCode.INTERNAL, "The upstream could not be asked.")
    assert "getThread failed unexpectedly" in caplog.text
    assert "key-of-somebody" not in caplog.text

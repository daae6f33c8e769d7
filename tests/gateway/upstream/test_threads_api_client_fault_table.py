"""Every kind of upstream fault, met by a read and by a write: the code, whether it is retryable, the requests sent.

A read may be sent three times, a write once. The fixtures and the deadline of each test check that nothing hangs and
that no task and no connection is left open.
"""

import socket

import pytest

from schema.contract.bodies import ThreadBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import ThreadsApi
from schema.contract.writes import CREATE_THREAD
from tests.support.ports import free_port
from tests.support.scripted_upstream import (
    CLOSED,
    RESET,
    SILENCE,
    ScriptedResponse,
    ScriptedUpstream,
    response,
    truncated,
)
from tests.support.upstream_client import WHOLE, ClientMaker, read_failure

UNSUPPORTED = ErrorCode.UNSUPPORTED_BY_UPSTREAM
NO_ROUTE = {"detail": "Not Found"}
BLAMED = {"detail": [{"loc": ["body", "x"], "msg": "bad"}]}
UNCERTAIN = "The write may have taken place"
INVALID, UNREACHABLE = ErrorCode.UPSTREAM_INVALID_RESPONSE, ErrorCode.UPSTREAM_UNREACHABLE
CHUNKED = response(200, b"5\r\n{    \r\n0\r\n\r\n", Content_Length="", Transfer_Encoding="chunked")

FAULTS: dict[str, tuple[ScriptedResponse, ErrorCode, bool, int, bool, bool]] = {
    # the fault: its response and code; a read: retryable, requests; a write: retryable, uncertain
    "reset": (RESET, UNREACHABLE, True, 3, False, True),
    "closed without an answer": (CLOSED, UNREACHABLE, True, 3, False, True),
    "silence": (SILENCE, ErrorCode.UPSTREAM_TIMEOUT, True, 1, False, True),
    "half a head": (
        ScriptedResponse(b"HTTP/1.1 200 OK\r\n", then="hang"),
        ErrorCode.UPSTREAM_TIMEOUT,
        True,
        1,
        False,
        True,
    ),
    "half a head, then closed": (
        ScriptedResponse(b"HTTP/1.1 200 OK\r\n", then="close"),
        UNREACHABLE,
        True,
        3,
        False,
        True,
    ),
    "half a body, then silence": (
        ScriptedResponse(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", then="hang"),
        ErrorCode.UPSTREAM_TIMEOUT,
        True,
        1,
        False,
        True,
    ),
    "a body cut short": (truncated(response(200, WHOLE)), INVALID, True, 3, False, True),
    "a chunked body cut short": (truncated(CHUNKED, 5), INVALID, True, 3, False, True),
    "JSON cut short": (response(200, b'{"id": "thre'), INVALID, True, 3, False, True),
    "damaged compression": (response(200, b"not gzip", Content_Encoding="gzip"), INVALID, True, 3, False, True),
    "a web page": (response(200, b"<html>log in", Content_Type="text/html"), INVALID, False, 1, False, True),
    "no HTTP": (ScriptedResponse(b"SSH-2.0-OpenSSH_9.2\r\n", then="close"), INVALID, False, 1, False, True),
    "another kind": (response(200, WHOLE | {"object": "thread.run"}), INVALID, False, 1, False, True),
    "an empty success": (response(200), INVALID, False, 1, False, True),
    "too large": (response(200, b" " * 2000), INVALID, False, 1, False, True),
    "a redirect": (response(307, Location="/elsewhere"), INVALID, False, 1, False, False),
    "400": (response(400, {"error": {"message": "No."}}), ErrorCode.UPSTREAM_REFUSED, False, 1, False, False),
    "401": (response(401), ErrorCode.UNAUTHENTICATED, False, 1, False, False),
    "403": (response(403), ErrorCode.FORBIDDEN, False, 1, False, False),
    "404": (response(404, {"error": {"message": "No."}}), ErrorCode.NOT_FOUND, False, 1, False, False),
    "404 of the router": (
        response(404, NO_ROUTE),
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
        False,
        1,
        False,
        False,
    ),
    "405": (response(405), UNSUPPORTED, False, 1, False, False),
    "408": (response(408), ErrorCode.UPSTREAM_TIMEOUT, True, 1, False, True),
    "409": (response(409), ErrorCode.CONFLICT, False, 1, False, False),
    "422": (
        response(422, BLAMED),
        ErrorCode.BAD_USER_INPUT,
        False,
        1,
        False,
        False,
    ),
    "429": (response(429), ErrorCode.RATE_LIMITED, True, 3, True, False),
    "429 with a long wait": (response(429, Retry_After="60"), ErrorCode.RATE_LIMITED, True, 1, True, False),
    "500": (response(500), ErrorCode.UPSTREAM_FAILED, True, 1, False, True),
    "501": (response(501), UNSUPPORTED, False, 1, False, False),
    "502": (response(502), ErrorCode.UPSTREAM_FAILED, True, 3, False, True),
    "503": (response(503, Retry_After="1"), ErrorCode.UPSTREAM_FAILED, True, 3, False, True),
    "504": (response(504), ErrorCode.UPSTREAM_TIMEOUT, True, 3, False, True),
}


async def write_failure(api: ThreadsApi) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await api.write(CREATE_THREAD, None, ThreadBody())
    return caught.value


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_read_meets_a_fault(make_client: ClientMaker, upstream: ScriptedUpstream, fault: str) -> None:
    upstream.default_response, code, retryable, requests, _, _ = FAULTS[fault]
    # Only a missing response waits for the deadline; a pause takes no time here.
    seconds = 0.2 if code is ErrorCode.UPSTREAM_TIMEOUT and requests == 1 else 20.0
    error = await read_failure(make_client(timeout_seconds=seconds, max_response_bytes=1000).bind(None))
    assert (error.code, error.retryable, len(upstream.requests)) == (code, retryable, requests)
    assert UNCERTAIN not in error.message


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_write_meets_a_fault(make_client: ClientMaker, upstream: ScriptedUpstream, fault: str) -> None:
    upstream.default_response, code, _, requests, retryable, uncertain = FAULTS[fault]
    seconds = 0.2 if code is ErrorCode.UPSTREAM_TIMEOUT and requests == 1 else 20.0
    api = make_client(timeout_seconds=seconds, max_response_bytes=1000).bind(None)
    error = await write_failure(api)
    assert (error.code, error.retryable, UNCERTAIN in error.message) == (code, retryable, uncertain)
    assert (len(upstream.requests), api.cost.upstream_calls) == (1, 1)
    assert error.retryable or error.retry_after_ms is None


async def test_a_refused_connection_fails_before_anything_is_sent(make_client: ClientMaker) -> None:
    api = make_client(base_url=f"http://127.0.0.1:{free_port()}/v1").bind(None)
    for error in (await read_failure(api), await write_failure(api)):
        assert (error.code, error.retryable) == (UNREACHABLE, True)
        assert UNCERTAIN not in error.message


async def test_an_unknown_host_name_fails_before_anything_is_sent(
    make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    api = make_client(base_url="http://nowhere.invalid/v1").bind(None)
    for error in (await read_failure(api), await write_failure(api)):
        assert (error.code, error.retryable) == (UNREACHABLE, True)
        assert UNCERTAIN not in error.message


async def test_a_closed_client_sends_nothing(make_client: ClientMaker) -> None:
    client = make_client()
    await client.close()
    error = await write_failure(client.bind(None))
    assert error.code is ErrorCode.INTERNAL
    assert UNCERTAIN not in error.message

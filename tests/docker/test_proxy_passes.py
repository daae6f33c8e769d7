"""Tests what the proxy of `docker/` passes on. Stand-ins for gateways report the requests that reached them."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from tests.docker.conftest import Handler, ProxyOver
from tests.support.graphql import GraphQLClient

pytestmark = pytest.mark.nginx

MAX_BODY_BYTES = 1 << 20


def counted(handler: Handler) -> tuple[list[bytes], Handler]:
    """Return the bodies that reach a handler, one for each request, and the handler that records them."""
    bodies: list[bytes] = []

    async def note(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.read())
        return await handler(request)

    return bodies, note


async def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def fine(request: web.Request) -> web.StreamResponse:
    return web.json_response({"data": None})


def refusing(**headers: str) -> Handler:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({"errors": [{"message": "no"}]}, status=503, headers=headers)

    return refuse


async def test_a_websocket_passes(proxy_over: ProxyOver, session: aiohttp.ClientSession) -> None:
    seen = []

    async def echo(request: web.Request) -> web.StreamResponse:
        seen.append((request.headers["Upgrade"], request.headers["Connection"]))
        socket = web.WebSocketResponse(protocols=["graphql-transport-ws"])
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    async with proxy_over(echo, echo, echo) as proxy:
        async with session.ws_connect(f"{proxy.url}/graphql", protocols=["graphql-transport-ws"]) as socket:
            assert socket.protocol == "graphql-transport-ws"
            for text in ("one", "two", "x" * 100_000):
                await socket.send_str(text)
                message = await socket.receive()
                assert (message.type, message.data) == (WSMsgType.TEXT, text)
        assert seen == [("websocket", "upgrade")]


async def test_no_other_protocol_can_be_requested(proxy_over: ProxyOver, session: aiohttp.ClientSession) -> None:
    seen = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(("Upgrade" in request.headers, request.headers.get("Connection", "keep-alive")))
        return web.Response()

    async with proxy_over(note, note, note) as proxy:
        headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
        await GraphQLClient(proxy.url, session).get(headers=headers)
    assert seen == [(False, "keep-alive")]


async def test_each_event_of_a_stream_is_passed_on_at_once(
    proxy_over: ProxyOver, session: aiohttp.ClientSession
) -> None:
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(3):
            await response.write(b"data: %d\n\n" % number)
            # The next event is not written before a reader behind the proxy has this one.
            assert await asyncio.wait_for(arrived.get(), 10) == b"data: %d\n\n" % number
        return response

    async with (
        proxy_over(stream, stream, stream) as proxy,
        session.post(f"{proxy.url}/graphql", json={}, headers={"Accept": "text/event-stream"}) as response,
    ):
        async for chunk in response.content.iter_any():
            arrived.put_nowait(chunk)
        assert arrived.empty()


async def test_a_post_that_was_sent_is_not_sent_again(proxy_over: ProxyOver, session: aiohttp.ClientSession) -> None:
    bodies, handler = counted(reset)
    async with proxy_over(handler, handler, handler) as proxy:
        reply = await GraphQLClient(proxy.url, session).post({"query": "mutation { write }"})
    assert (reply.status, reply.json["errors"][0]["extensions"]["retryable"]) == (502, False)
    assert len(bodies) == 1


async def test_a_get_without_a_response_is_sent_to_the_next_gateway(
    proxy_over: ProxyOver, session: aiohttp.ClientSession
) -> None:
    first, resetting = counted(reset)
    second, answering = counted(fine)
    async with proxy_over(resetting, answering, answering) as proxy:
        reply = await GraphQLClient(proxy.url, session).get(params={"query": "{ read }"})
    assert (reply.status, len(first), len(second)) == (200, 1, 1)


@pytest.mark.parametrize("write", [True, False])
async def test_a_request_that_a_stopping_gateway_has_not_started_goes_to_another_with_its_body(
    proxy_over: ProxyOver, session: aiohttp.ClientSession, write: bool
) -> None:
    first, stopping = counted(refusing(**{"Retry-After": "1"}))
    second, answering = counted(fine)
    body = {"query": "mutation { write }" if write else "{ read }", "variables": {"text": "é" * 100_000}}
    async with proxy_over(stopping, stopping, answering) as proxy:
        reply = await GraphQLClient(proxy.url, session).post(body)
    assert (reply.status, reply.json) == (200, {"data": None})
    assert len(second) == 1
    assert {json.dumps(json.loads(sent)) for sent in (*first, *second)} == {json.dumps(body)}


async def test_a_request_that_a_stopping_gateway_has_ended_is_not_sent_again(
    proxy_over: ProxyOver, session: aiohttp.ClientSession
) -> None:
    bodies, ending = counted(refusing())
    async with proxy_over(ending, ending, ending) as proxy:
        reply = await GraphQLClient(proxy.url, session).post({"query": "mutation { write }"})
    assert (reply.status, reply.json["errors"][0]["extensions"]["retryable"]) == (503, False)
    assert len(bodies) == 1


async def test_when_all_are_stopping_the_response_of_the_last_one_arrives(
    proxy_over: ProxyOver, session: aiohttp.ClientSession
) -> None:
    bodies, stopping = counted(refusing(**{"Retry-After": "1"}))
    async with proxy_over(stopping, stopping, stopping) as proxy:
        reply = await GraphQLClient(proxy.url, session).post({"query": "{ read }"})
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
    assert reply.json == {"errors": [{"message": "no"}]}
    assert len(bodies) == 4


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_has_its_limit(proxy_over: ProxyOver, session: aiohttp.ClientSession, chunked: bool) -> None:
    bodies, handler = counted(fine)

    async def in_chunks(data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 100_000):
            yield data[start : start + 100_000]

    async with proxy_over(handler, handler, handler) as proxy:
        client = GraphQLClient(proxy.url, session)
        for size, status in ((MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)):
            data = b"x" * size
            reply = await client.post(data=in_chunks(data) if chunked else io.BytesIO(data))
            assert reply.status == status
        assert reply.json["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert [len(body) for body in bodies] == [MAX_BODY_BYTES]


async def test_forwarding_headers_of_a_caller_are_overwritten(
    proxy_over: ProxyOver, session: aiohttp.ClientSession
) -> None:
    seen: list[dict[str, str]] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append({name.lower(): value for name, value in request.headers.items()})
        return web.Response()

    lies = dict.fromkeys(
        ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP"), "192.0.2.1"
    )
    async with proxy_over(note, note, note) as proxy:
        await GraphQLClient(proxy.url, session).get(
            headers={**lies, "X-Forwarded-Proto": "gopher", "Authorization": "A"}
        )
        host = f"127.0.0.1:{proxy.port}"
    (headers,) = seen
    assert {name: value for name, value in headers.items() if "forwarded" in name or name in {"host", "x-real-ip"}} == {
        "host": host,
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-host": host,
        "x-forwarded-port": str(proxy.port),
        "x-forwarded-proto": "http",
        "x-real-ip": "127.0.0.1",
    }
    assert headers["authorization"] == "A"


async def test_slow_headers_are_cut_off_and_never_reach_a_gateway(proxy_over: ProxyOver) -> None:
    bodies, handler = counted(fine)
    # The real ten seconds would slow down the tests.
    changes = {"client_header_timeout 10s": "client_header_timeout 1s"}
    async with proxy_over(handler, handler, handler, changes=changes) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"POST /graphql HTTP/1.1\r\nHost: localhost\r\n")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert bodies == []


async def test_the_log_holds_no_document_and_no_credential(
    proxy_over: ProxyOver, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with proxy_over(fine, fine, fine) as proxy:
        headers = {"Authorization": "Bearer secret-1"}
        await GraphQLClient(proxy.url, session).get(params={"query": "{ secret2 }"}, headers=headers)
        assert [call.request for call in proxy.calls(1)] == ["GET /graphql"]
        assert "secret" not in (tmp_path / "access.log").read_text()

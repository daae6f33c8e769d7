"""Tests the proxy of `docker/` over three gateways, as in the compose file, with this machine's own nginx."""

import asyncio
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from gateway.compose import DEMO_KEY
from gateway.config import Settings
from gateway.server.app import listening
from gateway.server.http.graphql_response import ERROR_CODE_HEADER
from tests.docker.conftest import FleetOver, ProxyOver
from tests.support.graphql import GraphQLClient
from tests.support.nginx import local_configuration, nginx_command

pytestmark = pytest.mark.nginx

QUERY = {"query": "{ assistants(first: 3) { nodes { name } } }"}
WRITE = {"query": "mutation { createThread(input: {}) { thread { upstreamId } } }"}
CREDENTIAL = {"Authorization": f"Bearer {DEMO_KEY}"}
EMPTY_PAGE: dict[str, Any] = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
THREAD: dict[str, Any] = {"id": "thread_1", "object": "thread", "created_at": 1, "metadata": {}, "tool_resources": None}


class Upstream:
    """An upstream that responds to lists at once, and to a new thread when the test lets it."""

    def __init__(self) -> None:
        self.url = ""
        self.thread_requests = 0
        self.requested = asyncio.Event()
        self.let = asyncio.Event()

    async def list_assistants(self, _: web.Request) -> web.Response:
        return web.json_response(EMPTY_PAGE)

    async def create_thread(self, _: web.Request) -> web.Response:
        self.thread_requests += 1
        self.requested.set()
        await self.let.wait()
        return web.json_response(THREAD)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream, app = Upstream(), web.Application()
    app.router.add_get("/v1/assistants", upstream.list_assistants)
    app.router.add_post("/v1/threads", upstream.create_thread)
    async with listening(app, "127.0.0.1", 0) as url:
        upstream.url = f"{url}/v1"
        yield upstream


async def ask_in_turn(client: GraphQLClient, count: int) -> None:
    for _ in range(count):
        reply = await client.post(QUERY, headers=CREDENTIAL)
        assert (reply.status, "errors" in reply.json) == (200, False), reply


def test_nginx_accepts_the_configuration_without_a_warning(tmp_path: Path) -> None:
    configuration = local_configuration(tmp_path, 1, ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"])
    done = subprocess.run(nginx_command(configuration, "-t"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"\[(warn|error|emerg)\]", done.stderr), done.stderr


def test_the_largest_body_is_the_gateways_own(tmp_path: Path) -> None:
    text = local_configuration(tmp_path, 1, []).read_text()
    most = Settings.model_fields["gateway_max_body_bytes"].default
    assert f"client_max_body_size {most};" in text
    assert f"at most {most} bytes" in text


async def test_a_gateway_that_is_stopped_loses_no_request(
    fleet_over: FleetOver, upstream: Upstream, session: aiohttp.ClientSession
) -> None:
    async with fleet_over(upstream.url) as fleet:
        client = GraphQLClient(fleet.proxy.url, session)
        written = asyncio.create_task(client.post(WRITE, headers=CREDENTIAL))
        await upstream.requested.wait()
        fleet.processes[0].send_signal(signal.SIGTERM)
        direct = GraphQLClient(fleet.urls[0], session)
        while (await direct.get("/readyz")).json["checks"] != {"gateway": "stopping"}:
            pass
        await ask_in_turn(client, 12)
        upstream.let.set()
        assert (await written).json == {"data": {"createThread": {"thread": {"upstreamId": "thread_1"}}}}
        assert await asyncio.to_thread(fleet.processes[0].wait, 20) == 0
        await ask_in_turn(client, 12)
        calls = fleet.proxy.calls(25)
        (write,) = [call for call in calls if call.gateways == (fleet.addresses[0],)]
        assert (write.status, upstream.thread_requests) == (200, 1)
        refused = [call for call in calls if call.statuses[0] == "503"]
        assert refused
        assert {(call.status, call.statuses[-1]) for call in refused} == {(200, "200")}


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
    bodies: list[bytes] = []

    async def reset(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.read())
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with proxy_over(reset, reset, reset) as proxy:
        reply = await GraphQLClient(proxy.url, session).post(WRITE)
    assert (reply.status, reply.json["errors"][0]["extensions"]["retryable"]) == (502, False)
    assert len(bodies) == 1


@pytest.mark.parametrize(("code", "retryable"), [("UPSTREAM_REFUSED", False), ("LEDGER_UNAVAILABLE", True)])
async def test_an_operation_that_no_gateway_can_serve_is_sent_once_and_keeps_its_code(
    proxy_over: ProxyOver, session: aiohttp.ClientSession, code: str, retryable: bool
) -> None:
    requests: list[str] = []

    async def refuse(request: web.Request) -> web.StreamResponse:
        requests.append(request.path)
        return web.json_response({"data": None, "errors": []}, status=503, headers={ERROR_CODE_HEADER: code})

    async with proxy_over(refuse, refuse, refuse) as proxy:
        reply = await GraphQLClient(proxy.url, session).post(WRITE)
    assert (reply.status, len(requests)) == (503, 1)
    (error,) = reply.json["errors"]
    assert error["extensions"] == {"code": code, "retryable": retryable}

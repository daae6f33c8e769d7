"""Tests that a query ends with its client, or at its deadline: its calls are cancelled and no further ones are made."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.server.app import OPERATION_TASKS, listening
from tests.support.faces import both_faces
from tests.support.gateway import Gateway, running_gateway

pytestmark = both_faces

QUERY = {"query": 'query mutation { thread(id: "thread_1") { messages(first: 1000) { nodes { upstreamId } } } }'}
"""A query, although its text has the word of an operation that writes and so goes on without its client."""
HEADERS = {"Authorization": "Bearer key"}
SUBPROTOCOL = "graphql-transport-ws"


class HangingUpstream:
    """An upstream that answers with the first page of a list and never with the second one."""

    def __init__(self) -> None:
        self.url = ""
        self.calls = 0
        self.is_hanging = asyncio.Event()
        self.is_cancelled = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        self.calls += 1
        if "after" in request.query:
            self.is_hanging.set()
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                self.is_cancelled.set()
                raise
        page = [
            {"id": f"msg_{number}", "object": "thread.message", "created_at": number, "thread_id": "thread_1"}
            for number in range(100)
        ]
        return web.json_response({"object": "list", "data": page, "has_more": True})


@pytest.fixture
async def upstream() -> AsyncIterator[HangingUpstream]:
    hanging = HangingUpstream()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hanging.answer)
    async with listening(app, "127.0.0.1", 0) as url:
        hanging.url = f"{url}/v1"
        yield hanging


async def leave_http(gateway: Gateway, upstream: HangingUpstream, accept: str) -> None:
    async with aiohttp.ClientSession() as session:
        headers = {**HEADERS, "Accept": accept}
        request = asyncio.create_task(session.post(f"{gateway.url}/graphql", json=QUERY, headers=headers))
        await upstream.is_hanging.wait()
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)


async def complete_on_websocket(gateway: Gateway, upstream: HangingUpstream, *, closes: bool) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{gateway.url}/graphql", protocols=[SUBPROTOCOL], headers=HEADERS) as socket,
    ):
        await socket.send_json({"type": "connection_init", "payload": HEADERS})
        assert (await socket.receive_json())["type"] == "connection_ack"
        await socket.send_json({"type": "subscribe", "id": "1", "payload": QUERY})
        await upstream.is_hanging.wait()
        if closes:
            await socket.close()
        else:
            await socket.send_json({"type": "complete", "id": "1"})
        await upstream.is_cancelled.wait()


@pytest.mark.parametrize("way", ["http", "event stream", "complete", "closed socket"])
async def test_a_query_ends_when_its_client_leaves(upstream: HangingUpstream, way: str) -> None:
    async with running_gateway(upstream.url) as gateway, asyncio.timeout(30):
        if way in {"http", "event stream"}:
            await leave_http(gateway, upstream, "text/event-stream" if way == "event stream" else "*/*")
        else:
            await complete_on_websocket(gateway, upstream, closes=way == "closed socket")
        await upstream.is_cancelled.wait()
        await gateway.app[OPERATION_TASKS].stop(10)
        assert len(gateway.app[OPERATION_TASKS]) == 0
    assert upstream.calls == 2


@pytest.mark.parametrize(("accept", "status"), [("application/json", 200), ("application/graphql-response+json", 504)])
async def test_a_query_ends_at_its_deadline(upstream: HangingUpstream, accept: str, status: int) -> None:
    async with running_gateway(upstream.url, gateway_query_timeout_seconds=0.2) as gateway, asyncio.timeout(30):
        reply = await gateway.post(QUERY, headers={**HEADERS, "Accept": accept})
        assert len(gateway.app[OPERATION_TASKS]) == 0
    error: dict[str, Any] = reply.json["errors"][0]
    del error["extensions"]["requestId"]
    assert (reply.status, error["extensions"]) == (status, {"code": "QUERY_TIMEOUT", "retryable": True})
    assert "data" not in reply.json
    assert "0.2 s" in error["message"]
    assert upstream.calls <= 2

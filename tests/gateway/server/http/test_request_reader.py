"""Reads requests that a real client sends."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.identity.credentials import Caller
from gateway.server.app import listening
from gateway.server.http.graphql_request import GraphQLRequest
from gateway.server.http.refusals import Refusal
from gateway.server.http.request_limits import RequestLimits
from gateway.server.http.request_reader import caller_from_request, read_request

JSON = {"Content-Type": "application/json"}


class RecordingServer:
    """A server that reads each request and records the outcome."""

    def __init__(self) -> None:
        self.url = ""
        self.outcome: GraphQLRequest | Refusal | None = None
        self.caller: Caller | None = None

    async def handle(self, request: web.Request) -> web.Response:
        self.caller = caller_from_request(request)
        try:
            self.outcome = await read_request(request, RequestLimits(max_body_bytes=100, body_timeout_seconds=0.05))
        except Refusal as refused:
            self.outcome = refused
        return web.Response()

    async def send(self, method: str, **options: Any) -> GraphQLRequest | Refusal | None:
        async with aiohttp.ClientSession() as session, session.request(method, self.url, **options):
            return self.outcome


@pytest.fixture
async def server() -> AsyncIterator[RecordingServer]:
    server, app = RecordingServer(), web.Application()
    app.router.add_route("*", "/", server.handle)
    async with listening(app, "127.0.0.1", 0) as url:
        server.url = url
        yield server


async def test_a_post_and_a_get_are_read_alike(server: RecordingServer) -> None:
    expected = GraphQLRequest("{ a }", None, {"b": 1})
    assert await server.send("POST", json={"query": "{ a }", "variables": {"b": 1}}) == expected
    assert await server.send("GET", params={"query": "{ a }", "variables": '{"b": 1}'}) == expected


@pytest.mark.parametrize(
    ("method", "options", "status"),
    [
        ("POST", {"data": b"{}"}, 415),
        ("POST", {"data": b"{}", "headers": {**JSON, "Content-Encoding": "gzip"}}, 415),
        ("POST", {"data": b"x" * 101, "headers": JSON}, 413),
        ("POST", {"data": b"{", "headers": JSON}, 400),
        ("GET", {"params": {"query": ""}}, 400),
    ],
)
async def test_a_faulty_request_is_refused(server: RecordingServer, method: str, options: Any, status: int) -> None:
    outcome = await server.send(method, **options)
    assert isinstance(outcome, Refusal)
    assert outcome.status == status


async def test_the_caller_is_described(server: RecordingServer) -> None:
    headers = {"Authorization": "Bearer x", "Origin": "http://a.example", "Sec-Fetch-Site": "cross-site"}
    await server.send("GET", headers=headers)
    caller = server.caller
    assert caller is not None
    assert (caller.peer, caller.scheme, caller.authorization) == ("127.0.0.1", "http", ("Bearer x",))
    assert (caller.origin, caller.fetch_site, caller.is_http_1_0) == ("http://a.example", "cross-site", False)
    assert f"http://{caller.host}" == server.url
    assert "sec-fetch-site" in caller.headers

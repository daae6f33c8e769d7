"""What a request says, read from a real one."""

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


class Reader:
    """Reads what is sent to it, and keeps what it found."""

    def __init__(self) -> None:
        self.url = ""
        self.found: GraphQLRequest | Refusal | None = None
        self.caller: Caller | None = None

    async def read(self, request: web.Request) -> web.Response:
        self.caller = caller_from_request(request)
        try:
            self.found = await read_request(request, RequestLimits(max_body_bytes=100, body_timeout_seconds=0.05))
        except Refusal as refused:
            self.found = refused
        return web.Response()

    async def send(self, method: str, **options: Any) -> GraphQLRequest | Refusal | None:
        async with aiohttp.ClientSession() as session, session.request(method, self.url, **options):
            return self.found


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    reader, app = Reader(), web.Application()
    app.router.add_route("*", "/", reader.read)
    async with listening(app, "127.0.0.1", 0) as url:
        reader.url = url
        yield reader


async def test_a_post_and_a_get_say_the_same(reader: Reader) -> None:
    expected = GraphQLRequest("{ a }", None, {"b": 1})
    assert await reader.send("POST", json={"query": "{ a }", "variables": {"b": 1}}) == expected
    assert await reader.send("GET", params={"query": "{ a }", "variables": '{"b": 1}'}) == expected


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
async def test_what_cannot_be_read_is_refused(reader: Reader, method: str, options: Any, status: int) -> None:
    found = await reader.send(method, **options)
    assert isinstance(found, Refusal)
    assert found.status == status


async def test_the_caller_is_described(reader: Reader) -> None:
    headers = {"Authorization": "Bearer x", "Origin": "http://a.example", "Sec-Fetch-Site": "cross-site"}
    await reader.send("GET", headers=headers)
    caller = reader.caller
    assert caller is not None
    assert (caller.peer, caller.scheme, caller.authorization) == ("127.0.0.1", "http", ("Bearer x",))
    assert (caller.origin, caller.fetch_site, caller.is_http_1_0) == ("http://a.example", "cross-site", False)
    assert f"http://{caller.host}" == reader.url
    assert "sec-fetch-site" in caller.headers

"""Reads requests that a real client sends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.identity.credentials import Caller
from gateway.server.app import listening
from gateway.server.documents.document_policy import DocumentPolicy
from gateway.server.http.graphql_request import GraphQLRequest
from gateway.server.http.held_bytes import HeldRequest, UnfinishedBytes
from gateway.server.http.refusals import Refusal
from gateway.server.http.request_limits import RequestLimits
from gateway.server.http.request_reader import caller_from_request, read_request
from tests.support.subscription_gateway import until

JSON = {"Content-Type": "application/json"}
MAX_UNFINISHED_BYTES = 50


class RecordingServer:
    """A server that reads each request and records the outcome."""

    def __init__(self, limits: RequestLimits) -> None:
        self._limits = limits
        self.url = ""
        self.outcome: GraphQLRequest | Refusal | None = None
        self.caller: Caller | None = None
        self.unfinished = UnfinishedBytes(MAX_UNFINISHED_BYTES)

    async def handle(self, request: web.Request) -> web.Response:
        self.caller = caller_from_request(request)
        try:
            with HeldRequest(self.unfinished) as held:
                self.outcome = await read_request(request, self._limits, held, DocumentPolicy())
        except Refusal as refused:
            self.outcome = refused
        return web.Response()

    async def send(self, method: str, **options: Any) -> GraphQLRequest | Refusal | None:
        async with aiohttp.ClientSession() as session, session.request(method, self.url, **options):
            return self.outcome


@asynccontextmanager
async def running_server(limits: RequestLimits) -> AsyncIterator[RecordingServer]:
    server, app = RecordingServer(limits), web.Application()
    app.router.add_route("*", "/", server.handle)
    async with listening(app, "127.0.0.1", 0) as url:
        server.url = url
        yield server


@pytest.fixture
async def server() -> AsyncIterator[RecordingServer]:
    async with running_server(RequestLimits(max_body_bytes=100, body_timeout_seconds=0.05)) as server:
        yield server


@pytest.fixture
async def slow_server() -> AsyncIterator[RecordingServer]:
    async with running_server(RequestLimits(max_body_bytes=100)) as server:
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


class HalfBody:
    """A client that has sent the headers of a POST and the first half of its body."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def send(cls, server: RecordingServer, count: int) -> "HalfBody":
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        writer.write(
            f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {2 * count}".encode()
        )
        writer.write(b"\r\n\r\n" + b"x" * count)
        return cls(reader, writer)

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def until_answered(self) -> None:
        await self._reader.readline()


async def test_unfinished_bodies_are_bounded_in_sum_and_small_complete_ones_not(
    slow_server: RecordingServer,
) -> None:
    server = slow_server
    first = await HalfBody.send(server, 40)
    await until(lambda: server.unfinished.held_bytes == 40)
    second = await HalfBody.send(server, 20)
    await second.until_answered()
    refused = server.outcome
    assert isinstance(refused, Refusal)
    assert refused.status == 503
    assert dict(refused.headers) == {"Retry-After": "1", "Connection": "close"}
    assert refused.error.message == "Expected at most 50 bytes of unfinished requests, got more."
    complete = {"query": "{ " + "a" * 60 + " }"}
    assert await server.send("POST", json=complete) == GraphQLRequest(complete["query"])
    await first.close()
    await until(lambda: not server.unfinished.held_bytes)
    await second.close()


async def test_a_body_that_takes_too_long_is_no_longer_held(server: RecordingServer) -> None:
    half = await HalfBody.send(server, 40)
    await half.until_answered()
    assert isinstance(server.outcome, Refusal)
    assert (server.outcome.status, server.unfinished.held_bytes) == (408, 0)
    await half.close()


async def test_the_caller_is_described(server: RecordingServer) -> None:
    headers = {"Authorization": "Bearer x", "Origin": "http://a.example", "Sec-Fetch-Site": "cross-site"}
    await server.send("GET", headers=headers)
    caller = server.caller
    assert caller is not None
    assert (caller.peer, caller.scheme, caller.authorization) == ("127.0.0.1", "http", ("Bearer x",))
    assert (caller.origin, caller.fetch_site, caller.is_http_1_0) == ("http://a.example", "cross-site", False)
    assert f"http://{caller.host}" == server.url
    assert "sec-fetch-site" in caller.headers

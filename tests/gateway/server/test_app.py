import asyncio
import socket

import aiohttp
import pytest
from aiohttp import web

from gateway.server.app import CONNECTION_LIMITS, OPERATION_TASKS, listening
from gateway.server.sockets.connection_limits import ConnectionLimits
from tests.support.emulator import Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.subscription_clients import open_socket
from tests.support.subscription_gateway import until


async def test_the_root_redirects_to_graphql(gateway: Gateway) -> None:
    reply = await gateway.get("/")
    assert (reply.status, reply.headers["Location"]) == (302, "/graphql")


@pytest.mark.parametrize("path", ["/nonsense", "/graphql/", "/graphiql/assets/0/none.js", "/healthz/x"])
async def test_an_unknown_path_is_answered_in_json(gateway: Gateway, path: str) -> None:
    reply = await gateway.get(path, headers={"Accept": "text/html"})
    assert reply.status == 404
    extensions = {"code": "NOT_FOUND", "retryable": False, "requestId": reply.headers["X-Request-ID"]}
    assert reply.json == {"errors": [{"message": "Not Found.", "extensions": extensions}]}


async def test_a_wrong_method_gets_the_allowed_ones(gateway: Gateway) -> None:
    reply = await gateway.send("DELETE", "/healthz")
    assert (reply.status, reply.headers["Allow"]) == (405, "GET,HEAD")
    assert reply.json["errors"][0]["message"] == "Method Not Allowed."


async def test_a_real_upstream_makes_the_gateway_ready(gateway: Gateway) -> None:
    assert (await gateway.get("/healthz")).json == {"status": "ok"}
    assert (await gateway.get("/readyz")).json == {"status": "ready", "checks": {"upstream": "ok"}}


async def test_an_unreachable_upstream_makes_the_gateway_unready() -> None:
    async with running_gateway("http://127.0.0.1:1/v1") as gateway:
        reply = await gateway.get("/readyz")
        assert reply.status == 503
        assert reply.json["checks"]["upstream"].startswith("UPSTREAM_UNREACHABLE: ")


async def test_an_address_in_use_raises() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="address already in use"):
        async with listening(web.Application(), "127.0.0.1", taken.getsockname()[1]):
            pass


REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "limits"),
    [
        (b"", ConnectionLimits(header_seconds=0.05)),
        (REQUEST[:-2], ConnectionLimits(header_seconds=0.05)),
        (REQUEST, ConnectionLimits(idle_seconds=0.05)),
        (REQUEST + b"GET", ConnectionLimits(idle_seconds=0.05)),
    ],
)
async def test_a_connection_without_a_whole_request_is_closed(sent: bytes, limits: ConnectionLimits) -> None:
    app = web.Application()
    app[CONNECTION_LIMITS] = limits
    async with listening(app, "127.0.0.1", 0) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(sent)
        async with asyncio.timeout(10):
            assert (await reader.read()).count(b"HTTP/1.1 404") == sent.count(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()


ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - open for a moment, with nothing behind it


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "http://127.0.0.1:"), (ALL_ADDRESSES, "http://127.0.0.1:"), ("localhost", "http://127.0.0.1:")],
)
async def test_the_url_is_one_that_can_be_opened(host: str, shown: str) -> None:
    async with listening(web.Application(), host, 0) as url:
        assert url.startswith(shown)
        assert int(url.rpartition(":")[2]) > 0


async def test_no_response_names_a_version(gateway: Gateway) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    for sent in (REQUEST, REQUEST.replace(b"/", b"/nothing", 1), b"not HTTP\r\n\r\n"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        headers = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        assert [line for line in headers if line.lower().startswith("server:")] == ["Server: threads-gateway"]
        writer.close()
        await writer.wait_closed()


async def test_an_idle_connection_holds_no_response() -> None:
    sent: list[web.Response] = []

    async def answer(_: web.Request) -> web.Response:
        sent.append(web.Response(body=b"x" * 100_000))
        return sent[-1]

    app = web.Application()
    app.router.add_get("/", answer)
    async with listening(app, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        async with session.get(url) as response:
            assert len(await response.read()) == 100_000
        await until(lambda: sent[0].body is None)


async def test_a_draining_gateway_serves_on_and_closes_each_connection(gateway: Gateway) -> None:
    await gateway.app[OPERATION_TASKS].drain(0)
    assert (await gateway.get("/readyz")).json == {"status": "not ready", "checks": {"gateway": "stopping"}}
    reply = await gateway.post({"query": "{ __typename }"}, headers={"Authorization": "Bearer x"})
    assert (reply.status, reply.json, reply.headers["Connection"]) == (200, {"data": {"__typename": "Query"}}, "close")


async def test_a_draining_gateway_still_opens_websockets(gateway: Gateway) -> None:
    await gateway.app[OPERATION_TASKS].drain(0)
    async with open_socket(gateway) as socket:
        reader = await socket.subscribe('subscription { runStatus(runId: "x") { status } }')
        await reader.wait_for_end()
        assert reader.errors


async def test_a_credential_just_over_its_limit_gets_a_clear_error(gateway: Gateway, emulator: Emulator) -> None:
    reply = await gateway.post({"query": "{ __typename }"}, headers={"Authorization": "x" * 8193})
    assert reply.status == 400
    assert "at most 8192 characters, got 8193" in reply.json["errors"][0]["message"]
    assert emulator.counts.total == 0

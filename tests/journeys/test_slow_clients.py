"""Tests that a client that reads nothing of its answer is let go, whatever transport it chose."""

import asyncio
import json
import socket
import urllib.parse
from collections.abc import AsyncIterator

import pytest

from gateway.server.sockets.listener import Listener
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.recorded_listeners import record_listeners
from tests.support.subscription_gateway import until

ALIASES = "".join(f"a{number}: assistants {{ nodes {{ instructions }} }} " for number in range(60))
QUERY = f"{{ {ALIASES} }}"
"""A query for 15 MB, more than the operating system holds for a client."""


@pytest.fixture
def listeners(monkeypatch: pytest.MonkeyPatch) -> list[Listener]:
    """The listeners that a test starts."""
    return record_listeners(monkeypatch)


@pytest.fixture
async def gateway(listeners: list[Listener], emulator: Emulator) -> AsyncIterator[Gateway]:
    await emulator.post("/assistants", {"model": "m", "instructions": "x" * 250_000})
    async with running_gateway(emulator.url, gateway_stalled_client_seconds=0.5) as gateway:
        listeners[:] = listeners[-1:]
        yield gateway


def post(accept: str) -> bytes:
    body = json.dumps({"query": QUERY})
    lines = ["POST /graphql HTTP/1.1", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *common_headers(accept), "", body]).encode()


def get(accept: str) -> bytes:
    parameters = urllib.parse.urlencode({"query": QUERY})
    return "\r\n".join([f"GET /graphql?{parameters} HTTP/1.1", *common_headers(accept), "", ""]).encode()


def common_headers(accept: str) -> list[str]:
    return ["Host: x", f"Authorization: {AUTHORIZATION}", f"Accept: {accept}"]


async def connect(gateway: Gateway) -> socket.socket:
    """Open a connection whose system holds few bytes for its client."""
    host, port = gateway.url.removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
    return client


@pytest.mark.parametrize(
    "sent", [post("application/json"), post("text/event-stream"), get("application/json"), get("text/event-stream")]
)
async def test_a_client_that_reads_nothing_of_its_answer_is_let_go(
    gateway: Gateway, listeners: list[Listener], sent: bytes
) -> None:
    (listener,) = listeners
    await gateway.data("{ assistants { nodes { id } } }")  # opens a connection to the upstream, which stays
    connections_before, tasks_before = len(listener), len(asyncio.all_tasks())
    client = await connect(gateway)
    with client:
        await asyncio.get_running_loop().sock_sendall(client, sent)
        await until(lambda: len(listener) > connections_before)
        await until(lambda: len(listener) == connections_before)
        await until(lambda: len(asyncio.all_tasks()) <= tasks_before)


async def test_a_client_that_reads_slowly_gets_its_whole_answer(gateway: Gateway) -> None:
    client = await connect(gateway)
    with client:
        await asyncio.get_running_loop().sock_sendall(client, post("application/json"))
        received = bytearray()
        while not received.endswith(b"]}}}"):
            received += await asyncio.get_running_loop().sock_recv(client, 64 * 1024)
        assert len(received) > 14_000_000

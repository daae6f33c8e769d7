"""Tests the raw HTTP of the attack corpus: what each row is answered, how little is logged, and that nothing stays."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import pytest

from gateway.server import app as server_app
from gateway.server.sockets.listener import Listener
from gateway.telemetry import rare_warning
from tests.attacks.attack import WireAttack
from tests.attacks.wires import HTTP
from tests.support.emulator import Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.subscription_gateway import until

CONNECTIONS = 10
"""Clients of each row: as many as a warning for each would be seen by."""

ROWS: Mapping[str, WireAttack] = {row.name: row for row in HTTP}
STATUSES: Mapping[str, int] = {
    "bodies of 1 MB": 400,
    "a body longer than allowed": 413,
    "endless trailers": 400,
    "pipelined queries": 200,
    "pipelined queries that nobody reads": 200,
    "headers of 16 KB": 400,
    "headers of 1 MB": 400,
    "endless headers": 400,
    "a request line of 1 MB": 400,
    "no HTTP": 400,
    "a malformed header": 400,
    "two lengths": 400,
    "a length and chunks": 400,
    "unknown paths": 404,
}
"""The status of each row that gets a response. All others wait for the rest of a request."""


class Place(NamedTuple):
    """A gateway and its listener, which counts the connections."""

    gateway: Gateway
    listener: Listener


@pytest.fixture
async def place(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    monkeypatch.setattr(rare_warning, "WARNING_SECONDS", 1_000_000.0)
    listeners = []

    def make_listener(*arguments: Any) -> Listener:
        listeners.append(Listener(*arguments))
        return listeners[-1]

    monkeypatch.setattr(server_app, "Listener", make_listener)
    async with running_gateway(emulator.url) as gateway:
        yield Place(gateway, listeners[-1])


async def answer(gateway: Gateway, row: WireAttack) -> tuple[bytes, bytes]:
    """Send a row once over a connection of its own. Returns the headers and the body of the first response."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(row.opening + row.drip)
        headers = await reader.readuntil(b"\r\n\r\n")
        length = int(headers.lower().partition(b"content-length:")[2].split()[0])
        return headers, await reader.readexactly(length)
    finally:
        writer.transport.abort()


def warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("name", STATUSES)
async def test_a_request_is_answered_in_json_with_at_most_one_warning_for_all(
    place: Place, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    gateway, listener = place
    answers = await asyncio.gather(*(answer(gateway, ROWS[name]) for _ in range(CONNECTIONS)))
    for headers, body in answers:
        assert int(headers.split()[1]) == STATUSES[name]
        assert b"\r\ncontent-type: application/json" in headers.lower()
        assert b"aiohttp" not in headers.lower()
        assert json.loads(body).keys() == {"data" if STATUSES[name] == 200 else "errors"}
        assert len(body) < 1_000
    assert len(warnings(caplog)) <= 1
    assert all(record.exc_info is None for record in warnings(caplog))
    await until(lambda: len(listener) == 0)
    assert await gateway.execute("{ __typename }") == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("name", sorted(ROWS.keys() - STATUSES.keys()))
async def test_an_unfinished_request_stops_no_other_and_leaves_nothing(
    place: Place, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    gateway, listener = place
    host, port = gateway.url.removeprefix("http://").split(":")
    streams = [await asyncio.open_connection(host, int(port)) for _ in range(CONNECTIONS)]
    for _, writer in streams:
        writer.write(ROWS[name].opening + ROWS[name].drip)
    await until(lambda: len(listener) == CONNECTIONS)
    assert await gateway.execute("{ __typename }") == {"data": {"__typename": "Query"}}
    for _, writer in streams:
        writer.transport.abort()
    await until(lambda: len(listener) <= 1)  # that of the query
    assert not warnings(caplog)


async def test_an_expectation_that_no_server_knows_is_refused_in_json(place: Place) -> None:
    host, port = place.gateway.url.removeprefix("http://").split(":")
    for path in ("/graphql", "/missing"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: foo\r\nContent-Length: 2\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].split()[0])
        (error,) = json.loads(await reader.readexactly(length))["errors"]
        assert head.startswith("HTTP/1.1 417 ")
        assert "application/json" in head
        assert error["message"] == 'Expected no Expect header but 100-continue, got "foo".'
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["extensions"]["requestId"] in head
        writer.close()
        await writer.wait_closed()

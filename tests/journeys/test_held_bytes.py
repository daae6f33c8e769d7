"""Tests that what clients together do not finish or do not read is bounded, and is freed when they leave."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.server import app as server_app
from gateway.server import endpoint as server_endpoint
from gateway.server.app import UNFINISHED_BYTES
from gateway.server.sockets.connection import Connection
from gateway.server.sockets.connection_limits import ConnectionLimits
from schema.engine.documents import DocumentReader, ParsedDocument
from tests.attacks.attack import ATTACKER_KEY
from tests.attacks.wires import INIT, UPGRADE, frame, post, subscribe
from tests.support.emulator import Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.recorded_listeners import record_listeners
from tests.support.subscription_gateway import until

PART = frame(b" " * 30_000, is_final=False)
NEXT_PART = frame(b" " * 30_000, opcode=0, is_final=False)
CLOSED_TO_COME_AGAIN = b"\x88\x02\x03\xf5"
AUTHORIZED = {"Authorization": f"Bearer {ATTACKER_KEY}"}
LONG = "{ " + " ".join(f"a{n}: assistants {{ nodes {{ instructions }} }}" for n in range(40)) + " }"


@pytest.fixture
async def gateway(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    monkeypatch.setattr(server_endpoint, "MAX_UNFINISHED_BYTES", 100_000)
    async with running_gateway(emulator.url, gateway_max_body_bytes=100_000) as gateway:
        yield gateway


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(gateway: Gateway, sent: bytes) -> Streams:
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=16_000_000)
    writer.write(sent)
    return reader, writer


async def open_socket(gateway: Gateway, sent: bytes) -> Streams:
    """Open a WebSocket, send its init, wait for the answer, and send more."""
    reader, writer = await connect(gateway, UPGRADE + INIT)
    await reader.readuntil(b'connection_ack"}')
    writer.write(sent)
    return reader, writer


async def test_messages_of_all_sockets_that_do_not_end_are_bounded_together_with_bodies(gateway: Gateway) -> None:
    unfinished = gateway.app[UNFINISHED_BYTES]
    first = await open_socket(gateway, PART)
    second = await open_socket(gateway, PART)
    await until(lambda: unfinished.held_bytes == 2 * 30_004)
    first[1].write(frame(b"x", opcode=9))  # a ping between two parts
    third = await open_socket(gateway, PART + NEXT_PART)
    assert await third[0].read() == CLOSED_TO_COME_AGAIN
    assert unfinished.held_bytes == 2 * 30_004
    body = await connect(gateway, post(b" " * 60_000, length=90_000))
    assert (await body[0].readline()).startswith(b"HTTP/1.1 503")
    for _, writer in (first, second, third, body):
        writer.close()
        await writer.wait_closed()
    await until(lambda: unfinished.held_bytes == 0)


async def test_complete_requests_in_flight_are_bounded_in_sum_but_for_small_ones(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished, opened, read = gateway.app[UNFINISHED_BYTES], asyncio.Event(), DocumentReader.read
    begun: list[str] = []

    async def gated_read(reader: DocumentReader, text: str, caller: str) -> ParsedDocument:
        begun.append(text)
        await opened.wait()
        return await read(reader, text, caller)

    monkeypatch.setattr(DocumentReader, "read", gated_read)
    small = {"query": "{ upstream { version } }"}
    large = small | {"variables": {"unused": "x" * 60_000}}
    size = len(json.dumps(large))
    asked = [asyncio.create_task(gateway.post(large, headers=AUTHORIZED))]
    await until(lambda: len(begun) == 1)
    assert unfinished.held_bytes == size
    assert (await gateway.post(large, headers=AUTHORIZED)).status == 503
    operation = json.dumps({"id": "1", "type": "subscribe", "payload": large}).encode()
    reader, refused = await open_socket(gateway, frame(operation))
    assert await reader.read() == CLOSED_TO_COME_AGAIN
    refused.close()
    asked.append(asyncio.create_task(gateway.post(small, headers=AUTHORIZED)))
    await until(lambda: len(begun) == 2)
    opened.set()
    assert [(await reply).status for reply in asked] == [200, 200]
    assert unfinished.held_bytes == 0
    opened.clear()
    _, writer = await open_socket(gateway, frame(operation))
    await until(lambda: len(begun) == 3)
    assert unfinished.held_bytes == len(operation)
    writer.transport.abort()
    await until(lambda: unfinished.held_bytes == 0)


def connections() -> int:
    return sum(isinstance(each, Connection) for each in gc.get_objects())


async def test_a_socket_that_left_in_the_middle_of_a_message_is_freed_before_its_next_ping(gateway: Gateway) -> None:
    before = connections()
    _, writer = await open_socket(gateway, PART)
    await until(lambda: gateway.app[UNFINISHED_BYTES].held_bytes == 30_004)
    writer.transport.abort()
    await until(lambda: gateway.app[UNFINISHED_BYTES].held_bytes == 0)
    for _ in range(20):  # turns of the event loop, in which the handler ends
        await asyncio.sleep(0)
    assert connections() == before


async def test_a_message_in_parts_is_no_longer_held_once_it_has_ended(gateway: Gateway) -> None:
    reader, writer = await open_socket(gateway, frame(b'{"type"', is_final=False) + frame(b': "ping"', opcode=0)[:-2])
    await until(lambda: gateway.app[UNFINISHED_BYTES].held_bytes > 0)
    writer.write(frame(b': "ping"', opcode=0)[-2:])
    assert (await reader.readexactly(1)) == b"\x88"  # a close frame, since the text is no JSON
    await until(lambda: gateway.app[UNFINISHED_BYTES].held_bytes == 0)
    writer.close()
    await writer.wait_closed()


def bound_unread_bytes(patch: pytest.MonkeyPatch, max_bytes: int) -> None:
    """Let less wait for all clients together than the gateway allows."""

    def limits(*arguments: int, **others: Any) -> ConnectionLimits:
        return replace(ConnectionLimits(*arguments, **others), max_unread_bytes=max_bytes)

    patch.setattr(server_app, "ConnectionLimits", limits)


async def test_responses_that_nobody_reads_are_bounded_in_sum(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound_unread_bytes(monkeypatch, 15_000_000)
    await emulator.post("/assistants", {"model": "m", "instructions": "x" * 250_000}, key=ATTACKER_KEY)
    body = f'{{"query": "{LONG}"}}'.encode()
    async with running_gateway(emulator.url) as gateway:
        stalled = []
        for _ in range(4):  # each has 10 MB waiting, less what the operating system holds
            streams = await connect(gateway, post(body))
            await streams[0].readuntil(b"\r\n\r\n")
            stalled.append(streams)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await stalled[0][0].readexactly(10_000_000)
        assert len(await stalled[-1][0].readexactly(10_000_000)) == 10_000_000
        for _, writer in stalled:
            writer.transport.abort()


async def test_results_of_one_socket_that_nobody_reads_are_bounded_in_sum(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound_unread_bytes(monkeypatch, 25_000_000)
    await emulator.post("/assistants", {"model": "m", "instructions": "x" * 250_000}, key=ATTACKER_KEY)
    listeners = record_listeners(monkeypatch)
    async with running_gateway(emulator.url) as gateway:
        reader, writer = await open_socket(gateway, b"".join(subscribe(number, LONG) for number in range(2)))
        for _ in range(2):  # with 20 MB it is served, however late it reads
            assert len(await reader.readuntil(b'"type":"complete","id":"')) > 0
        writer.write(b"".join(subscribe(number, LONG) for number in range(9)))
        await until(lambda: not any(map(len, listeners)))
        writer.transport.abort()

"""Tests that a long response is the same as a short one over every transport, and is never copied as a whole."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gateway.server.http.sliced_encoding import SLICE_BYTES
from gateway.server.sockets.client_transport import ClientTransport
from schema.contract.encoded_json import JsonPieces
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.gateway import Gateway, running_gateway

INSTRUCTIONS = "line\n" * 50_000
ALIASES = 20
QUERY = "{ " + " ".join(f"a{number}: assistants {{ nodes {{ instructions }} }}" for number in range(ALIASES)) + " }"
DATA = {f"a{number}": {"nodes": [{"instructions": INSTRUCTIONS}]} for number in range(ALIASES)}
MAX_PIECE_BYTES = SLICE_BYTES + 2 * len(INSTRUCTIONS)
"""A slice, and the text with which it ends."""


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what is handed to connections at once."""
    sizes: list[int] = []
    write = ClientTransport.write

    def recorded(transport: ClientTransport, data: Any) -> None:
        sizes.append(len(data))
        write(transport, data)

    monkeypatch.setattr(ClientTransport, "write", recorded)
    return sizes


@pytest.fixture
async def gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    await emulator.post("/assistants", {"model": "m", "instructions": INSTRUCTIONS})
    async with running_gateway(emulator.url) as gateway:
        yield gateway


async def body(gateway: Gateway, accept: str, **extensions: str) -> bytes:
    headers = {"Accept": accept, "Authorization": AUTHORIZATION, **extensions}
    async with gateway.session.post(f"{gateway.url}/graphql", json={"query": QUERY}, headers=headers) as response:
        assert response.status == 200
        return await response.read()


def is_in_pieces(written: list[int]) -> bool:
    return sum(written) > ALIASES * len(INSTRUCTIONS) and max(written) <= MAX_PIECE_BYTES


async def test_a_long_response_is_sent_in_pieces(gateway: Gateway, written: list[int]) -> None:
    assert json.loads(await body(gateway, "application/json")) == {"data": DATA}
    assert is_in_pieces(written)


async def test_a_long_response_may_have_extensions(gateway: Gateway, written: list[int]) -> None:
    reply = json.loads(await body(gateway, "application/json", **{"GraphQL-Cost": "1"}))
    assert (reply["data"], reply["extensions"]["cost"]["upstreamCalls"]) == (DATA, 1)
    assert is_in_pieces(written)


async def test_a_long_event_is_sent_in_pieces(gateway: Gateway, written: list[int]) -> None:
    events = (await body(gateway, "text/event-stream")).split(b"\n\n")
    assert json.loads(events[0].removeprefix(b"event: next\ndata: ")) == {"data": DATA}
    assert events[1:] == [b"event: complete\ndata: ", b""]
    assert is_in_pieces(written)


async def test_a_long_message_of_a_websocket_is_sent_in_pieces(gateway: Gateway, written: list[int]) -> None:
    async with gateway.session.ws_connect(
        f"{gateway.url}/graphql",
        protocols=("graphql-transport-ws",),
        headers={"Authorization": AUTHORIZATION},
        max_msg_size=0,
    ) as socket:
        await socket.send_json({"type": "connection_init"})
        assert (await socket.receive_json())["type"] == "connection_ack"
        await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": QUERY}})
        async with asyncio.timeout(20):
            message = await socket.receive()
            assert message.type is aiohttp.WSMsgType.TEXT
            assert json.loads(message.data) == {"type": "next", "id": "1", "payload": {"data": DATA}}
            assert await socket.receive_json() == {"type": "complete", "id": "1"}
    assert is_in_pieces(written)


async def test_a_long_response_is_repeated_from_the_cache_in_pieces(emulator: Emulator, written: list[int]) -> None:
    await emulator.post("/assistants", {"model": "m", "instructions": INSTRUCTIONS})
    async with running_gateway(emulator.url, gateway_cache=True, gateway_cache_bytes=200_000_000) as gateway:
        first = await body(gateway, "application/json")
        calls = emulator.counts.total
        written.clear()
        assert await body(gateway, "application/json") == first
        assert emulator.counts.total == calls
    assert is_in_pieces(written)


def test_pieces_have_the_length_of_the_whole() -> None:
    assert len(JsonPieces((b'{"a":', b"1", b"}"))) == len(b'{"a":1}')

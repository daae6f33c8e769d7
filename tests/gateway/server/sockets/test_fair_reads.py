"""Tests of the turns in which connections are read."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aiohttp import web

from gateway.server.sockets import fair_reads
from gateway.server.sockets.connection import Connection
from gateway.server.sockets.connection_limits import ConnectionLimits
from gateway.server.sockets.fair_reads import (
    BURST_BYTES,
    BYTES_OF_A_READ,
    BYTES_PER_SECOND,
    READ_BYTES,
    READS_PER_TURN,
    FairReads,
    ReadAllowance,
)
from gateway.server.sockets.listener import Listener, bind_sockets

FLOODS = 20
FLOOD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
SMALL = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class TurnCounter:
    """Counts the turns of the running event loop."""

    def __init__(self) -> None:
        self.turns = 0
        self._handle = asyncio.get_running_loop().call_soon(self._count)

    def stop(self) -> None:
        self._handle.cancel()

    def _count(self) -> None:
        self.turns += 1
        self._handle = asyncio.get_running_loop().call_soon(self._count)


class FakeReader:
    """A connection that notes its turns and always has more to read."""

    def __init__(self, name: int, reads: FairReads, turns: list[int]) -> None:
        self._name, self._reads, self._turns = name, reads, turns

    def on_turn(self) -> None:
        self._turns.append(self._name)
        self._reads.enqueue(self)


def test_an_allowance_is_used_up_by_a_burst_and_filled_by_time() -> None:
    allowance, reads = ReadAllowance(0.0), 0
    while allowance.take(READ_BYTES, 0.0):
        reads += 1
    assert reads == BURST_BYTES // (READ_BYTES + BYTES_OF_A_READ)
    assert not allowance.take(1, 0.0)
    assert allowance.take(1, 1.0)


def test_a_client_that_sends_little_never_waits() -> None:
    allowance = ReadAllowance(0.0)
    size = BYTES_PER_SECOND // 100 - BYTES_OF_A_READ
    assert all(allowance.take(size, number / 100) for number in range(10_000))


def test_a_long_flood_is_forgiven_after_a_quarter_of_a_second() -> None:
    allowance = ReadAllowance(0.0)
    for _ in range(10_000):
        allowance.take(READ_BYTES, 0.0)
    assert allowance.take(READ_BYTES, 0.25)


def test_each_short_read_counts() -> None:
    allowance = ReadAllowance(0.0)
    assert not all(allowance.take(1, 0.0) for _ in range(BURST_BYTES // BYTES_OF_A_READ))


async def test_connections_that_wait_are_read_in_rounds_and_a_few_in_each_turn_of_the_loop() -> None:
    loop = asyncio.get_running_loop()
    reads, order = FairReads(loop, loop.time), list[int]()
    for name in range(10):
        reads.enqueue(FakeReader(name, reads, order))
    for turns in range(10):
        assert len(order) == turns * READS_PER_TURN
        await asyncio.sleep(0)
    assert order == [number % 10 for number in range(10 * READS_PER_TURN)]
    assert len(reads) == 10


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = Listener(cast("web.Server", runner.server), ConnectionLimits())
    _, port = listener.listen(await bind_sockets("127.0.0.1", 0))
    yield port
    await listener.close(0)
    await runner.cleanup()
    await listener.end_lingering(0)


async def test_a_flood_of_many_clients_is_read_in_small_pieces_and_a_small_request_passes_it(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fair_reads, "BYTES_PER_SECOND", 0)
    received, beyond_bursts = Counter[Connection](), Counter[int]()
    small, counter = list[int](), TurnCounter()
    receive = Connection.data_received

    def data_received(self: Connection, data: bytes) -> None:
        if data == SMALL:
            small.append(counter.turns)
        if received[self] > BURST_BYTES:
            beyond_bursts[counter.turns] += len(data)
        received[self] += len(data)
        receive(self, data)

    monkeypatch.setattr(Connection, "data_received", data_received)

    async def connect(sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        return reader, writer

    async def response(streams: tuple[asyncio.StreamReader, Any]) -> bytes:
        head = await streams[0].readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        return head

    victim = await connect(SMALL)
    await response(victim)
    floods = [await connect(FLOOD) for _ in range(FLOODS)]
    while not beyond_bursts:  # noqa: ASYNC110 - the condition has no event
        await asyncio.sleep(0)
    sent_at = counter.turns
    victim[1].write(SMALL)
    await response(victim)
    for flood in floods:
        await response(flood)
    counter.stop()
    assert sum(beyond_bursts.values()) > FLOODS * 70_000
    assert max(beyond_bursts.values()) <= READS_PER_TURN * READ_BYTES
    assert small[-1] <= sent_at + 2
    for _, writer in [victim, *floods]:
        writer.close()
        await writer.wait_closed()

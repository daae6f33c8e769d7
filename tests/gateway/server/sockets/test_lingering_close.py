"""Tests of the end of connections, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

import pytest

from gateway.server.sockets.lingering_close import LingeringCloses
from tests.support.subscription_gateway import until

LAST_WORDS = b"the last words"


class FakeWatch:
    """A watch that notes that it was stopped."""

    def __init__(self) -> None:
        self.is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True


class ClosingServer:
    """A server that reads nothing, sends `words` and closes each connection once `close` is called."""

    def __init__(self, port: int, closes: LingeringCloses, transports: list[asyncio.Transport]) -> None:
        self.closes, self.lost = closes, 0
        self.watch = FakeWatch()
        self._port, self._transports = port, transports

    async def connect(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        before = len(self._transports)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        await until(lambda: len(self._transports) > before)
        writer.write(sent)
        return reader, writer

    def close(self, words: bytes = LAST_WORDS) -> None:
        transport = self._transports[-1]
        transport.write(words)
        self.closes.start(transport, self.watch, self._on_lost)

    def _on_lost(self) -> None:
        self.lost += 1


class Silent(asyncio.Protocol):
    """A protocol that reads nothing."""

    def __init__(self, on_made: Callable[[asyncio.Transport], None]) -> None:
        self._on_made = on_made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connected = cast("asyncio.Transport", transport)
        connected.pause_reading()
        connected.set_write_buffer_limits(high=0)
        self._on_made(connected)


@asynccontextmanager
async def closing_server(
    linger_seconds: float = 60, max_discarded_bytes: int = 4 << 20
) -> AsyncIterator[ClosingServer]:
    transports = list[asyncio.Transport]()
    server = await asyncio.get_running_loop().create_server(lambda: Silent(transports.append), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield ClosingServer(port, LingeringCloses(linger_seconds, max_discarded_bytes), transports)


async def test_a_client_that_is_still_sending_gets_what_was_sent_last() -> None:
    async with closing_server() as server:
        reader, writer = await server.connect(b"x" * 2_000_000)
        server.close()
        await writer.drain()
        assert await reader.read() == LAST_WORDS
        assert (server.lost, len(server.closes)) == (0, 1)
        writer.close()
        await writer.wait_closed()
        await until(lambda: server.lost == 1)
        assert (len(server.closes), server.watch.is_stopped) == (0, True)


async def test_a_client_that_sends_without_end_is_cut_off() -> None:
    async with closing_server(max_discarded_bytes=100_000) as server:
        _, writer = await server.connect()
        server.close()
        with suppress(ConnectionError):
            while True:
                writer.write(b"x" * 10_000)
                await writer.drain()
        await until(lambda: server.lost == 1)


async def test_a_silent_client_is_closed_after_a_while() -> None:
    async with closing_server(linger_seconds=0) as server:
        reader, writer = await server.connect()
        server.close()
        await until(lambda: server.lost == 1)
        assert await reader.read() == LAST_WORDS
        writer.close()
        await writer.wait_closed()


async def test_the_while_begins_when_the_client_has_read_all() -> None:
    words = b"x" * 20_000_000
    async with closing_server(linger_seconds=0) as server:
        reader, writer = await server.connect()
        server.close(words)
        for _ in range(100):  # turns of the event loop, in which a timer without a delay runs
            await asyncio.sleep(0)
        assert (server.lost, server.watch.is_stopped) == (0, False)
        assert await reader.read() == words
        await until(lambda: server.lost == 1)
        assert server.watch.is_stopped
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_has_left_is_closed_at_once() -> None:
    async with closing_server() as server:
        _, writer = await server.connect()
        writer.transport.abort()
        await asyncio.sleep(0)
        server.close()
        await until(lambda: server.lost == 1)


@pytest.mark.parametrize("client_leaves", [False, True])
async def test_the_end_waits_for_clients_that_leave_and_aborts_others(client_leaves: bool) -> None:
    async with closing_server() as server:
        _, writer = await server.connect()
        server.close()
        if client_leaves:
            writer.close()
        await server.closes.aclose(60 if client_leaves else 0)
        assert (server.lost, len(server.closes)) == (1, 0)
        writer.transport.abort()

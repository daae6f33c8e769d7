"""The listening sockets: they accept as many connections as there may be, and stay calm when one cannot be accepted."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Sequence

from aiohttp import web

from gateway.background_tasks import BackgroundTasks
from gateway.server.http.held_bytes import HeldBytes, UnfinishedBytes, UnreadBytes
from gateway.server.sockets.connection import Connection
from gateway.server.sockets.connection_limits import ConnectionLimits
from gateway.server.sockets.fair_reads import FairReads, PiecewiseProtocol
from gateway.server.sockets.lingering_close import LingeringCloses
from gateway.telemetry.rare_warning import RareWarning

_logger = logging.getLogger(__name__)

BACKLOG = 1024
"""Connections that the operating system holds until they are accepted."""

ACCEPTS_PER_TURN = 32
"""Connections accepted in one turn of the event loop."""

PAUSE_SECONDS = 0.1
"""Pause after a connection could not be accepted, most often because the process has too many open files."""


async def bind_sockets(host: str, port: int) -> list[socket.socket]:
    """Open sockets that listen on an address; a name may have several. Port 0 takes a free one.

    Raises:
        OSError: The address cannot be used.
    """
    # asyncio resolves the name and binds its addresses. It would log each failure to accept with a traceback.
    bound = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port, start_serving=False)
    sockets = [each.dup() for each in bound.sockets]
    bound.close()
    for each in sockets:
        each.setblocking(False)
        each.listen(BACKLOG)
    return sockets


class Listener:
    """Accepts the connections of one server, at most `max_connections` at once. One more is closed at once."""

    def __init__(self, server: web.Server, limits: ConnectionLimits, unfinished: UnfinishedBytes | None = None) -> None:
        """Start without sockets."""
        self._held = HeldBytes(unfinished or UnfinishedBytes(sys.maxsize), UnreadBytes(limits.max_unread_bytes))
        self._server = server
        self._limits = limits
        self._sockets: list[socket.socket] = []
        self._connections: set[Connection] = set()
        loop = asyncio.get_running_loop()
        self._fair_reads = FairReads(loop, loop.time)
        self._lingering = LingeringCloses()
        self._tasks = BackgroundTasks()
        self._failure = RareWarning(_logger, "cannot accept a connection (%s)")
        self._overload = RareWarning(_logger, "closed a new connection because %d are open")
        self._malformed = RareWarning(_logger, "refused a request that is no HTTP (%s)")

    def __len__(self) -> int:
        """Count the connections."""
        return len(self._connections)

    def listen(self, sockets: Sequence[socket.socket]) -> tuple[str, int]:
        """Accept connections on sockets, which are closed at the end. Other processes may accept on them too.

        Returns:
            The address of the first socket, with its port.
        """
        loop = asyncio.get_running_loop()
        self._sockets = list(sockets)
        for each in sockets:
            loop.add_reader(each, self.accept, each)
        address: tuple[str, int] = sockets[0].getsockname()[:2]
        return address

    def accept(self, listening: socket.socket) -> None:
        """Accept the connections that wait, a few in each turn of the event loop."""
        for _ in range(ACCEPTS_PER_TURN):
            try:
                accepted, _ = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # its client has left
            except OSError as error:
                self._failure.give(error.strerror)
                self._pause(listening)
                return
            if len(self._connections) >= self._limits.max_connections:
                accepted.close()
                self._overload.give(len(self._connections))
                continue
            accepted.setblocking(False)
            connection = self._new_connection()
            self._connections.add(connection)
            self._tasks.start(self._connect(connection, accepted))

    async def close(self, timeout_seconds: float) -> None:
        """Accept what waits and no more, and wait for the first requests of new connections.

        A client whose connection was accepted thus gets a response.
        """
        loop = asyncio.get_running_loop()
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            self.accept(each)
            loop.remove_reader(each)
            each.close()
        if awaited := [each.first_headers for each in self._connections if not each.first_headers.done()]:
            await asyncio.wait(awaited, timeout=timeout_seconds)
        await self._tasks.aclose()

    async def end_lingering(self, timeout_seconds: float) -> None:
        """Wait until the clients of connections that are being closed have read the last bytes, or the time is over."""
        await self._lingering.aclose(timeout_seconds)

    def _new_connection(self) -> Connection:
        return Connection(
            self._server,
            self._limits,
            self._held,
            self._malformed,
            self._fair_reads,
            self._lingering,
            self._connections.discard,
        )

    async def _connect(self, connection: Connection, accepted: socket.socket) -> None:
        try:
            protocol = PiecewiseProtocol(connection, self._fair_reads)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, accepted)
        except OSError:
            accepted.close()
            self._connections.discard(connection)

    def _pause(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(PAUSE_SECONDS, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            asyncio.get_running_loop().add_reader(listening, self.accept, listening)

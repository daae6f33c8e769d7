"""All open WebSockets and event streams: counted, limited, and asked to reconnect when the gateway stops."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Protocol

from gateway.background_tasks import BackgroundTasks
from gateway.server.http.refusals import overload_refusal
from gateway.server.http.request_limits import SubscriptionLimits
from gateway.server.live.fan_out import FanOut

CLOSE_TIMEOUT_SECONDS = 1.0
"""How long a client may take to read the last bytes before its connection is aborted."""


class LiveConnection(Protocol):
    """One long-lived connection."""

    def request_reconnect(self) -> None:
        """Ask the client to reconnect, which leads it to another process. May be called more than once."""

    def abort(self) -> None:
        """Close the connection at once, without waiting for the client."""


class LiveConnections:
    """All long-lived connections of this process, and their background tasks."""

    def __init__(self, limits: SubscriptionLimits, fan_out: FanOut) -> None:
        """Start without connections."""
        self.limits = limits
        self.fan_out = fan_out
        self.tasks = BackgroundTasks()
        self._slot_count = 0
        self._uninitialised_count = 0
        self._open: set[LiveConnection] = set()
        self._all_closed = asyncio.Event()
        self._lingering: dict[asyncio.Transport, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """Count the connections."""
        return self._slot_count

    def acquire_slot(self, *, initialised: bool = True) -> ConnectionSlot:
        """Acquire a slot for one connection; leaving its context releases it.

        Raises:
            Refusal: All slots are taken, or all those of sockets that have not sent `connection_init`.
        """
        if self._slot_count >= self.limits.max_sockets:
            raise overload_refusal(
                f"Expected at most {self.limits.max_sockets} WebSockets and event streams, got one more."
            )
        if not initialised and self._uninitialised_count >= self.limits.max_uninitialised_sockets:
            limit = self.limits.max_uninitialised_sockets
            raise overload_refusal(f"Expected at most {limit} WebSockets without connection_init, got one more.")
        return ConnectionSlot(self, initialised=initialised)

    def adjust_counts(self, *, slots: int = 0, uninitialised: int = 0) -> None:
        """Add to the counts, or subtract from them with negative numbers."""
        self._slot_count += slots
        self._uninitialised_count += uninitialised

    def register(self, connection: LiveConnection) -> None:
        """Add an open connection, so that it is asked to reconnect when the gateway stops."""
        self._open.add(connection)

    def unregister(self, connection: LiveConnection) -> None:
        """Remove a connection that has ended."""
        self._open.discard(connection)
        if not self._open:
            self._all_closed.set()

    def request_reconnects(self) -> None:
        """Ask all clients to reconnect."""
        for connection in list(self._open):
            connection.request_reconnect()

    def abort_after_timeout(self, transport: asyncio.Transport) -> None:
        """Abort a closing connection after `CLOSE_TIMEOUT_SECONDS` if bytes still wait for its client."""
        if transport.get_write_buffer_size() and transport not in self._lingering:
            loop = asyncio.get_running_loop()
            self._lingering[transport] = loop.call_later(CLOSE_TIMEOUT_SECONDS, self._abort, transport)

    async def aclose(self) -> None:
        """Ask all clients to reconnect, and abort the connections that do not end in time."""
        self.request_reconnects()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                while self._open:
                    self._all_closed.clear()
                    await self._all_closed.wait()
        except TimeoutError:
            for connection in list(self._open):
                connection.abort()
        for transport, handle in list(self._lingering.items()):
            handle.cancel()
            self._abort(transport)
        await self.tasks.aclose()
        await self.fan_out.aclose()

    def _abort(self, transport: asyncio.Transport) -> None:
        self._lingering.pop(transport, None)
        transport.abort()


class ConnectionSlot:
    """The slot of one connection, as a context manager that releases it."""

    __slots__ = ("_connections", "_initialised")

    def __init__(self, connections: LiveConnections, *, initialised: bool) -> None:
        """Acquire the slot."""
        self._connections = connections
        self._initialised = initialised
        connections.adjust_counts(slots=1, uninitialised=0 if initialised else 1)

    def mark_initialised(self) -> None:
        """Count the connection as initialised from now on. May be called more than once."""
        if not self._initialised:
            self._initialised = True
            self._connections.adjust_counts(uninitialised=-1)

    def __enter__(self) -> ConnectionSlot:
        return self

    def __exit__(self, *_: object) -> None:
        self.mark_initialised()
        self._connections.adjust_counts(slots=-1)


def send_without_waiting(sending: Coroutine[object, object, object]) -> None:
    """Run a send that must not wait.

    A lost connection is ignored here, because the owner of the connection notices it too.

    Raises:
        RuntimeError: The send had to wait.
    """
    try:
        sending.send(None)
    except (StopIteration, ConnectionError):
        return
    sending.close()
    raise RuntimeError("expected to send at once, but had to wait")

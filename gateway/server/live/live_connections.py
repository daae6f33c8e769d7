"""The connections that stay: WebSockets and event streams, counted, bounded, and sent away when the gateway stops."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Protocol

from gateway.server.http.refusals import overload_refusal
from gateway.server.http.request_limits import SubscriptionLimits
from gateway.server.live.background_tasks import BackgroundTasks
from gateway.server.live.fan_out import FanOut

CLOSE_TIMEOUT_SECONDS = 1.0
"""How long a client that is sent away may take for the last of what was sent to it."""


class LiveConnection(Protocol):
    """One client that stays."""

    def request_reconnect(self) -> None:
        """Tell the client to come back, to whatever gateway answers then; again and again at no harm."""

    def abort(self) -> None:
        """End the connection at once."""


class LiveConnections:
    """All connections of this process that stay, and the tasks that some of them need for a moment."""

    def __init__(self, limits: SubscriptionLimits, fan_out: FanOut) -> None:
        """Nobody is connected yet."""
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
        """Take one of the places, to be released; raises a `Refusal` where none is left."""
        if self._slot_count >= self.limits.max_sockets:
            raise overload_refusal(
                f"Expected at most {self.limits.max_sockets} WebSockets and event streams, got one more."
            )
        if not initialised and self._uninitialised_count >= self.limits.max_uninitialised_sockets:
            most = self.limits.max_uninitialised_sockets
            raise overload_refusal(f"Expected at most {most} WebSockets without connection_init, got one more.")
        return ConnectionSlot(self, initialised=initialised)

    def adjust_counts(self, *, slots: int = 0, uninitialised: int = 0) -> None:
        """Count places that are taken or released."""
        self._slot_count += slots
        self._uninitialised_count += uninitialised

    def register(self, connection: LiveConnection) -> None:
        """Have a connection told when the gateway stops."""
        self._open.add(connection)

    def unregister(self, connection: LiveConnection) -> None:
        """Forget a connection that is over."""
        self._open.discard(connection)
        if not self._open:
            self._all_closed.set()

    def request_reconnects(self) -> None:
        """Tell all clients to come back."""
        for connection in list(self._open):
            connection.request_reconnect()

    def abort_after_timeout(self, transport: asyncio.Transport) -> None:
        """Give a client a moment to take what was sent to it last, where there is something left."""
        if transport.get_write_buffer_size() and transport not in self._lingering:
            loop = asyncio.get_running_loop()
            self._lingering[transport] = loop.call_later(CLOSE_TIMEOUT_SECONDS, self._abort, transport)

    async def aclose(self) -> None:
        """Send away who is left, and end what then does not end by itself."""
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
    """One of the places, held until it is released."""

    __slots__ = ("_connections", "_initialised")

    def __init__(self, connections: LiveConnections, *, initialised: bool) -> None:
        """Take it."""
        self._connections = connections
        self._initialised = initialised
        connections.adjust_counts(slots=1, uninitialised=0 if initialised else 1)

    def mark_initialised(self) -> None:
        """Stand among the uninitialised no longer."""
        if not self._initialised:
            self._initialised = True
            self._connections.adjust_counts(uninitialised=-1)

    def __enter__(self) -> ConnectionSlot:
        return self

    def __exit__(self, *_: object) -> None:
        self.mark_initialised()
        self._connections.adjust_counts(slots=-1)


def send_without_waiting(sending: Coroutine[object, object, object]) -> None:
    """Send what is sent without waiting for room. A lost connection is no error here: its owner hears of it."""
    try:
        sending.send(None)
    except (StopIteration, ConnectionError):
        return
    sending.close()
    raise RuntimeError("expected to send at once, but had to wait")

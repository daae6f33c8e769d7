"""The end of a connection whose client may still be sending: what was sent last reaches it.

An operating system resets a connection that is closed with unread bytes, and the client then loses what it has not yet
read: the response, or the frame that says why its WebSocket is closed. So the sending side is closed first, and what
still comes is read and thrown away, for a while.

Source: RFC 9112, section 9.6 "Tear-down".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

LINGER_SECONDS = 2.0
"""Longest time for which bytes are thrown away, from the moment when everything has been sent."""

MAX_DISCARDED_BYTES = 4 << 20
"""Most bytes of a connection that are thrown away."""

_DISCARD_BYTES = 64 * 1024


class WriteWatch(Protocol):
    """The watch over a client that does not read."""

    def stop(self) -> None:
        """Stop watching."""


class LingeringCloses:
    """The connections of one listener that are being closed."""

    def __init__(self, linger_seconds: float = LINGER_SECONDS, max_discarded_bytes: int = MAX_DISCARDED_BYTES) -> None:
        """Start without connections."""
        self.linger_seconds = linger_seconds
        self.max_discarded_bytes = max_discarded_bytes
        self._open: set[LingeringClose] = set()
        self._all_closed = asyncio.Event()
        # Of all connections: nobody reads what is in it.
        self.discarded = memoryview(bytearray(_DISCARD_BYTES))

    def __len__(self) -> int:
        """Count the connections."""
        return len(self._open)

    def start(self, transport: asyncio.Transport, watch: WriteWatch | None, on_lost: Callable[[], None]) -> None:
        """Close a connection. `watch` goes on until everything is sent, and `on_lost` is called once it is closed."""
        closing = LingeringClose(self, transport, watch, on_lost)
        self._open.add(closing)
        closing.start()

    def remove(self, closing: LingeringClose) -> None:
        """Forget a connection that is closed."""
        self._open.discard(closing)
        if not self._open:
            self._all_closed.set()

    async def aclose(self, timeout_seconds: float) -> None:
        """Wait until all are closed, and abort those that are not in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._wait()
        except TimeoutError:
            for closing in list(self._open):
                closing.abort()
            await self._wait()

    async def _wait(self) -> None:
        while self._open:
            self._all_closed.clear()
            await self._all_closed.wait()


class LingeringClose(asyncio.BufferedProtocol):
    """One connection that is being closed. It takes the place of the protocol that the connection had."""

    __slots__ = ("_bytes_left", "_closes", "_on_lost", "_timer", "_transport", "_watch")

    def __init__(
        self,
        closes: LingeringCloses,
        transport: asyncio.Transport,
        watch: WriteWatch | None,
        on_lost: Callable[[], None],
    ) -> None:
        """Do nothing yet."""
        self._closes = closes
        self._transport = transport
        self._watch = watch
        self._on_lost = on_lost
        self._bytes_left = closes.max_discarded_bytes
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Send the waiting bytes and then the end of the stream. Discard further input."""
        self._transport.set_protocol(self)
        try:
            self._transport.write_eof()
        except OSError:
            self._transport.abort()  # its client has left
            return
        self._transport.resume_reading()
        if not self._transport.get_write_buffer_size():
            self.resume_writing()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._closes.discarded

    def buffer_updated(self, nbytes: int) -> None:
        self._bytes_left -= nbytes
        if self._bytes_left <= 0:
            self._transport.abort()

    def resume_writing(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        self._start_timer()

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.stop()
        self._closes.remove(self)
        self._on_lost()

    def _start_timer(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._closes.linger_seconds, self._transport.close)

"""Turns of reading: all clients are read in small pieces, and those that send much wait for each other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

READ_BYTES = 4096
"""Bytes that are read from a connection at once. The work that they cause is done before the next piece is read."""

READS_PER_TURN = 4
"""Connections that wait for a turn and are read in one turn of the event loop."""

BURST_BYTES = 16 * 1024
"""Bytes that a connection may send at once before it has to wait for turns."""

BYTES_PER_SECOND = 128 * 1024
"""Bytes that a connection may send in a second without waiting for turns. It may send more when nobody else does."""

BYTES_OF_A_READ = 128
"""Bytes that each read counts in addition, since a short one costs nearly as much as a long one."""


class ReadAllowance:
    """The bytes that one connection may send without waiting for a turn: a token bucket."""

    __slots__ = ("_bytes", "_filled_at")

    def __init__(self, now: float) -> None:
        """Start full."""
        self._bytes = float(BURST_BYTES)
        self._filled_at = now

    def take(self, byte_count: int, now: float) -> bool:
        """Count one read. Returns whether the next one need not wait for a turn."""
        self._bytes = min(BURST_BYTES, self._bytes + BYTES_PER_SECOND * (now - self._filled_at))
        self._filled_at = now
        self._bytes = max(-BURST_BYTES, self._bytes - byte_count - BYTES_OF_A_READ)
        return self._bytes >= 0


class Receiver(Protocol):
    """A protocol that takes pieces of a connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def on_read(self, data: bytes) -> None: ...
    def eof_received(self) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def connection_lost(self, exc: BaseException | None) -> None: ...


class WaitingReader(Protocol):
    """A connection that waits for its turn."""

    def on_turn(self) -> None:
        """Read again."""


class FairReads:
    """The connections that have used up their allowance: each is read once in a round, a few in each turn of the loop.

    A connection that sends little is not among them, so it never waits behind those that send much.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        """Start without connections."""
        self._loop = loop
        self._now = now
        self._waiting: deque[WaitingReader] = deque()
        self._buffer = memoryview(bytearray(READ_BYTES))

    def __len__(self) -> int:
        """Count the connections that wait."""
        return len(self._waiting)

    @property
    def buffer(self) -> memoryview:
        """The memory that each piece is read into, and copied from at once."""
        return self._buffer

    def new_allowance(self) -> ReadAllowance:
        """Make the allowance of a new connection."""
        return ReadAllowance(self._now())

    def take(self, allowance: ReadAllowance, byte_count: int) -> bool:
        """Count one read of a connection. Returns whether it may go on without waiting for a turn."""
        return allowance.take(byte_count, self._now())

    def enqueue(self, reader: WaitingReader) -> None:
        """Let a connection wait for its turn. It must not wait already."""
        if not self._waiting:
            self._loop.call_soon(self._run_turn)
        self._waiting.append(reader)

    def _run_turn(self) -> None:
        for _ in range(min(READS_PER_TURN, len(self._waiting))):
            self._waiting.popleft().on_turn()
        if self._waiting:
            self._loop.call_soon(self._run_turn)


class PiecewiseProtocol(asyncio.BufferedProtocol):
    """The protocol that a loop reads a connection for: each piece into the memory of `fair_reads`, and no more.

    It is no part of the receiver, since uvloop would hand a protocol of aiohttp as much as has arrived.
    """

    def __init__(self, receiver: Receiver, fair_reads: FairReads) -> None:
        """Read for a receiver."""
        self._on_read = receiver.on_read
        self._buffer = fair_reads.buffer
        self._receiver = receiver

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._on_read(bytes(self._buffer[:nbytes]))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._receiver.connection_made(transport)

    def eof_received(self) -> None:
        self._receiver.eof_received()

    def pause_writing(self) -> None:
        self._receiver.pause_writing()

    def resume_writing(self) -> None:
        self._receiver.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._receiver.connection_lost(exc)

"""Back-pressure of one connection: how many bytes may wait for a client."""

from __future__ import annotations

import asyncio

from gateway.server.live.fair_queue import FairQueue, QueueMember

MAX_BUFFERED_BYTES = 32 * 1024
"""Bytes that may wait for a client before sending pauses. The last message may exceed it."""

_MIN_CHECK_SECONDS = 0.01
_MAX_CHECK_SECONDS = 0.32


class BackPressure:
    """The send buffer of one connection.

    It is full while more than `MAX_BUFFERED_BYTES` wait. A timer checks the buffer while there are waiters. aiohttp's
    own drain is not used: its writers share one future, and a waiter on it must not be cancelled.
    """

    __slots__ = ("_buffered_bytes", "_check_seconds", "_members", "_queue", "_timer", "_transport", "_waiters")

    def __init__(self, transport: asyncio.Transport, queue: FairQueue) -> None:
        """Watch a transport. Members are put into `queue` once it has drained."""
        self._transport = transport
        self._queue = queue
        self._members: list[QueueMember] | None = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._check_seconds = 0.0
        self._buffered_bytes = 0

    def is_full(self) -> bool:
        """Whether the client has to read before more is sent."""
        return self._transport.get_write_buffer_size() > MAX_BUFFERED_BYTES

    def enqueue_after_drain(self, member: QueueMember) -> None:
        """Put a member into the fair queue once the buffer is no longer full."""
        if self._members is None:
            self._members = []
        self._members.append(member)
        self._start_timer()

    async def drain(self) -> None:
        """Wait until the buffer is no longer full.

        Raises:
            ConnectionError: The connection was closed meanwhile.
        """
        if self.is_full():
            if self._waiters is None:
                self._waiters = []
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self._start_timer()
            await waiter

    def close(self) -> None:
        """Stop the timer, drop the members, and raise ConnectionError in the waiters."""
        if self._timer is not None:
            self._timer.cancel()
        waiters, self._waiters, self._members = self._waiters, None, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_exception(ConnectionResetError("the connection is closed"))
                waiter.exception()  # marked as retrieved: the task that waited may be gone

    def _start_timer(self) -> None:
        if self._timer is None:
            self._buffered_bytes = self._transport.get_write_buffer_size()
            self._check_seconds = _MIN_CHECK_SECONDS
            self._timer = asyncio.get_running_loop().call_later(self._check_seconds, self._check_buffer)

    def _check_buffer(self) -> None:
        buffered_bytes = self._transport.get_write_buffer_size()
        if buffered_bytes <= MAX_BUFFERED_BYTES:
            self._timer = None
            self._release_waiters()
            return
        if buffered_bytes < self._buffered_bytes:
            self._check_seconds = _MIN_CHECK_SECONDS
        self._buffered_bytes = buffered_bytes
        self._timer = asyncio.get_running_loop().call_later(self._check_seconds, self._check_buffer)
        self._check_seconds = min(2 * self._check_seconds, _MAX_CHECK_SECONDS)

    def _release_waiters(self) -> None:
        members, self._members = self._members, None
        waiters, self._waiters = self._waiters, None
        for member in members or ():
            self._queue.enqueue(member)
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

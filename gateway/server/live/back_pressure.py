"""How much may wait for one client, and for how long: what lies between answers and a connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from gateway.server.live.fair_queue import FairQueue, QueueMember

MAX_BUFFERED_BYTES = 32 * 1024
"""How much may wait for a client before nothing more is sent to it; one answer may go beyond."""

_MIN_CHECK_SECONDS = 0.01
_MAX_CHECK_SECONDS = 0.32


class BackPressure:
    """One connection's room for answers.

    It is full while more than `MAX_BUFFERED_BYTES` wait. A client that takes nothing at all for `stalled_seconds` meanwhile
    is given up by `on_stalled`. While somebody waits for room, a timer looks now and then; the writers of aiohttp
    share one future that no waiter may be cancelled on, so it is not awaited here.
    """

    __slots__ = (
        "_buffered_bytes",
        "_check_seconds",
        "_members",
        "_on_stalled",
        "_queue",
        "_stalled_at",
        "_stalled_seconds",
        "_timer",
        "_transport",
        "_waiters",
    )

    def __init__(
        self, transport: asyncio.Transport, queue: FairQueue, stalled_seconds: float, on_stalled: Callable[[], None]
    ) -> None:
        """Watch a transport."""
        self._transport = transport
        self._queue = queue
        self._stalled_seconds = stalled_seconds
        self._on_stalled = on_stalled
        self._members: list[QueueMember] | None = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._check_seconds = 0.0
        self._buffered_bytes = 0
        self._stalled_at = 0.0
        _set_tcp_user_timeout(transport, stalled_seconds)

    def is_full(self) -> bool:
        """Whether the client has to take something first."""
        return self._transport.get_write_buffer_size() > MAX_BUFFERED_BYTES

    def enqueue_after_drain(self, member: QueueMember) -> None:
        """Give a member a turn once there is room."""
        if self._members is None:
            self._members = []
        self._members.append(member)
        self._start_timer()

    async def drain(self) -> None:
        """Wait until there is room; raises ConnectionError where the connection is lost meanwhile."""
        if self.is_full():
            if self._waiters is None:
                self._waiters = []
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self._start_timer()
            await waiter

    def close(self) -> None:
        """Wait for nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        waiters, self._waiters, self._members = self._waiters, None, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_exception(ConnectionResetError("the connection is closed"))
                waiter.exception()  # it may have nobody any more who looks

    def _start_timer(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._buffered_bytes = self._transport.get_write_buffer_size()
            self._stalled_at = loop.time() + self._stalled_seconds
            self._check_seconds = min(_MIN_CHECK_SECONDS, self._stalled_seconds)
            self._timer = loop.call_later(self._check_seconds, self._check)

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        buffered_bytes = self._transport.get_write_buffer_size()
        if buffered_bytes <= MAX_BUFFERED_BYTES:
            self._timer = None
            self._release_waiters()
            return
        if buffered_bytes < self._buffered_bytes:
            self._check_seconds = _MIN_CHECK_SECONDS
            self._stalled_at = loop.time() + self._stalled_seconds
        elif loop.time() >= self._stalled_at:
            self._on_stalled()
            return
        self._buffered_bytes = buffered_bytes
        self._timer = loop.call_later(self._check_seconds, self._check)
        self._check_seconds = min(2 * self._check_seconds, _MAX_CHECK_SECONDS)

    def _release_waiters(self) -> None:
        members, self._members = self._members, None
        waiters, self._waiters = self._waiters, None
        for member in members or ():
            self._queue.enqueue(member)
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)


def _set_tcp_user_timeout(transport: asyncio.Transport, seconds: float) -> None:
    """Have the system end a connection whose peer acknowledges nothing for that long, where it can."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    sock = transport.get_extra_info("socket")
    if option is not None and sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
        sock.setsockopt(socket.IPPROTO_TCP, option, max(1, int(1000 * seconds)))

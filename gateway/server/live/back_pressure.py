"""How much may wait for one client, and for how long: what lies between answers and a connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from gateway.server.live.fair_queue import FairQueue, QueueMember

BUFFER_BYTES = 32 * 1024
"""How much may wait for a client before nothing more is sent to it; one answer may go beyond."""

_SHORTEST_LOOK_SECONDS = 0.01
_LONGEST_LOOK_SECONDS = 0.32


class BackPressure:
    """One connection's room for answers.

    It is full while more than `BUFFER_BYTES` wait. A client that takes nothing at all for `stalled_seconds` meanwhile
    is given up by `on_stalled`. While somebody waits for room, a timer looks now and then; the writers of aiohttp
    share one future that no waiter may be cancelled on, so it is not awaited here.
    """

    __slots__ = (
        "_left_bytes",
        "_look_seconds",
        "_on_stalled",
        "_players",
        "_stalled_at",
        "_stalled_seconds",
        "_timer",
        "_transport",
        "_turns",
        "_waiters",
    )

    def __init__(
        self, transport: asyncio.Transport, turns: FairQueue, stalled_seconds: float, on_stalled: Callable[[], None]
    ) -> None:
        """Watch a transport."""
        self._transport = transport
        self._turns = turns
        self._stalled_seconds = stalled_seconds
        self._on_stalled = on_stalled
        self._players: list[QueueMember] | None = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._look_seconds = 0.0
        self._left_bytes = 0
        self._stalled_at = 0.0
        _notice_dead_peer(transport, stalled_seconds)

    def is_full(self) -> bool:
        """Whether the client has to take something first."""
        return self._transport.get_write_buffer_size() > BUFFER_BYTES

    def wait_for_room(self, player: QueueMember) -> None:
        """Give a player a turn once there is room."""
        if self._players is None:
            self._players = []
        self._players.append(player)
        self._watch()

    async def room(self) -> None:
        """Wait until there is room; raises ConnectionError where the connection is lost meanwhile."""
        if self.is_full():
            if self._waiters is None:
                self._waiters = []
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self._watch()
            await waiter

    def close(self) -> None:
        """Wait for nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        waiters, self._waiters, self._players = self._waiters, None, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_exception(ConnectionResetError("the connection is closed"))
                waiter.exception()  # it may have nobody any more who looks

    def _watch(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._left_bytes = self._transport.get_write_buffer_size()
            self._stalled_at = loop.time() + self._stalled_seconds
            self._look_seconds = min(_SHORTEST_LOOK_SECONDS, self._stalled_seconds)
            self._timer = loop.call_later(self._look_seconds, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        left_bytes = self._transport.get_write_buffer_size()
        if left_bytes <= BUFFER_BYTES:
            self._timer = None
            self._let_go()
            return
        if left_bytes < self._left_bytes:
            self._look_seconds = _SHORTEST_LOOK_SECONDS
            self._stalled_at = loop.time() + self._stalled_seconds
        elif loop.time() >= self._stalled_at:
            self._on_stalled()
            return
        self._left_bytes = left_bytes
        self._timer = loop.call_later(self._look_seconds, self._look)
        self._look_seconds = min(2 * self._look_seconds, _LONGEST_LOOK_SECONDS)

    def _let_go(self) -> None:
        players, self._players = self._players, None
        waiters, self._waiters = self._waiters, None
        for player in players or ():
            self._turns.add(player)
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)


def _notice_dead_peer(transport: asyncio.Transport, seconds: float) -> None:
    """Have the system end a connection whose peer acknowledges nothing for that long, where it can."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    found = transport.get_extra_info("socket")
    if option is not None and found is not None and found.family in {socket.AF_INET, socket.AF_INET6}:
        found.setsockopt(socket.IPPROTO_TCP, option, max(1, int(1000 * seconds)))

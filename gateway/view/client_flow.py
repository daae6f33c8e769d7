"""How much may wait for one client, and for how long: what lies between answers and a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp.abc import AbstractStreamWriter

from gateway.view.owned_tasks import OwnedTasks
from gateway.view.turns import Player, Turns

BUFFER_BYTES = 16 * 1024
"""How much may wait for a client before nothing more is sent to it; one answer may go beyond."""


class ClientFlow:
    """One connection's room for answers.

    It is full while more than `BUFFER_BYTES` wait. A client that takes nothing at all for `stalled_seconds` meanwhile
    is given up by `on_stalled`.
    """

    __slots__ = ("_on_stalled", "_players", "_stalled_seconds", "_task", "_tasks", "_transport", "_turns", "_writer")

    def __init__(
        self,
        transport: asyncio.Transport,
        writer: AbstractStreamWriter,
        turns: Turns,
        tasks: OwnedTasks,
        stalled_seconds: float,
        on_stalled: Callable[[], None],
    ) -> None:
        """Watch a transport; `writer` waits for its room, in a task of `tasks`."""
        transport.set_write_buffer_limits(high=BUFFER_BYTES)
        self._transport = transport
        self._writer = writer
        self._turns = turns
        self._tasks = tasks
        self._stalled_seconds = stalled_seconds
        self._on_stalled = on_stalled
        self._task: asyncio.Task[None] | None = None
        self._players: list[Player] = []

    def is_full(self) -> bool:
        """Whether the client has to take something first."""
        return self._task is not None or self._transport.get_write_buffer_size() > BUFFER_BYTES

    def wait_for_room(self, player: Player) -> None:
        """Give a player a turn once there is room."""
        self._players.append(player)
        if self._task is None:
            self._task = self._tasks.start(self._wait())

    async def room(self) -> None:
        """Wait until there is room; at once where there is some."""
        if self.is_full():
            await self._drained()

    def close(self) -> None:
        """Wait for nothing more."""
        self._players.clear()
        if self._task is not None:
            self._task.cancel()

    async def _wait(self) -> None:
        try:
            await self._drained()
        except ConnectionError:
            self._players.clear()  # it is lost; its owner hears of that by itself
        finally:
            self._task = None
        players, self._players = self._players, []
        for player in players:
            self._turns.add(player)

    async def _drained(self) -> None:
        waiting_bytes = self._transport.get_write_buffer_size()
        while True:
            try:
                async with asyncio.timeout(self._stalled_seconds):
                    return await self._writer.drain()
            except TimeoutError:
                before, waiting_bytes = waiting_bytes, self._transport.get_write_buffer_size()
                if waiting_bytes >= before:
                    self._on_stalled()
                    raise ConnectionResetError("the client takes nothing") from None

"""Renders each event once for all subscribers of one selection."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from gateway.server.http.owned_tasks import OwnedTasks
from gateway.server.live.fair_queue import FairQueue, QueueMember
from schema.contract.run_events import RunEvent

REMEMBERED = 64
"""How many renderings a group remembers at most, for those of its members that are behind the others."""

REMEMBERED_BYTES = 1 << 20
"""How long they are together at most; the newest one is remembered whatever it is long."""


class SharedRendering:
    """One event as JSON, once that is there; those who `wait` get a turn then."""

    __slots__ = ("event", "payload", "sent", "task", "waiting")

    def __init__(self, event: RunEvent) -> None:
        """Nothing is rendered yet."""
        self.event = event
        self.payload: bytes | None = None
        self.sent = 0
        self.task: asyncio.Task[None] | None = None
        self.waiting: list[QueueMember] = []


class RenderGroup:
    """The subscribers of one selection of one principal, and what was rendered for them.

    An event is told from others by its identity: all feeds of a log give the same object. What every member has
    been sent is forgotten, so a group without news holds nothing.
    """

    __slots__ = ("_bytes", "_remembered", "_render", "_tasks", "_turns", "key", "members", "renders")

    def __init__(
        self,
        key: tuple[str, Hashable],
        render: Callable[[RunEvent], Awaitable[bytes]],
        tasks: OwnedTasks,
        turns: FairQueue,
    ) -> None:
        """A group that has no member yet; `render` never raises."""
        self.key = key
        self.members = 0
        self.renders = 0
        self._render = render
        self._tasks = tasks
        self._turns = turns
        self._remembered: OrderedDict[int, SharedRendering] | None = None
        self._bytes = 0

    def rendering_of(self, event: RunEvent) -> SharedRendering:
        """The rendering of an event, begun by whoever asks first."""
        if self._remembered is None:
            self._remembered = OrderedDict()
        found = self._remembered.get(id(event))
        if found is None:
            found = self._remembered[id(event)] = SharedRendering(event)
            self._forget_oldest()
            self.renders += 1
            found.task = self._tasks.start(self._fill(found))
        return found

    def count_sent(self, rendering: SharedRendering) -> None:
        """Note that one member more has been sent this."""
        rendering.sent += 1
        if rendering.sent >= self.members:
            self._forget(rendering)

    def end(self) -> None:
        """Stop rendering for members that have left."""
        for rendering in (self._remembered or {}).values():
            if rendering.task is not None:
                rendering.task.cancel()

    def _forget(self, rendering: SharedRendering) -> None:
        remembered, key = self._remembered, id(rendering.event)
        if remembered is not None and remembered.get(key) is rendering:
            del remembered[key]
            self._bytes -= len(rendering.payload or b"")
            if not remembered:
                self._remembered = None

    def _forget_oldest(self) -> None:
        while self._remembered is not None and len(self._remembered) > 1:
            if len(self._remembered) <= REMEMBERED and self._bytes <= REMEMBERED_BYTES:
                return
            self._forget(next(iter(self._remembered.values())))

    async def _fill(self, rendering: SharedRendering) -> None:
        rendering.payload = payload = await self._render(rendering.event)
        rendering.task = None
        if self._remembered is not None and self._remembered.get(id(rendering.event)) is rendering:
            self._bytes += len(payload)
            self._forget_oldest()
        waiting, rendering.waiting = rendering.waiting, []
        for player in waiting:
            self._turns.add(player)

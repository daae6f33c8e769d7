"""Renders each event once for all subscribers with the same selection."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from gateway.background_tasks import BackgroundTasks
from gateway.identity.principal import Principal
from gateway.server.live.fair_queue import FairQueue, QueueMember
from schema.contract.encoded_json import EncodedJson
from schema.contract.rate_limits import RateLimitedError
from schema.contract.run_events import RunEvent

MAX_RENDERINGS = 64
"""Most renderings that a group holds for members that are behind the others."""

MAX_RENDERING_BYTES = 1 << 20
"""Most bytes that a group's renderings take together. The newest one is held whatever its size."""


class SharedRendering:
    """One event as JSON. `payload` is None until it is rendered; then the `waiters` are put into the fair queue.

    If the caller has too few calls left to render it, `refusal` is set in place of the payload.
    """

    __slots__ = ("event", "payload", "refusal", "sent_count", "task", "waiters")

    def __init__(self, event: RunEvent) -> None:
        """Start with nothing rendered."""
        self.event = event
        self.payload: EncodedJson | None = None
        self.refusal: RateLimitedError | None = None
        self.sent_count = 0
        self.task: asyncio.Task[None] | None = None
        self.waiters: list[QueueMember] = []


class RenderGroup:
    """The subscribers of one caller with one selection, who see the same, and the renderings that they share.

    `key` is what they see and select, and the address by which they called, since a rendering may show it. `principal`
    is the caller, with the latest token that any of them has shown.

    Events are told apart by identity: all feeds of a log return the same object. A rendering is dropped once every
    member has been sent it, so an idle group holds none.
    """

    __slots__ = (
        "_payload_bytes",
        "_queue",
        "_render",
        "_renderings",
        "_tasks",
        "key",
        "member_count",
        "principal",
        "render_count",
    )

    def __init__(
        self,
        key: Hashable,
        principal: Principal,
        render: Callable[[Principal, RunEvent], Awaitable[EncodedJson]],
        tasks: BackgroundTasks,
        queue: FairQueue,
    ) -> None:
        """Start without members. `render` raises nothing but `RateLimitedError`."""
        self.key = key
        self.principal = principal
        self.member_count = 0
        self.render_count = 0
        self._render = render
        self._tasks = tasks
        self._queue = queue
        self._renderings: OrderedDict[int, SharedRendering] | None = None
        self._payload_bytes = 0

    def extend_access(self, principal: Principal) -> None:
        """Render for as long as this token of the caller lasts, if it is their latest: addresses of files end with it.

        All else that the caller may see stays as it was.
        """
        self.principal = self.principal.extended_by(principal)

    def get_rendering(self, event: RunEvent) -> SharedRendering:
        """Return the rendering of an event. The first call for an event starts it."""
        if self._renderings is None:
            self._renderings = OrderedDict()
        rendering = self._renderings.get(id(event))
        if rendering is None:
            rendering = self._renderings[id(event)] = SharedRendering(event)
            self._evict_oldest()
            self.render_count += 1
            rendering.task = self._tasks.start(self._render_payload(rendering))
        return rendering

    def on_sent(self, rendering: SharedRendering) -> None:
        """Count one more member that has been sent a rendering, and drop it after the last one."""
        rendering.sent_count += 1
        if rendering.sent_count >= self.member_count:
            self._evict(rendering)

    def cancel(self) -> None:
        """Cancel the renderings in flight. Call it when the last member has left."""
        for rendering in (self._renderings or {}).values():
            if rendering.task is not None:
                rendering.task.cancel()

    def _evict(self, rendering: SharedRendering) -> None:
        renderings, key = self._renderings, id(rendering.event)
        if renderings is not None and renderings.get(key) is rendering:
            del renderings[key]
            self._payload_bytes -= len(rendering.payload or b"")
            if not renderings:
                self._renderings = None

    def _evict_oldest(self) -> None:
        while self._renderings is not None and len(self._renderings) > 1:
            if len(self._renderings) <= MAX_RENDERINGS and self._payload_bytes <= MAX_RENDERING_BYTES:
                return
            self._evict(next(iter(self._renderings.values())))

    async def _render_payload(self, rendering: SharedRendering) -> None:
        try:
            payload = await self._render(self.principal, rendering.event)
        except RateLimitedError as refusal:
            rendering.refusal = refusal
            self._evict(rendering)  # whoever comes again after the time that it names gets the event
        else:
            rendering.payload = payload
            if self._renderings is not None and self._renderings.get(id(rendering.event)) is rendering:
                self._payload_bytes += len(payload)
                self._evict_oldest()
        rendering.task = None
        waiters, rendering.waiters = rendering.waiters, []
        for member in waiters:
            self._queue.enqueue(member)

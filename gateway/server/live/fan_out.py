"""Brings the events of subscriptions to their clients: each one its own way, with renderings that all share."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any, Protocol

from gateway.identity.principal import Principal
from gateway.server.http.graphql_request import ParsedRequest
from gateway.server.http.graphql_response import error_body
from gateway.server.http.operation_runner import OperationRunner
from gateway.server.live.background_tasks import BackgroundTasks
from gateway.server.live.fair_queue import FairQueue, QueueMember
from gateway.server.live.shared_renderings import RenderGroup, SharedRendering
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import EventFeed
from schema.contract.run_events import RunEvent
from schema.engine.public_errors import mask_error
from schema.operations.start_subscription import StartedSubscription

EVENTS_PER_SLICE = 8
"""How many events one subscriber that is behind is sent before it is another's turn."""


class EventSink(Protocol):
    """A client's connection. Sending never waits and never raises: what can no longer be sent is dropped."""

    def is_full(self) -> bool:
        """Whether the client has not yet taken what was sent before."""

    def enqueue_after_drain(self, member: QueueMember) -> None:
        """Give a player a turn once there is room."""

    def send_next(self, operation_id: str, payload: bytes, cursor: str) -> None:
        """Send one answer, and the cursor of its event where the transport has a place for it."""

    def send_errors(self, operation_id: str, errors: list[dict[str, Any]]) -> None:
        """Send errors, after which nothing of the operation follows."""

    def send_complete(self, operation_id: str) -> None:
        """Say that nothing of the operation follows."""


class Subscriber:
    """One subscription on its way to one client. While there is no news it is an entry in its feed and nothing more.

    It gets a turn when there is news, when what it waits for is rendered, and when its client has room again; so a
    slow client keeps nobody waiting but itself.
    """

    __slots__ = ("_busy", "_closed", "_fan_out", "_feed", "_group", "_operation_id", "_rendering", "_sink")

    def __init__(self, fan_out: FanOut, feed: EventFeed, group: RenderGroup) -> None:
        """Hold the feed, which is left with `unsubscribe`."""
        self._fan_out = fan_out
        self._feed = feed
        self._group = group
        self._sink: EventSink
        self._operation_id = ""
        self._rendering: SharedRendering | None = None
        self._busy = False
        self._closed = False

    def start(self, sink: EventSink, operation_id: str = "") -> None:
        """Bring what is there, and what comes, to `sink` under the name of `operation`."""
        self._sink = sink
        self._operation_id = operation_id
        self._feed.on_available(self._schedule)
        self._schedule()

    def unsubscribe(self) -> None:
        """Stop, without a word to the client; nothing where it is over already."""
        if not self._closed:
            self._closed = True
            self._rendering = None
            self._fan_out.remove_subscriber(self._group, self._feed)

    def run_slice(self) -> None:
        """Send what can be sent at once."""
        try:
            self._send_events()
        except Exception as error:
            self._fail(mask_error(error, "delivering an event"))

    def _schedule(self) -> None:
        if not self._busy and not self._closed:
            self._busy = True
            self._fan_out.queue.enqueue(self)

    def _send_events(self) -> None:
        for _ in range(EVENTS_PER_SLICE):
            if self._closed:
                return
            if self._sink.is_full():
                self._sink.enqueue_after_drain(self)
                return
            rendering = self._rendering or self._next_rendering()
            if rendering is None:
                self._busy = False
                return
            if rendering.payload is None:
                self._rendering = rendering
                rendering.waiters.append(self)
                return
            self._rendering = None
            self._group.on_sent(rendering)
            self._sink.send_next(self._operation_id, rendering.payload, rendering.event.cursor)
        self._fan_out.queue.enqueue(self)

    def _next_rendering(self) -> SharedRendering | None:
        try:
            event: RunEvent | None = self._feed.poll_event()
        except StopAsyncIteration:
            self.unsubscribe()
            self._sink.send_complete(self._operation_id)
            return None
        except GatewayError as error:
            self._fail(error)
            return None
        return None if event is None else self._group.get_rendering(event)

    def _fail(self, error: GatewayError) -> None:
        if not self._closed:
            self.unsubscribe()
            self._sink.send_errors(self._operation_id, [error_body(error)])


class FanOut:
    """All subscriptions of this process, whatever they are followed by."""

    def __init__(self, runner: OperationRunner, *, max_per_principal: int = 10_000) -> None:
        """Begin and render subscriptions by `executor`."""
        self._runner = runner
        self._max_per_principal = max_per_principal
        self._by_principal: Counter[str] = Counter()
        self._groups: dict[tuple[str, Any], RenderGroup] = {}
        self._tasks = BackgroundTasks()
        self.queue = FairQueue()

    def __len__(self) -> int:
        """Count the subscriptions, those included that are about to begin."""
        return self._by_principal.total()

    @property
    def groups(self) -> list[RenderGroup]:
        """The groups that have members."""
        return list(self._groups.values())

    async def subscribe(
        self, parsed: ParsedRequest, principal: Principal, *, resume_after: str | None = None
    ) -> Subscriber:
        """Begin a subscription; whoever calls starts what it gets, and leaves it.

        Raises `SubscriptionRefusedError`, and a `GatewayError` where the principal has too many.
        """
        digest = principal.digest
        if self._by_principal[digest] >= self._max_per_principal:
            raise GatewayError(
                ErrorCode.TOO_MANY_OPERATIONS,
                f"Expected at most {self._max_per_principal} subscriptions at once under one credential, got one more.",
            )
        self._by_principal[digest] += 1
        try:
            started = await self._runner.subscribe(parsed, principal, resume_after=resume_after)
        except BaseException:
            self._decrement_count(digest)
            raise
        group = self._get_group(principal, started)
        group.member_count += 1
        return Subscriber(self, started.feed, group)

    def remove_subscriber(self, group: RenderGroup, feed: EventFeed) -> None:
        """A member of a group has left its feed; the last one takes the group along."""
        digest, _ = group.key
        self._decrement_count(digest)
        group.member_count -= 1
        if group.member_count == 0:
            del self._groups[group.key]
            group.cancel()
        self._tasks.start(feed.aclose())

    async def aclose(self) -> None:
        """End what is under way, once all have left."""
        self.queue.clear()
        await self._tasks.wait(1.0)
        await self._tasks.aclose()

    def _get_group(self, principal: Principal, started: StartedSubscription) -> RenderGroup:
        key = (principal.digest, started.selection)
        group = self._groups.get(key)
        if group is None:
            render = functools.partial(self._runner.render_event, principal, started)
            group = self._groups[key] = RenderGroup(key, render, self._tasks, self.queue)
        return group

    def _decrement_count(self, digest: str) -> None:
        self._by_principal[digest] -= 1
        if self._by_principal[digest] <= 0:
            del self._by_principal[digest]

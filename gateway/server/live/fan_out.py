"""Brings the events of subscriptions to their clients: each one its own way, with renderings that all share."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any, Protocol

from gateway.identity.principal import Principal
from gateway.server.http.graphql_request import ParsedRequest
from gateway.server.http.graphql_response import error_body
from gateway.server.http.operation_runner import OperationRunner
from gateway.server.http.owned_tasks import OwnedTasks
from gateway.server.live.fair_queue import FairQueue, QueueMember
from gateway.server.live.shared_renderings import RenderGroup, SharedRendering
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import EventFeed
from schema.contract.run_events import RunEvent
from schema.engine.public_errors import mask_error
from schema.operations.start_subscription import StartedSubscription

PER_TURN = 8
"""How many events one subscriber that is behind is sent before it is another's turn."""


class EventSink(Protocol):
    """A client's connection. Sending never waits and never raises: what can no longer be sent is dropped."""

    def is_full(self) -> bool:
        """Whether the client has not yet taken what was sent before."""

    def wait_for_room(self, player: QueueMember) -> None:
        """Give a player a turn once there is room."""

    def send_next(self, operation: str, payload: bytes, cursor: str) -> None:
        """Send one answer, and the cursor of its event where the transport has a place for it."""

    def send_errors(self, operation: str, errors: list[dict[str, Any]]) -> None:
        """Send errors, after which nothing of the operation follows."""

    def send_complete(self, operation: str) -> None:
        """Say that nothing of the operation follows."""


class Subscriber:
    """One subscription on its way to one client. While there is no news it is an entry in its feed and nothing more.

    It gets a turn when there is news, when what it waits for is rendered, and when its client has room again; so a
    slow client keeps nobody waiting but itself.
    """

    __slots__ = ("_busy", "_deliveries", "_feed", "_group", "_operation", "_outlet", "_over", "_rendering")

    def __init__(self, deliveries: FanOut, feed: EventFeed, group: RenderGroup) -> None:
        """Hold the feed, which is left with `leave`."""
        self._deliveries = deliveries
        self._feed = feed
        self._group = group
        self._outlet: EventSink
        self._operation = ""
        self._rendering: SharedRendering | None = None
        self._busy = False
        self._over = False

    def start(self, outlet: EventSink, operation: str = "") -> None:
        """Bring what is there, and what comes, to `outlet` under the name of `operation`."""
        self._outlet = outlet
        self._operation = operation
        self._feed.on_news(self._on_news)
        self._on_news()

    def leave(self) -> None:
        """Stop, without a word to the client; nothing where it is over already."""
        if not self._over:
            self._over = True
            self._rendering = None
            self._deliveries.count_out(self._group, self._feed)

    def take_turn(self) -> None:
        """Send what can be sent at once."""
        try:
            self._send_some()
        except Exception as error:
            self._fail(mask_error(error, "delivering an event"))

    def _on_news(self) -> None:
        if not self._busy and not self._over:
            self._busy = True
            self._deliveries.turns.add(self)

    def _send_some(self) -> None:
        for _ in range(PER_TURN):
            if self._over:
                return
            if self._outlet.is_full():
                self._outlet.wait_for_room(self)
                return
            rendering = self._rendering or self._next_rendering()
            if rendering is None:
                self._busy = False
                return
            if rendering.payload is None:
                self._rendering = rendering
                rendering.waiting.append(self)
                return
            self._rendering = None
            self._group.count_sent(rendering)
            self._outlet.send_next(self._operation, rendering.payload, rendering.event.cursor)
        self._deliveries.turns.add(self)

    def _next_rendering(self) -> SharedRendering | None:
        try:
            event: RunEvent | None = self._feed.take()
        except StopAsyncIteration:
            self.leave()
            self._outlet.send_complete(self._operation)
            return None
        except GatewayError as error:
            self._fail(error)
            return None
        return None if event is None else self._group.rendering_of(event)

    def _fail(self, error: GatewayError) -> None:
        if not self._over:
            self.leave()
            self._outlet.send_errors(self._operation, [error_body(error)])


class FanOut:
    """All subscriptions of this process, whatever they are followed by."""

    def __init__(self, executor: OperationRunner, *, max_per_principal: int = 10_000) -> None:
        """Begin and render subscriptions by `executor`."""
        self._executor = executor
        self._max_per_principal = max_per_principal
        self._by_principal: Counter[str] = Counter()
        self._groups: dict[tuple[str, Any], RenderGroup] = {}
        self._tasks = OwnedTasks()
        self.turns = FairQueue()

    def __len__(self) -> int:
        """Count the subscriptions, those included that are about to begin."""
        return self._by_principal.total()

    @property
    def groups(self) -> list[RenderGroup]:
        """The groups that have members."""
        return list(self._groups.values())

    async def begin(
        self, request: ParsedRequest, principal: Principal, *, resume_after: str | None = None
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
            subscribed = await self._executor.subscribe(request, principal, resume_after=resume_after)
        except BaseException:
            self._release(digest)
            raise
        group = self._group_of(principal, subscribed)
        group.members += 1
        return Subscriber(self, subscribed.feed, group)

    def count_out(self, group: RenderGroup, feed: EventFeed) -> None:
        """A member of a group has left its feed; the last one takes the group along."""
        digest, _ = group.key
        self._release(digest)
        group.members -= 1
        if group.members == 0:
            del self._groups[group.key]
            group.end()
        self._tasks.start(feed.aclose())

    async def aclose(self) -> None:
        """End what is under way, once all have left."""
        self.turns.stop()
        await self._tasks.wait(1.0)
        await self._tasks.aclose()

    def _group_of(self, principal: Principal, subscribed: StartedSubscription) -> RenderGroup:
        key = (principal.digest, subscribed.selection_key)
        group = self._groups.get(key)
        if group is None:
            render = functools.partial(self._executor.render, principal, subscribed)
            group = self._groups[key] = RenderGroup(key, render, self._tasks, self.turns)
        return group

    def _release(self, digest: str) -> None:
        self._by_principal[digest] -= 1
        if self._by_principal[digest] <= 0:
            del self._by_principal[digest]

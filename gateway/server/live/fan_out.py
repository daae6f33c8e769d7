"""Fans events out to the clients of subscriptions. Each client has its own pace; renderings are shared."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from gateway.background_tasks import BackgroundTasks
from gateway.identity.principal import Principal
from gateway.server.http.called_address import current_called_address, use_called_address
from gateway.server.http.graphql_request import ParsedRequest
from gateway.server.http.graphql_response import error_body, error_codes, identify_errors
from gateway.server.http.operation_runner import OperationRunner
from gateway.server.live.fair_queue import FairQueue, QueueMember
from gateway.server.live.shared_renderings import RenderGroup, SharedRendering
from gateway.telemetry.operation_log import log_end, log_start
from gateway.telemetry.operation_observer import event_label
from gateway.telemetry.operation_record import OperationRecord, Outcome, current_record
from schema.contract.encoded_json import EncodedJson
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import EventFeed
from schema.contract.run_events import RunEvent
from schema.engine.public_errors import mask_error
from schema.operations.start_subscription import StartedSubscription, SubscriptionRefusedError

EVENTS_PER_SLICE = 8
"""Most events that a subscriber is sent in one slice, so that one that is far behind does not delay the others."""


class EventSink(Protocol):
    """A client's connection. Sending never waits and never raises; it drops the message if the client is gone."""

    def is_full(self) -> bool:
        """Whether the client has to read before more is sent."""

    def enqueue_after_drain(self, member: QueueMember) -> None:
        """Put a member into the fair queue once the connection is no longer full."""

    def send_next(self, operation_id: str, payload: EncodedJson, cursor: str) -> None:
        """Send one result. The cursor of its event is sent too if the transport has a field for it."""

    def send_errors(self, operation_id: str, errors: list[dict[str, Any]]) -> None:
        """Send errors and end the operation."""

    def send_complete(self, operation_id: str) -> None:
        """Tell the client that the operation is complete."""


class Subscriber:
    """One subscription of one client. While there is no event it costs no more than its place in the feed.

    It enters the fair queue when its feed has an event, when the rendering it waits for is ready, and when its client
    has read enough. So a slow client delays only itself.
    """

    __slots__ = ("_busy", "_closed", "_fan_out", "_feed", "_group", "_operation_id", "_record", "_rendering", "_sink")

    def __init__(
        self, fan_out: FanOut, feed: EventFeed, group: RenderGroup, record: OperationRecord | None = None
    ) -> None:
        """Own the feed, which `unsubscribe` closes, and the record, whose end it logs."""
        self._record = record
        self._fan_out = fan_out
        self._feed = feed
        self._group = group
        self._sink: EventSink
        self._operation_id = ""
        self._rendering: SharedRendering | None = None
        self._busy = False
        self._closed = False

    @property
    def request_id(self) -> str:
        """The request id of the subscription, or an empty text if it is not recorded."""
        return "" if self._record is None else self._record.request_id

    def start(self, sink: EventSink, operation_id: str = "") -> None:
        """Send present and future events to `sink`, under the client's id of the operation."""
        self._sink = sink
        self._operation_id = operation_id
        self._feed.on_available(self._schedule)
        self._schedule()

    def extend_access(self, principal: Principal) -> None:
        """Render the events to come for as long as this token of the same caller lasts."""
        self._group.extend_access(principal)

    def unsubscribe(self, error: GatewayError | None = None) -> None:
        """Stop without a message to the client. Does nothing if the subscription has ended.

        `error` is what ends it, if the client or the gateway's stop does not.
        """
        self._end(Outcome.CANCELLED if error is None else Outcome.ERRORS, () if error is None else [error.code])

    def _end(self, outcome: Outcome, codes: Sequence[str] = ()) -> None:
        if not self._closed:
            self._closed = True
            self._rendering = None
            log_end(self._record, outcome, codes)
            self._fan_out.remove_subscriber(self._group, self._feed)

    def run_slice(self) -> None:
        """Send the events that can be sent now, at most `EVENTS_PER_SLICE`."""
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
            if rendering.refusal is not None:
                self._fail(rendering.refusal)
                return
            if rendering.payload is None:
                self._rendering = rendering
                rendering.waiters.append(self)
                return
            self._rendering = None
            self._group.on_sent(rendering)
            if self._record is not None:
                self._record.events += 1
            self._sink.send_next(self._operation_id, rendering.payload, rendering.event.cursor)
            if self._fan_out.metrics is not None:
                self._fan_out.metrics.record_event(event_label(rendering.event))
        self._fan_out.queue.enqueue(self)

    def _next_rendering(self) -> SharedRendering | None:
        try:
            event: RunEvent | None = self._feed.poll_event()
        except StopAsyncIteration:
            self._end(Outcome.OK)
            self._sink.send_complete(self._operation_id)
            return None
        except GatewayError as error:
            self._fail(error)
            return None
        return None if event is None else self._group.get_rendering(event)

    def _fail(self, error: GatewayError) -> None:
        if not self._closed:
            self.unsubscribe(error)
            self._sink.send_errors(self._operation_id, identify_errors([error_body(error)], self.request_id))


class FanOut:
    """All subscriptions of this process, over any transport."""

    def __init__(self, runner: OperationRunner, *, max_per_principal: int = 10_000) -> None:
        """Start subscriptions and render their events with `runner`."""
        self._runner = runner
        self.metrics = runner.observer.metrics
        self._max_per_principal = max_per_principal
        self._by_principal: Counter[str] = Counter()
        self._groups: dict[Hashable, RenderGroup] = {}
        self._tasks = BackgroundTasks()
        self.queue = FairQueue()

    def __len__(self) -> int:
        """Count the subscriptions, including those that are being started."""
        return self._by_principal.total()

    @property
    def groups(self) -> list[RenderGroup]:
        """All groups. Each has at least one member."""
        return list(self._groups.values())

    async def subscribe(
        self, parsed: ParsedRequest, principal: Principal, *, resume_after: str | None = None
    ) -> Subscriber:
        """Start a subscription, after the event of the cursor `resume_after` if there is one.

        Returns:
            A subscriber. The caller calls its `start` and, at the end, its `unsubscribe`.

        Raises:
            SubscriptionRefusedError: The operation cannot run.
            GatewayError: The principal has too many subscriptions, or has used up a limit.
        """
        record = current_record()
        try:
            subscriber = await self._subscribe(parsed, principal, resume_after, record)
        except SubscriptionRefusedError as refused:
            log_end(record, Outcome.REFUSED, error_codes(refused.errors))
            raise
        except GatewayError as error:
            log_end(record, Outcome.REFUSED, [error.code])
            raise
        log_start(record)
        return subscriber

    async def _subscribe(
        self, parsed: ParsedRequest, principal: Principal, resume_after: str | None, record: OperationRecord | None
    ) -> Subscriber:
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
        group.extend_access(principal)
        group.member_count += 1
        return Subscriber(self, started.feed, group, record)

    def remove_subscriber(self, group: RenderGroup, feed: EventFeed) -> None:
        """Remove a subscriber and close its feed. A group without members is removed too."""
        self._decrement_count(group.principal.digest)
        group.member_count -= 1
        if group.member_count == 0:
            del self._groups[group.key]
            group.cancel()
        self._tasks.start(feed.aclose())

    async def aclose(self) -> None:
        """Close the queue and the tasks. Call it after all subscribers are gone."""
        self.queue.clear()
        await self._tasks.wait(1.0)
        await self._tasks.aclose()

    def _get_group(self, principal: Principal, started: StartedSubscription) -> RenderGroup:
        address = current_called_address()
        key = (principal.visibility, address, started.selection_key)
        group = self._groups.get(key)
        if group is None:
            render = functools.partial(self._render, address, started)
            group = self._groups[key] = RenderGroup(key, principal, render, self._tasks, self.queue)
        return group

    async def _render(
        self, address: str, started: StartedSubscription, principal: Principal, event: RunEvent
    ) -> EncodedJson:
        """Render an event for clients that called by an address, in a task of its own."""
        use_called_address(address)
        return await self._runner.render_event(principal, started, event)

    def _decrement_count(self, digest: str) -> None:
        self._by_principal[digest] -= 1
        if self._by_principal[digest] <= 0:
            del self._by_principal[digest]

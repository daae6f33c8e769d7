"""The root type `Subscription`: the events of one run, of one thread, or of the viewer's list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Generic, TypeAlias, TypeVar, cast

import strawberry

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.ports import EventFeed, RunEvents
from schema.contract.run_events import RunEvent
from schema.engine.context import Context, Info
from schema.graph.documented_field import documented_subscription
from schema.graph.event_types import (
    AnyRunEvent,
    AnyThreadEvent,
    RunStatusChange,
    prime_loaders,
    run_event_from_log,
    thread_event_from_log,
)
from schema.graph.id_arguments import read_id
from schema.graph.viewer_events import AnyViewerEvent, viewer_event_from_log

EventT = TypeVar("EventT")

RunId: TypeAlias = Annotated[strawberry.ID, strawberry.argument(description="The run's global ID.")]
ThreadId: TypeAlias = Annotated[
    strawberry.ID, strawberry.argument(description="The thread's global ID, or its upstream id.")
]
After: TypeAlias = Annotated[
    str | None,
    strawberry.argument(
        description="The `cursor` of the last event that the client has. The subscription begins with the next event."
    ),
]


class TypedFeed(Generic[EventT]):
    """A feed that converts each event to its GraphQL type and clears the loaders for it."""

    __slots__ = ("_context", "event_from_log", "feed")

    def __init__(
        self,
        feed: EventFeed,
        event_from_log: Callable[[RunEvent], EventT],
        context: Context,
    ) -> None:
        """Convert the events of `feed` by `event_from_log`."""
        self.feed = feed
        self.event_from_log = event_from_log
        self._context = context

    def __aiter__(self) -> TypedFeed[EventT]:
        """Return the feed itself: it can be iterated once."""
        return self

    async def __anext__(self) -> EventT:
        """Return the next event. Data that was loaded for the previous event is dropped."""
        event = await self.feed.__anext__()
        self._context.reset_loaders()
        typed = self.event_from_log(event)
        prime_loaders(typed, self._context)
        return typed

    async def aclose(self) -> None:
        """Close the feed."""
        await self.feed.aclose()


@strawberry.type(
    description="Live events. A subscription to a run begins with the run's present state, a subscription to a thread "
    "with the runs that are active, and `viewerEvents` with the changes from now on. With `after`, it continues after "
    "that cursor instead."
)
class Subscription:
    """The status of one run, all events of one run, those of one thread, and those of the viewer's list."""

    @documented_subscription
    async def run_status(self, info: Info, run_id: RunId) -> AsyncIterator[RunStatusChange]:
        """The present status of a run, then each change of it. Ends after the final status."""
        key, context = read_id(RunKey, run_id, "runId"), info.context
        feed = await _open_feed(_run_events(context).follow_status(key, after=context.resume_after), key, "runId")
        return cast(
            "AsyncIterator[RunStatusChange]",
            TypedFeed(feed, lambda event: run_event_from_log(event, key), context),
        )

    @documented_subscription
    async def run_events(self, info: Info, run_id: RunId, after: After = None) -> AsyncIterator[AnyRunEvent]:
        """All events of a run, from its beginning or from a cursor on. Ends with the run."""
        key, context = read_id(RunKey, run_id, "runId"), info.context
        after_cursor = _cursor_to_resume(context, after)
        feed = await _open_feed(_run_events(context).follow_run(key, after=after_cursor), key, "runId")
        return TypedFeed(feed, lambda event: run_event_from_log(event, key), context)

    @documented_subscription
    async def thread_events(
        self, info: Info, thread_id: ThreadId, after: After = None
    ) -> AsyncIterator[AnyThreadEvent]:
        """New messages and runs of a thread and their changes, from any client."""
        key, context = read_id(ThreadKey, thread_id, "threadId"), info.context
        after_cursor = _cursor_to_resume(context, after)
        feed = await _open_feed(_run_events(context).follow_thread(key, after=after_cursor), key, "threadId")
        return TypedFeed(feed, lambda event: thread_event_from_log(event, key), context)

    @documented_subscription
    async def viewer_events(self, info: Info, after: After = None) -> AsyncIterator[AnyViewerEvent]:
        """The caller's list as it changes: threads that are new, changed or gone, and runs whose status changes.

        It begins with the changes from now on. So subscribe first, and then query `viewer` for what is there.
        """
        context = info.context
        viewer = context.read_viewer()
        if viewer is None:
            raise GatewayError(ErrorCode.UNAUTHENTICATED, "Nobody is known whose list could be followed.")
        feed = await viewer.api.follow(after=_cursor_to_resume(context, after))
        return TypedFeed(feed, viewer_event_from_log, context)


def _run_events(context: Context) -> RunEvents:
    if context.events is None:
        raise GatewayError(ErrorCode.UNSUPPORTED_BY_UPSTREAM, "Subscriptions are not served here.")
    return context.events


def _cursor_to_resume(context: Context, after: str | None) -> str | None:
    """Prefer the cursor of the transport: a client that reconnects sends its first document again."""
    return after if context.resume_after is None else context.resume_after


async def _open_feed(opening: Awaitable[EventFeed], key: RunKey | ThreadKey, argument: str) -> EventFeed:
    try:
        return await opening
    except GatewayError as error:
        if error.code is ErrorCode.BAD_USER_INPUT and error.argument in key._fields:
            raise error.with_argument(argument) from error
        raise

"""The ways to follow what happens: of a run the present state first, then each change; of a thread what is new."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Generic, TypeAlias, TypeVar, cast

import strawberry

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.ports import EventFeed, RunEvents
from schema.contract.run_events import RunEvent
from schema.engine.context import Context, Info
from schema.graph.event_types import (
    AnyRunEvent,
    AnyThreadEvent,
    RunStatusChange,
    prime_loaders,
    run_event_from_log,
    thread_event_from_log,
)
from schema.graph.id_arguments import read_id

ShownT = TypeVar("ShownT")

RunId: TypeAlias = Annotated[strawberry.ID, strawberry.argument(description="The run's global ID.")]
ThreadId: TypeAlias = Annotated[
    strawberry.ID, strawberry.argument(description="The thread's global ID or the upstream's own id.")
]
After: TypeAlias = Annotated[
    str | None,
    strawberry.argument(description="The `cursor` of the last event that is known: what came after it is sent."),
]


class TypedFeed(Generic[ShownT]):
    """A feed as GraphQL reads it: each event typed, and loaded afresh what is selected below it."""

    __slots__ = ("_context", "feed", "log", "shown")

    def __init__(
        self, feed: EventFeed, log: RunKey | ThreadKey, shown: Callable[[RunEvent], ShownT], context: Context
    ) -> None:
        """Show the events of `feed`, which come from the log of `log`."""
        self.feed = feed
        self.log = log
        self.shown = shown
        self._context = context

    def __aiter__(self) -> TypedFeed[ShownT]:
        """Give itself: it is read once."""
        return self

    async def __anext__(self) -> ShownT:
        """Give the next event; what the one before it has loaded is forgotten."""
        event = await self.feed.__anext__()
        self._context.reset_loaders()
        prime_loaders(event.change, self.log.thread_id, self._context.loaders)
        return self.shown(event)

    async def aclose(self) -> None:
        """Leave the feed."""
        await self.feed.aclose()


def _subscription(resolver: Callable[..., Any]) -> Any:
    return strawberry.subscription(resolver=resolver, description=inspect.getdoc(resolver))


@strawberry.type(
    description="Following. A run's begins with the present state, a thread's with its runs under way, and each goes "
    "on behind the cursor that it is given."
)
class Subscription:
    """One run's status, all of one run, all of one thread."""

    @_subscription
    async def run_status(self, info: Info, run_id: RunId) -> AsyncIterator[RunStatusChange]:
        """The present state first, then each change of status; ends after a terminal one."""
        key, context = read_id(RunKey, run_id, "runId"), info.context
        feed = await _opened(_events(context).follow_status(key, after=context.resume_after), key, "runId")
        return cast(
            "AsyncIterator[RunStatusChange]",
            TypedFeed(feed, key, lambda event: run_event_from_log(event, key), context),
        )

    @_subscription
    async def run_events(self, info: Info, run_id: RunId, after: After = None) -> AsyncIterator[AnyRunEvent]:
        """Everything that happens in a run, from a cursor or from its beginning; ends with the run."""
        key, context = read_id(RunKey, run_id, "runId"), info.context
        feed = await _opened(_events(context).follow_run(key, after=_place(context, after)), key, "runId")
        return TypedFeed(feed, key, lambda event: run_event_from_log(event, key), context)

    @_subscription
    async def thread_events(
        self, info: Info, thread_id: ThreadId, after: After = None
    ) -> AsyncIterator[AnyThreadEvent]:
        """New messages and runs of a thread and what becomes of them, whoever made them."""
        key, context = read_id(ThreadKey, thread_id, "threadId"), info.context
        feed = await _opened(_events(context).follow_thread(key, after=_place(context, after)), key, "threadId")
        return TypedFeed(feed, key, lambda event: thread_event_from_log(event, key), context)


def _events(context: Context) -> RunEvents:
    if context.events is None:
        raise GatewayError(ErrorCode.UNSUPPORTED_BY_UPSTREAM, "Subscriptions are not served here.")
    return context.events


def _place(context: Context, after: str | None) -> str | None:
    """Prefer what the client's transport says it has got: a reconnecting client sends its first document again."""
    return after if context.resume_after is None else context.resume_after


async def _opened(opening: Awaitable[EventFeed], key: RunKey | ThreadKey, argument: str) -> EventFeed:
    try:
        return await opening
    except GatewayError as error:
        if error.code is ErrorCode.BAD_USER_INPUT and error.argument in key._fields:
            raise error.with_argument(argument) from error
        raise

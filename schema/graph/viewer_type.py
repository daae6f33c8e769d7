"""The type `Viewer`: the caller, with the lists and sums that the gateway keeps for them."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Annotated, Any, TypeAlias, cast

import strawberry
from strawberry import UNSET

from schema.contract.errors import bad_argument
from schema.contract.keys import AssistantKey, ThreadKey, to_opaque
from schema.contract.keyset_cursors import WAITING_RUNS, keyset_window_from_arguments, record_scope
from schema.contract.paging import PagingLimits
from schema.contract.thread_records import (
    MAX_SEARCH_LENGTH,
    RecordFilter,
    RecordOrder,
    RecordPosition,
    ThreadRecord,
    TokenUsage,
    WaitingRun,
    WaitingRunPosition,
)
from schema.contract.viewer import RateLimitState, ViewerRole
from schema.engine.context import Info
from schema.engine.deferred import then
from schema.engine.viewer_loaders import RecordPageKey, UsageKey, ViewerLoaders, WaitingRunPageKey
from schema.graph.connections import After, Before, Connection, First, Last
from schema.graph.documented_field import documented_field, enum_member, plain_field
from schema.graph.id_arguments import read_id
from schema.graph.input_parts import optional_field
from schema.graph.kept_lists import KeptListPlan, kept_list_field
from schema.graph.leaf_types import Usage
from schema.graph.record_fields import date_time_from_ms, usage_from_tokens
from schema.graph.run_node import Run
from schema.graph.scalars import DateTime
from schema.graph.thread_node import Thread

_CURSOR = "It must come from a list with the same filter and order."

FirstThreads: TypeAlias = Annotated[
    int | None,
    strawberry.argument(
        description="At most this many threads, from the newest on; 1 to 1,000. Without `first` and `last` it is 20."
    ),
]
AfterThread: TypeAlias = Annotated[
    str | None,
    strawberry.argument(description=f"Return only threads after this cursor, the older ones. {_CURSOR}"),
]
LastThreads: TypeAlias = Annotated[
    int | None,
    strawberry.argument(description="At most this many of the oldest threads, still newest first; 1 to 1,000."),
]
BeforeThread: TypeAlias = Annotated[
    str | None,
    strawberry.argument(description=f"Return only threads before this cursor, the newer ones. {_CURSOR}"),
]


class _InputDefault(dict[str, Any]):
    """The default of an argument, as a client would write it. Strawberry requires that it has a hash."""

    __hash__ = object.__hash__  # type: ignore[assignment]


_NOT_ARCHIVED = _InputDefault(isArchived=False)


@strawberry.enum(description="A right of the caller. New members may be added.")
class Role(Enum):
    """Source: `ViewerRole` in `schema/contract/viewer.py`."""

    ADMIN = enum_member(ViewerRole.ADMIN.value, "Reads and writes the threads of all users, by their ids.")


@strawberry.enum(description="The order of a list of threads: always the newest first.")
class ThreadOrder(Enum):
    """Source: `RecordOrder` in `schema/contract/thread_records.py`."""

    LAST_ACTIVITY = enum_member(RecordOrder.LAST_ACTIVITY.value, "By `lastActivityAt`.")
    CREATED = enum_member(RecordOrder.CREATED.value, "By the time when the thread was created.")


@strawberry.input(description="Conditions on threads. A thread must meet all of those that are set and not null.")
class ThreadFilter:
    """Becomes a `RecordFilter`."""

    is_archived: bool | None = optional_field(
        "Only archived threads, or only those that are not. Both if the field is not set or null."
    )
    text: str | None = optional_field(
        f"Words that the title or a message must contain; up to {MAX_SEARCH_LENGTH} characters. Blank is no condition."
    )
    assistant_id: strawberry.ID | None = optional_field(
        "Only threads with a run of this assistant: its global ID or upstream id."
    )
    active_since: DateTime | None = optional_field("Only threads with activity at this time or later.")

    def to_conditions(self) -> RecordFilter:
        """Convert to the conditions of the port. Raises a `GatewayError` for a value that is refused."""
        text = (self.text or "").strip()
        if len(text) > MAX_SEARCH_LENGTH:
            raise bad_argument("filter.text", f"at most {MAX_SEARCH_LENGTH} characters", len(text))
        assistant_id = self.assistant_id or None
        since = None if self.active_since is UNSET else self.active_since
        return RecordFilter(
            is_archived=None if self.is_archived is UNSET else self.is_archived,
            text=" ".join(text.split()) or None,
            assistant_id=assistant_id and read_id(AssistantKey, assistant_id, "filter.assistantId").assistant_id,
            active_since_ms=None if since is None else _to_ms(since),
        )


@strawberry.type(
    description="A page of the caller's threads, the newest first: `first` is the top of the list, and `hasNextPage` "
    "means that older ones follow. A thread that stands still is neither skipped nor repeated while paging; one that "
    "moves meanwhile may be. It has no totals."
)
class ThreadConnection(Connection[Thread]):
    """Source: the Relay specification; `connections.py`."""


@strawberry.type(description="The limits of the caller in the present window. Null is unlimited.")
class RateLimit:
    """Source: `RateLimitState` in `schema/contract/viewer.py`."""

    calls_limit: int | None = plain_field("Upstream calls that the caller may cause in a window.")
    calls_remaining: int | None = plain_field("Upstream calls that are left in this window.")
    operations_limit: int | None = plain_field("Operations that the caller may send in a window.")
    operations_remaining: int | None = plain_field("Operations that are left in this window.")
    runs_limit: int | None = plain_field("Runs that the caller may start in a window.")
    runs_remaining: int | None = plain_field("Runs that are left in this window.")
    resets_at: DateTime = plain_field("The time when everything is left again, if nothing more is used.")


@strawberry.type(description="The caller.")
class Viewer:
    """Source: `ViewerApi` in `schema/contract/viewer.py`."""

    viewer_loaders: strawberry.Private[ViewerLoaders]

    @documented_field
    def id(self) -> strawberry.ID:
        """An opaque id of the caller, the same in every session."""
        return strawberry.ID(to_opaque("Viewer", self.viewer_loaders.api.identity.viewer_id))

    @documented_field
    def subject(self) -> str | None:
        """The subject of the caller's token. Null where the credential is the upstream's own."""
        return self.viewer_loaders.api.identity.subject

    @documented_field
    def roles(self) -> list[Role]:
        """The rights of the caller, besides the use of their own threads."""
        return [Role(role.value) for role in sorted(self.viewer_loaders.api.identity.roles)]

    @kept_list_field(Thread)
    def threads(
        self,
        limits: PagingLimits,
        first: FirstThreads = None,
        after: AfterThread = None,
        last: LastThreads = None,
        before: BeforeThread = None,
        filter: Annotated[  # noqa: A002 - the name of the argument in the schema
            ThreadFilter | None, strawberry.argument(description="Conditions on the threads. Null is none.")
        ] = _NOT_ARCHIVED,  # type: ignore[assignment]  # strawberry converts it, like a client's value
        order_by: Annotated[
            ThreadOrder, strawberry.argument(description="The order of the list.")
        ] = ThreadOrder.LAST_ACTIVITY,
    ) -> ThreadConnection | None:
        """The caller's own threads, the latest activity first unless ordered otherwise. It costs no upstream call.

        For a caller with a credential of the upstream, one call may ask whether it is still accepted, and on Azure AI
        Foundry up to ten read the upstream's own list. Without a database it is refused as `UNSUPPORTED`, as are
        `waitingRuns` and `usage`.
        """
        conditions = RecordFilter() if filter is None else filter.to_conditions()
        order = RecordOrder(order_by.value)
        scope = record_scope(conditions, order)
        window = keyset_window_from_arguments(scope, limits, first=first, after=after, last=last, before=before)
        plan = KeptListPlan(
            scope,
            window,
            RecordPageKey(conditions, order, window),
            lambda loaders: loaders.record_pages,
            lambda record: ThreadKey(record.thread_id),
            lambda record: _record_position(record, order),
            ThreadConnection,
            _prime_record,
        )
        return cast("ThreadConnection", plan)

    @kept_list_field(Run)
    def waiting_runs(
        self, limits: PagingLimits, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Run] | None:
        """The runs of the caller's threads that wait for tool outputs, the one that waits longest first.

        The list costs no upstream call. A run is read where more than its id or its thread is selected.
        """
        window = keyset_window_from_arguments(WAITING_RUNS, limits, first=first, after=after, last=last, before=before)
        plan: KeptListPlan[WaitingRun, WaitingRunPosition] = KeptListPlan(
            WAITING_RUNS,
            window,
            WaitingRunPageKey(window),
            lambda loaders: loaders.waiting_run_pages,
            lambda waiting: waiting.key,
            lambda waiting: WaitingRunPosition(waiting.since_ms, *waiting.key),
        )
        return cast("Connection[Run]", plan)

    @documented_field
    def usage(
        self,
        since: Annotated[
            DateTime | None, strawberry.argument(description="Only runs that ended at this time or later.")
        ] = None,
        until: Annotated[DateTime | None, strawberry.argument(description="Only runs that ended before this.")] = None,
    ) -> Usage | None:
        """Tokens used by the caller's runs that ended in this time, as the upstream counted them."""
        key = UsageKey(None if since is None else _to_ms(since), None if until is None else _to_ms(until))

        def finish(load: asyncio.Future[TokenUsage]) -> Usage:
            return usage_from_tokens(load.result())

        return then(self.viewer_loaders.usage.start_load(key), finish)

    @documented_field
    def rate_limit(self) -> RateLimit | None:
        """The rest of the caller's limits, before `RATE_LIMITED`. Null where nothing is limited."""

        def finish(load: asyncio.Future[RateLimitState | None]) -> RateLimit | None:
            state = load.result()
            return None if state is None else _to_rate_limit(state)

        return then(self.viewer_loaders.rate_limits.start_load(()), finish)


def find_viewer(info: Info) -> Viewer | None:
    """Make the viewer of an operation. Returns None where nobody is known."""
    loaders = info.context.read_viewer()
    return None if loaders is None else Viewer(viewer_loaders=loaders)


def _to_ms(seconds: float) -> int:
    return round(seconds * 1000)


def _prime_record(loaders: ViewerLoaders, record: ThreadRecord) -> None:
    loaders.records.prime(ThreadKey(record.thread_id), record)


def _record_position(record: ThreadRecord, order: RecordOrder) -> RecordPosition:
    time_ms = record.created_at_ms if order is RecordOrder.CREATED else record.last_activity_at_ms
    return RecordPosition(time_ms, record.thread_id)


def _to_rate_limit(state: RateLimitState) -> RateLimit:
    return RateLimit(
        calls_limit=state.calls_limit,
        calls_remaining=state.calls_remaining,
        operations_limit=state.operations_limit,
        operations_remaining=state.operations_remaining,
        runs_limit=state.runs_limit,
        runs_remaining=state.runs_remaining,
        resets_at=date_time_from_ms(state.resets_at_ms),
    )

"""The node type `Thread` and its lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, cast

import strawberry

from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import RUNS, THREADS, RunPageKey
from schema.contract.paging import CursorScope, PagingLimits, Window, window_from_arguments
from schema.contract.statuses import is_terminal
from schema.contract.thread_records import ThreadRecord
from schema.contract.wire import Page, RunObject, ThreadObject
from schema.graph.connections import After, Before, Connection, ConnectionPlan, First, Last, connect, list_field
from schema.graph.documented_field import documented_field
from schema.graph.from_wire import tool_resources_from_wire
from schema.graph.id_arguments import read_run_id_within
from schema.graph.leaf_types import ToolResources, Usage
from schema.graph.node import NOT_LOADED, Node
from schema.graph.record_fields import date_time_from_ms, record_field, usage_from_tokens
from schema.graph.scalars import DateTime, Metadata, to_date_time, to_metadata


def _plan_runs(key: ThreadKey, window: Window, to_result: Callable[..., Any] | None = None) -> ConnectionPlan[Run]:
    return ConnectionPlan(
        RUNS,
        RunPageKey(key.thread_id, window),
        CursorScope("runs", key),
        lambda wire: Run(key=RunKey(key.thread_id, wire.id), wire=wire),
        to_result=to_result,
    )


def _find_active(plan: ConnectionPlan[Run], page: Page[RunObject]) -> Run | None:
    newest = next(iter(page.data), None)
    return None if newest is None or is_terminal(newest.status) else plan.make_node(newest)


@strawberry.type(description="A conversation: its messages, and the runs that answer them.")
class Thread(Node):
    """Source: schema `ThreadObject`."""

    KIND: ClassVar = THREADS
    TYPE_NAME: ClassVar = KIND.type_name

    key: strawberry.Private[ThreadKey]
    wire: strawberry.Private[ThreadObject] = NOT_LOADED

    @documented_field
    def upstream_id(self) -> str:
        """The upstream's id of the thread, such as `thread_abc123`."""
        return self.key.thread_id

    @documented_field
    def created_at(self) -> DateTime | None:
        """The time when the thread was created. Null if the upstream does not send it."""
        return to_date_time(self.wire.created_at or None)

    @documented_field
    def metadata(self) -> Metadata:
        """Key-value pairs that the client stores with the thread."""
        return to_metadata(self.wire.metadata)

    @documented_field
    def tool_resources(self) -> ToolResources | None:
        """The files and vector stores that tools may use in this thread. Null in version 1 of the API."""
        return tool_resources_from_wire(self.wire.tool_resources)

    @record_field
    def title(self, record: ThreadRecord) -> str | None:
        """The title for lists: the one that was given, else the first words of the first message.

        The gateway keeps it. Null where it keeps nothing, or the thread has neither.
        """
        return record.title

    @record_field
    def is_archived(self, record: ThreadRecord) -> bool | None:
        """Whether the thread is put away from the list. The gateway keeps it. Null where it keeps nothing."""
        return record.is_archived

    @record_field
    def last_activity_at(self, record: ThreadRecord) -> DateTime | None:
        """The time when a message or a run was last added, or a run last ended, as far as the gateway saw it."""
        return date_time_from_ms(record.last_activity_at_ms)

    @record_field
    def usage(self, record: ThreadRecord) -> Usage | None:
        """Tokens used by the thread's runs that ended, as far as the gateway saw them."""
        return usage_from_tokens(record.usage)

    @list_field
    def runs(
        self, limits: PagingLimits, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Run] | None:
        """The runs, oldest first."""
        scope = CursorScope("runs", self.key)
        window = window_from_arguments(scope, limits, first=first, after=after, last=last, before=before)
        return connect(_plan_runs(self.key, window))

    @list_field
    def active_run(self, _: PagingLimits) -> Run | None:
        """The run that is active on the thread, or null.

        While a run is active, no message and no other run can be added to the thread.
        """
        return cast("Run | None", _plan_runs(self.key, Window(1, "desc"), _find_active))

    # The loads start in this order. Messages refer to runs, so a page of runs that is requested first saves calls.
    @list_field
    def messages(
        self,
        limits: PagingLimits,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        run_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(
                description="Return only messages that this run wrote: the run's global ID or upstream id."
            ),
        ] = None,
    ) -> Connection[Message] | None:
        """The messages, oldest first. `last: 20` returns the newest twenty, still oldest first."""
        upstream_run_id = None if run_id is None else read_run_id_within(self.key, run_id)
        owner = self.key if upstream_run_id is None else RunKey(self.key.thread_id, upstream_run_id)
        scope = CursorScope("messages", owner)
        window = window_from_arguments(scope, limits, first=first, after=after, last=last, before=before)
        return connect(plan_messages(self.key.thread_id, upstream_run_id, scope, window))


from schema.graph.message_node import Message, plan_messages  # noqa: E402 - the types form a circle, see node.py
from schema.graph.run_node import Run  # noqa: E402 - the types form a circle, see node.py

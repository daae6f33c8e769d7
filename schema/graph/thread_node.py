"""The node type `Thread` and its lists."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import strawberry

from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import RUNS, THREADS, RunPageKey
from schema.contract.paging import CursorScope, Window, window_from_arguments
from schema.contract.statuses import is_terminal
from schema.contract.wire import Page, RunObject, ThreadObject
from schema.engine.context import Context, Info
from schema.engine.deferred import then
from schema.graph.connections import After, Before, Connection, ConnectionPlan, First, Last, load_connection
from schema.graph.documented_field import documented_field
from schema.graph.from_wire import tool_resources_from_wire
from schema.graph.id_arguments import read_run_id_within
from schema.graph.leaf_types import ToolResources
from schema.graph.node import IDENTITY_FIELDS, NOT_LOADED, ListPlanner, Node, ReferenceTarget
from schema.graph.scalars import DateTime, Metadata, to_date_time, to_metadata


def _plan_messages(
    context: Context, key: ThreadKey, *, run_id: str | None = None, **paging: Any
) -> ConnectionPlan[Message]:
    upstream_run_id = None if run_id is None else read_run_id_within(key, run_id)
    owner = key if upstream_run_id is None else RunKey(key.thread_id, upstream_run_id)
    scope = CursorScope("messages", owner)
    return plan_messages(context, key.thread_id, upstream_run_id, scope, paging)


def _plan_runs(context: Context, key: ThreadKey, **paging: Any) -> ConnectionPlan[Run]:
    scope = CursorScope("runs", key)
    window = window_from_arguments(scope, context.limits, **paging)
    return _plan_run_window(context, key, scope, window)


def _plan_newest_run(context: Context, key: ThreadKey) -> ConnectionPlan[Run]:
    return _plan_run_window(context, key, CursorScope("runs", key), Window(1, "desc"))


def _plan_run_window(context: Context, key: ThreadKey, scope: CursorScope, window: Window) -> ConnectionPlan[Run]:
    return ConnectionPlan(
        context.loaders.pages(RUNS),
        RunPageKey(key.thread_id, window),
        scope,
        lambda wire: Run(key=RunKey(key.thread_id, wire.id), wire=wire),
    )


@strawberry.type(description="A conversation: its messages, and the runs that answer them.")
class Thread(Node):
    """Source: schema `ThreadObject`."""

    KIND: ClassVar = THREADS
    TYPE_NAME: ClassVar = KIND.type_name
    KEY_FIELDS: ClassVar = IDENTITY_FIELDS | {"messages", "runs", "activeRun"}
    LISTS: ClassVar[Mapping[str, ListPlanner]] = {
        "runs": _plan_runs,
        "activeRun": _plan_newest_run,
        "messages": _plan_messages,
    }
    REFERENCES: ClassVar[Mapping[str, ReferenceTarget]] = {}

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

    @documented_field
    def messages(
        self,
        info: Info,
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
        return load_connection(
            _plan_messages(info.context, self.key, first=first, after=after, last=last, before=before, run_id=run_id)
        )

    @documented_field
    def runs(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Run] | None:
        """The runs, oldest first."""
        return load_connection(_plan_runs(info.context, self.key, first=first, after=after, last=last, before=before))

    @documented_field
    def active_run(self, info: Info) -> Run | None:
        """The run that is active on the thread, or null.

        While a run is active, no message and no other run can be added to the thread.
        """
        plan = _plan_newest_run(info.context, self.key)

        def active(load: Future[Page[RunObject]]) -> Run | None:
            newest = next(iter(load.result().data), None)
            return None if newest is None or is_terminal(newest.status) else plan.make_node(newest)

        return then(plan.loader.start_load(plan.first_page_key), active)


from schema.graph.message_node import Message, plan_messages  # noqa: E402 - the types form a circle, see node.py
from schema.graph.run_node import Run  # noqa: E402 - the types form a circle, see node.py

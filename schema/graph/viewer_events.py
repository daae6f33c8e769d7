"""The GraphQL types of a viewer's events, and the conversion of the viewer's log to them. Pure."""

from __future__ import annotations

from typing import Annotated, TypeAlias, cast

import strawberry

from schema.contract.keys import ThreadKey, to_global_id
from schema.contract.run_events import (
    FaultChange,
    LaggedChange,
    RunEvent,
    StatusChange,
    ThreadChange,
    ThreadRemovedChange,
)
from schema.contract.thread_records import ThreadRecord
from schema.graph.documented_field import plain_field
from schema.graph.event_types import Lagged, RunLogEvent, RunStatusChange, StreamError, thread_event_from_log
from schema.graph.references import refer_to, sure_reference
from schema.graph.scalars import DateTime
from schema.graph.thread_node import Thread


@strawberry.type(description="A thread that is new in the caller's list, or that changed there.")
class ThreadChanged(RunLogEvent):
    """Made of `ThreadChange`."""

    thread_id: strawberry.Private[str]
    record: strawberry.Private[ThreadRecord | None]

    @sure_reference
    def thread(self) -> Thread:
        """The thread. Its title and the other fields that the gateway keeps are those of the event and cost no call."""
        return refer_to(Thread, ThreadKey(self.thread_id))


@strawberry.type(description="A thread that is gone from the caller's list.")
class ThreadRemoved(RunLogEvent):
    """Made of `ThreadRemovedChange`."""

    deleted_id: strawberry.ID = plain_field("The global ID of the thread.")


AnyViewerEvent: TypeAlias = Annotated[
    ThreadChanged | ThreadRemoved | RunStatusChange | StreamError | Lagged,
    strawberry.union("ViewerEvent", description="An event of the caller's list."),
]


def viewer_event_from_log(event: RunEvent) -> AnyViewerEvent:
    """Convert an event of a viewer's log to its GraphQL type.

    Raises:
        TypeError: No viewer's log contains a change of this type.
    """
    change, cursor, at = event.change, event.cursor, DateTime(event.at)
    match change:
        case ThreadChange():
            return ThreadChanged(cursor=cursor, at=at, thread_id=change.thread_id, record=change.record)
        case ThreadRemovedChange():
            deleted_id = strawberry.ID(to_global_id(ThreadKey(change.thread_id)))
            return ThreadRemoved(cursor=cursor, at=at, deleted_id=deleted_id)
        case StatusChange() if change.run.thread_id is not None:
            key = ThreadKey(change.run.thread_id)
        case FaultChange() | LaggedChange():
            key = ThreadKey("")  # these are about no thread
        case _:
            raise TypeError(f"expected a change of a viewer's list, got {type(change).__name__}")
    return cast("AnyViewerEvent", thread_event_from_log(event, key))

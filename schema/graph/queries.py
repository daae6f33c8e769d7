"""The root type `Query`: the viewer, lookups by id, the list of assistants, and the upstream's capabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import strawberry

from schema.contract.errors import GatewayError, bad_argument
from schema.contract.keys import AssistantKey, FileKey, MessageKey, RunKey, ThreadKey
from schema.contract.kinds import ASSISTANTS, AssistantPageKey
from schema.contract.paging import CursorScope, PagingLimits, window_from_arguments
from schema.engine.context import Info
from schema.graph.assistant_node import Assistant
from schema.graph.connections import After, Before, Connection, ConnectionPlan, First, Last, connect, list_field
from schema.graph.documented_field import documented_field, plain_field
from schema.graph.enums import MessageTimes, UpstreamDialect, UpstreamVersion
from schema.graph.file_node import File
from schema.graph.id_arguments import read_id, read_node_id
from schema.graph.message_node import Message
from schema.graph.node import Node
from schema.graph.nodes import NODE_TYPES
from schema.graph.references import look_for, lookup
from schema.graph.run_node import Run
from schema.graph.thread_node import Thread
from schema.graph.viewer_type import Viewer, find_viewer

NodeT = TypeVar("NodeT")

MAX_IDS = 100
"""The most ids of one `nodes` or `threadsByIds` field."""

GlobalId = Annotated[strawberry.ID, strawberry.argument(description="The global ID.")]
EitherId = Annotated[strawberry.ID, strawberry.argument(description="The global ID, or the upstream id.")]


@strawberry.type(description="The capabilities of the server behind the gateway, so that a frontend can adapt.")
class Upstream:
    """Source: the dialect in the gateway's configuration."""

    dialect: UpstreamDialect = plain_field("The kind of server.")
    version: UpstreamVersion = plain_field("The version of the API.")
    streaming: bool = plain_field("Whether the server streams runs.")
    deletes_messages: bool = plain_field("Whether the server can delete a message.")
    lists_threads: bool = plain_field("Whether the server can list threads. The API itself cannot.")
    message_files: bool = plain_field("Whether messages have `files` (version 1 of the API).")
    lists_runs: bool = plain_field(
        "Whether the server can list the runs of a thread. If not, `runs` holds those that were started here."
    )
    updates_messages: bool = plain_field("Whether the server can change the metadata of a message.")
    replays_streams: bool = plain_field("Whether a stream that broke can be read on from where it was.")
    message_times: MessageTimes = plain_field(
        "Whether the times of messages are the upstream's own, or when the gateway saw them."
    )


@strawberry.type(description="Read operations. An object that does not exist is null, without an error.")
class Query:
    """The viewer, lookups by id, the assistants, and the upstream's capabilities."""

    @documented_field
    def viewer(self, info: Info) -> Viewer | None:
        """The caller, with their threads, runs and limits. Null if the caller is not known."""
        return find_viewer(info)

    @lookup
    def node(self, id: GlobalId) -> Node | None:
        """Return any object by its global ID."""
        return _find_node(id, "id")

    @lookup
    def nodes(
        self,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="The global IDs, at most 100.")],
    ) -> list[Node | None]:
        """Return objects by their global IDs: one per ID, in the same order. An object that does not exist is null."""
        return _find_each(ids, lambda id_: _find_node(id_, "ids"))

    @lookup
    def thread(self, id: EitherId) -> Thread | None:
        """Return a thread."""
        return look_for(Thread, read_id(ThreadKey, id))

    @lookup
    def threads_by_ids(
        self,
        ids: Annotated[
            list[strawberry.ID], strawberry.argument(description="The global IDs or upstream ids, at most 100.")
        ],
    ) -> list[Thread | None]:
        """Return threads: one per ID, in the same order. A thread that does not exist is null.

        `viewer.threads` lists the caller's own.
        """
        return _find_each(ids, lambda id_: look_for(Thread, read_id(ThreadKey, id_, "ids"), "ids"))

    @lookup
    def message(self, id: GlobalId) -> Message | None:
        """Return a message."""
        return look_for(Message, read_id(MessageKey, id))

    @lookup
    def run(self, id: GlobalId) -> Run | None:
        """Return a run."""
        return look_for(Run, read_id(RunKey, id))

    @lookup
    def assistant(self, id: EitherId) -> Assistant | None:
        """Return an assistant."""
        return look_for(Assistant, read_id(AssistantKey, id))

    @lookup
    def file(self, id: EitherId) -> File | None:
        """Return a file."""
        return look_for(File, read_id(FileKey, id))

    @list_field
    def assistants(
        self, limits: PagingLimits, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Assistant] | None:
        """The assistants, oldest first."""
        scope = CursorScope("assistants")
        window = window_from_arguments(scope, limits, first=first, after=after, last=last, before=before)
        return connect(
            ConnectionPlan(
                ASSISTANTS,
                AssistantPageKey(window),
                scope,
                lambda wire: Assistant(key=AssistantKey(wire.id), wire=wire),
            )
        )

    @documented_field
    def upstream(self, info: Info) -> Upstream:
        """The capabilities of the server behind the gateway, so that a frontend can adapt."""
        capabilities = info.context.capabilities
        return Upstream(
            dialect=UpstreamDialect(capabilities.dialect),
            version=UpstreamVersion(capabilities.version),
            streaming=capabilities.streaming,
            deletes_messages=capabilities.deletes_messages,
            lists_threads=capabilities.lists_threads,
            message_files=capabilities.message_files,
            lists_runs=capabilities.lists_runs,
            updates_messages=capabilities.updates_messages,
            replays_streams=capabilities.replays_streams,
            message_times=MessageTimes(capabilities.message_times),
        )


def _find_node(text: str, argument: str) -> Node:
    key = read_node_id(text, argument)
    node: Node = look_for(NODE_TYPES[type(key)], key, argument)
    return node


def _find_each(ids: list[strawberry.ID], find_one: Callable[[str], NodeT]) -> list[NodeT | None]:
    """Find each object separately. An id that is refused becomes an error of its own."""
    if len(ids) > MAX_IDS:
        raise bad_argument("ids", f"at most {MAX_IDS} ids", len(ids))
    found: list[Any] = []
    for id_ in ids:
        try:
            found.append(find_one(id_))
        except GatewayError as error:
            found.append(error)
    return found

"""The ways into the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import strawberry

from schema.contract.errors import GatewayError, bad_argument
from schema.contract.keys import AssistantKey, MessageKey, RunKey, ThreadKey
from schema.engine.context import Info
from schema.engine.deferred import deferred_error
from schema.graph.assistant_node import Assistant, plan_assistants
from schema.graph.connections import After, Before, Connection, First, Last, load_connection
from schema.graph.documented_field import documented_field, plain_field
from schema.graph.id_arguments import read_id, read_node_id
from schema.graph.message_node import Message
from schema.graph.node import Node
from schema.graph.nodes import NODE_TYPES
from schema.graph.references import look_up
from schema.graph.run_node import Run
from schema.graph.thread_node import Thread

NodeT = TypeVar("NodeT")

MAX_IDS = 100
"""Most ids of one `nodes` or `threadsByIds`."""

GlobalId = Annotated[strawberry.ID, strawberry.argument(description="The global ID.")]
EitherId = Annotated[strawberry.ID, strawberry.argument(description="The global ID or the upstream's own id.")]


@strawberry.type(description="What the server behind the gateway can do, so that a frontend can adapt.")
class Upstream:
    """Source: the dialect that the gateway was configured with."""

    dialect: str = plain_field("The profile that the gateway speaks to it in, such as `openai-v2`.")
    version: str = plain_field("The version of the API: `v1` or `v2`.")
    streaming: bool = plain_field("Whether it streams runs.")
    deletes_messages: bool = plain_field("Whether it can delete a message.")
    lists_threads: bool = plain_field("Whether it can list threads; the API itself cannot.")
    message_files: bool = plain_field("Whether messages have `files` (version 1 of the API).")


@strawberry.type(description="Reading. An object that is not there is null, without an error.")
class Query:
    """Lookups by id, the assistants, and what the upstream can do."""

    @documented_field
    def node(self, info: Info, id: GlobalId) -> Node | None:
        """Find any object by its global ID."""
        return _find_node(info, id, "id")

    @documented_field
    def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="Global IDs, at most 100.")],
    ) -> list[Node | None]:
        """Find objects by their global IDs: one for each ID, in their order, null for one that is not there."""
        return _each(_bounded(ids), lambda id_: _find_node(info, id_, "ids"))

    @documented_field
    def thread(self, info: Info, id: EitherId) -> Thread | None:
        """Find a thread."""
        return _find_thread(info, id, "id")

    @documented_field
    def threads_by_ids(
        self,
        info: Info,
        ids: Annotated[
            list[strawberry.ID], strawberry.argument(description="Global IDs or upstream ids, at most 100.")
        ],
    ) -> list[Thread | None]:
        """Find threads: one for each ID, in their order, null for one that is not there.

        The API cannot list threads, so the frontend's own program keeps their ids.
        """
        return _each(_bounded(ids), lambda id_: _find_thread(info, id_, "ids"))

    @documented_field
    def message(self, info: Info, id: GlobalId) -> Message | None:
        """Find a message."""
        return look_up(info, Message, read_id(MessageKey, id))

    @documented_field
    def run(self, info: Info, id: GlobalId) -> Run | None:
        """Find a run."""
        return look_up(info, Run, read_id(RunKey, id))

    @documented_field
    def assistant(self, info: Info, id: EitherId) -> Assistant | None:
        """Find an assistant."""
        return look_up(info, Assistant, read_id(AssistantKey, id))

    @documented_field
    def assistants(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Assistant] | None:
        """The assistants, oldest first."""
        return load_connection(plan_assistants(info.context, first=first, after=after, last=last, before=before))

    @documented_field
    def upstream(self, info: Info) -> Upstream:
        """What the server behind the gateway can do, so that a frontend can adapt."""
        can = info.context.capabilities
        return Upstream(
            dialect=can.dialect,
            version=can.version,
            streaming=can.streaming,
            deletes_messages=can.deletes_messages,
            lists_threads=can.lists_threads,
            message_files=can.message_files,
        )


def _find_node(info: Info, text: str, argument: str) -> Node | None:
    key = read_node_id(text, argument)
    return look_up(info, NODE_TYPES[type(key)], key, argument)


def _find_thread(info: Info, text: str, argument: str) -> Thread | None:
    return look_up(info, Thread, read_id(ThreadKey, text, argument), argument)


def _each(ids: list[strawberry.ID], find_one: Callable[[str], NodeT | None]) -> list[NodeT | None]:
    """Find each by itself, so that one ID that is refused takes no other along."""
    found: list[NodeT | None] = []
    for id_ in ids:
        try:
            found.append(find_one(id_))
        except GatewayError as error:
            found.append(deferred_error(error))
    return found


def _bounded(ids: list[strawberry.ID]) -> list[strawberry.ID]:
    if len(ids) > MAX_IDS:
        raise bad_argument("ids", f"at most {MAX_IDS} ids", len(ids))
    return ids

"""The ways into the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import strawberry

from schema.contract.errors import GatewayError, bad_argument
from schema.contract.keys import AssistantKey, MessageKey, RunKey, ThreadKey
from schema.engine.context import Info
from schema.engine.deferred import failed
from schema.graph.connections import After, Before, Connection, First, Last, connect
from schema.graph.documented_field import about, described
from schema.graph.id_arguments import read_id, read_node_id
from schema.graph.nodes import NODE_TYPES, Assistant, Message, Node, Run, Thread, list_assistants
from schema.graph.references import find

NodeT = TypeVar("NodeT")

MAX_IDS = 100
"""Most ids of one `nodes` or `threadsByIds`."""

GlobalId = Annotated[strawberry.ID, strawberry.argument(description="The global ID.")]
EitherId = Annotated[strawberry.ID, strawberry.argument(description="The global ID or the upstream's own id.")]


@strawberry.type(description="What the server behind the gateway can do, so that a frontend can adapt.")
class Upstream:
    """Source: the dialect that the gateway was configured with."""

    dialect: str = about("The profile that the gateway speaks to it in, such as `openai-v2`.")
    version: str = about("The version of the API: `v1` or `v2`.")
    streaming: bool = about("Whether it streams runs.")
    deletes_messages: bool = about("Whether it can delete a message.")
    lists_threads: bool = about("Whether it can list threads; the API itself cannot.")
    message_files: bool = about("Whether messages have `files` (version 1 of the API).")


@strawberry.type(description="Reading. An object that is not there is null, without an error.")
class Query:
    """Lookups by id, the assistants, and what the upstream can do."""

    @described
    def node(self, info: Info, id: GlobalId) -> Node | None:
        """Find any object by its global ID."""
        return _find_node(info, id, "id")

    @described
    def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="Global IDs, at most 100.")],
    ) -> list[Node | None]:
        """Find objects by their global IDs: one for each ID, in their order, null for one that is not there."""
        return _each(_bounded(ids), lambda id_: _find_node(info, id_, "ids"))

    @described
    def thread(self, info: Info, id: EitherId) -> Thread | None:
        """Find a thread."""
        return _find_thread(info, id, "id")

    @described
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

    @described
    def message(self, info: Info, id: GlobalId) -> Message | None:
        """Find a message."""
        return find(info, Message, read_id(MessageKey, id))

    @described
    def run(self, info: Info, id: GlobalId) -> Run | None:
        """Find a run."""
        return find(info, Run, read_id(RunKey, id))

    @described
    def assistant(self, info: Info, id: EitherId) -> Assistant | None:
        """Find an assistant."""
        return find(info, Assistant, read_id(AssistantKey, id))

    @described
    def assistants(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Assistant] | None:
        """The assistants, oldest first."""
        return connect(list_assistants(info.context, first=first, after=after, last=last, before=before))

    @described
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
    return find(info, NODE_TYPES[type(key)], key, argument)


def _find_thread(info: Info, text: str, argument: str) -> Thread | None:
    return find(info, Thread, read_id(ThreadKey, text, argument), argument)


def _each(ids: list[strawberry.ID], find_one: Callable[[str], NodeT | None]) -> list[NodeT | None]:
    """Find each by itself, so that one ID that is refused takes no other along."""
    found: list[NodeT | None] = []
    for id_ in ids:
        try:
            found.append(find_one(id_))
        except GatewayError as error:
            found.append(failed(error))
    return found


def _bounded(ids: list[strawberry.ID]) -> list[strawberry.ID]:
    if len(ids) > MAX_IDS:
        raise bad_argument("ids", f"at most {MAX_IDS} ids", len(ids))
    return ids

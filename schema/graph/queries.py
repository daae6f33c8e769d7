"""The root type `Query`: lookups by id, the list of assistants, and the upstream's capabilities."""

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
from schema.graph.enums import UpstreamDialect, UpstreamVersion
from schema.graph.id_arguments import read_id, read_node_id
from schema.graph.message_node import Message
from schema.graph.node import Node
from schema.graph.nodes import NODE_TYPES
from schema.graph.references import look_up
from schema.graph.run_node import Run
from schema.graph.thread_node import Thread

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


@strawberry.type(description="Read operations. An object that does not exist is null, without an error.")
class Query:
    """Lookups by id, the assistants, and the upstream's capabilities."""

    @documented_field
    def node(self, info: Info, id: GlobalId) -> Node | None:
        """Return any object by its global ID."""
        return _find_node(info, id, "id")

    @documented_field
    def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="The global IDs, at most 100.")],
    ) -> list[Node | None]:
        """Return objects by their global IDs: one per ID, in the same order. An object that does not exist is null."""
        return _find_each(_check_id_count(ids), lambda id_: _find_node(info, id_, "ids"))

    @documented_field
    def thread(self, info: Info, id: EitherId) -> Thread | None:
        """Return a thread."""
        return _find_thread(info, id, "id")

    @documented_field
    def threads_by_ids(
        self,
        info: Info,
        ids: Annotated[
            list[strawberry.ID], strawberry.argument(description="The global IDs or upstream ids, at most 100.")
        ],
    ) -> list[Thread | None]:
        """Return threads: one per ID, in the same order. A thread that does not exist is null.

        The API cannot list threads, so the frontend stores their ids itself.
        """
        return _find_each(_check_id_count(ids), lambda id_: _find_thread(info, id_, "ids"))

    @documented_field
    def message(self, info: Info, id: GlobalId) -> Message | None:
        """Return a message."""
        return look_up(info, Message, read_id(MessageKey, id))

    @documented_field
    def run(self, info: Info, id: GlobalId) -> Run | None:
        """Return a run."""
        return look_up(info, Run, read_id(RunKey, id))

    @documented_field
    def assistant(self, info: Info, id: EitherId) -> Assistant | None:
        """Return an assistant."""
        return look_up(info, Assistant, read_id(AssistantKey, id))

    @documented_field
    def assistants(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Assistant] | None:
        """The assistants, oldest first."""
        return load_connection(plan_assistants(info.context, first=first, after=after, last=last, before=before))

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
        )


def _find_node(info: Info, text: str, argument: str) -> Node | None:
    key = read_node_id(text, argument)
    return look_up(info, NODE_TYPES[type(key)], key, argument)


def _find_thread(info: Info, text: str, argument: str) -> Thread | None:
    return look_up(info, Thread, read_id(ThreadKey, text, argument), argument)


def _find_each(ids: list[strawberry.ID], find_one: Callable[[str], NodeT | None]) -> list[NodeT | None]:
    """Find each object separately, so that an ID that is refused does not affect the others."""
    found: list[NodeT | None] = []
    for id_ in ids:
        try:
            found.append(find_one(id_))
        except GatewayError as error:
            found.append(deferred_error(error))
    return found


def _check_id_count(ids: list[strawberry.ID]) -> list[strawberry.ID]:
    if len(ids) > MAX_IDS:
        raise bad_argument("ids", f"at most {MAX_IDS} ids", len(ids))
    return ids

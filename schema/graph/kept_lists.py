"""Connections over the lists that the gateway keeps: planned from arguments, loaded, and filled with lazy nodes.

A list brings the keys of its nodes, and costs no upstream call. What is selected on the nodes is loaded as that of
references, all of a page at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from graphql import FieldNode

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keyset_cursors import KeysetScope
from schema.contract.paging import PagingLimits, read_page_arguments
from schema.contract.thread_records import KeysetPage, KeysetWindow, PositionT
from schema.engine.context import Info
from schema.engine.deferred import then
from schema.engine.loaders import PortLoader
from schema.engine.viewer_loaders import ViewerLoaders
from schema.graph.connections import Connection, PageInfo
from schema.graph.documented_field import loading_field
from schema.graph.field_loads import LoadedNode
from schema.graph.node_selections import find_node_selection, find_object_fields
from schema.graph.references import node_or_unreadable, start_node

ItemT = TypeVar("ItemT")
NodeT = TypeVar("NodeT")


@dataclass(frozen=True, slots=True)
class KeptListPlan(Generic[ItemT, PositionT]):
    """The part of a list that a field shows, and the conversion of its items to keys and positions."""

    scope: KeysetScope[PositionT]
    window: KeysetWindow[PositionT]
    page_key: Any
    find_loader: Callable[[ViewerLoaders], PortLoader[Any, KeysetPage[ItemT]]]
    make_key: Callable[[ItemT], Any]
    make_position: Callable[[ItemT], PositionT]
    connection_type: type[Any] = Connection
    on_item: Callable[[ViewerLoaders, ItemT], None] | None = None
    """Is called with each item of a loaded page."""


class KeptListLoad(NamedTuple):
    """The load of a list that the gateway keeps. It is no upstream call; those of its nodes follow."""

    node_type: type[LoadedNode]

    def page_size(self, limits: PagingLimits, arguments: Mapping[str, Any]) -> int | None:
        """Return the most nodes of a page with these arguments of the field. None if execution will refuse them."""
        paging = {name: arguments.get(name) for name in ("first", "after", "last", "before")}
        try:
            return read_page_arguments(limits, **paging).size
        except GatewayError:
            return None


def kept_list_field(node_type: type[Any]) -> Callable[[Callable[..., Any]], Any]:
    """Make a GraphQL field of the viewer, of a function that plans a page of a list of such nodes.

    The function returns the plan in place of the connection, which the field loads.
    """

    def decorate(plan: Callable[..., Any]) -> Any:
        def resolve(self: Any, info: Info, **arguments: Any) -> Any:
            return _load(info, node_type, self.viewer_loaders, plan(self, info.context.limits, **arguments))

        return loading_field(KeptListLoad(node_type), plan, resolve, first_argument=2)

    return decorate


def _load(info: Info, node_type: type[LoadedNode], loaders: ViewerLoaders, plan: KeptListPlan[Any, Any]) -> Any:
    connection = f"{node_type.TYPE_NAME}Connection"
    fields = [one for field in info._raw_info.field_nodes for one in find_object_fields(info, connection, field)]

    def finish(load: asyncio.Future[KeysetPage[Any]]) -> Any:
        page = load.result()
        if plan.on_item is not None:
            for item in page.items:
                plan.on_item(loaders, item)
        keys = [plan.make_key(item) for item in page.items]
        objects = [start_node(info, node_type, key, fields) for key in keys]
        awaited = [load for load in objects if load is not None]
        if awaited:
            return _connect_when_loaded(info, node_type, fields, plan, page, list(zip(keys, awaited, strict=True)))
        return _connect(plan, page, [node_type(key=key) for key in keys])

    return then(plan.find_loader(loaders).start_load(plan.page_key), finish)


async def _connect_when_loaded(
    info: Info,
    node_type: type[LoadedNode],
    fields: Sequence[FieldNode],
    plan: KeptListPlan[Any, Any],
    page: KeysetPage[Any],
    loads: Sequence[tuple[Any, asyncio.Future[Any]]],
) -> Any:
    """Make the connection when the objects of all nodes are loaded."""
    await asyncio.wait([load for _, load in loads])
    is_whole = find_node_selection(info, node_type, fields).is_whole
    nodes = [_node_or_none(info, node_type, key, load, is_whole=is_whole) for key, load in loads]
    return _connect(plan, page, nodes)


def _node_or_none(
    info: Info, node_type: type[LoadedNode], key: Any, load: asyncio.Future[Any], *, is_whole: bool
) -> Any:
    """Make the node of a load that is done. Returns None if its object is gone, which the list does not know yet.

    Returns None too if it could not be loaded and a field that cannot be null is selected (`is_whole`), which would
    take the list with it. The error is reported all the same.
    """
    error = load.exception()
    if isinstance(error, GatewayError):
        if error.code is ErrorCode.NOT_FOUND:
            return None
        if is_whole:
            info.context.report_left_out(info._raw_info, key, error)
            return None
    return node_or_unreadable(node_type, key, load)


def _connect(plan: KeptListPlan[Any, Any], page: KeysetPage[Any], nodes: Sequence[Any]) -> Any:
    """Make the connection of a page. A node that is None is left out; the cursors of the page stay."""
    window = plan.window
    positions = [plan.make_position(item) for item in page.items]
    is_within = window.position is not None
    return plan.connection_type(
        nodes=[node for node in nodes if node is not None],
        page_info=PageInfo(
            has_next_page=is_within if window.backwards else page.has_more,
            has_previous_page=page.has_more if window.backwards else is_within,
            positions=[position for position, node in zip(positions, nodes, strict=True) if node is not None],
            start=positions[0] if positions else None,
            end=positions[-1] if positions else None,
            scope=plan.scope,
        ),
    )

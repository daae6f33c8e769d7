"""Loading of nodes: follows references, looks up ids, and starts the loads that a selection needs.

A reference (`message.run`) is trusted: if only fields of the key are selected below it, it costs no call.
A lookup (`thread(id:)`) must prove that the object exists, by the object itself or by a page of one of its lists.
Both start all loads that their selection needs at the same time, so that a nested query takes only as many upstream
round trips as its data depend on each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from graphql import FieldNode, GraphQLError, GraphQLField, get_named_type

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.kinds import AnyKind
from schema.contract.wire import Page
from schema.engine.context import Info
from schema.engine.deferred import then
from schema.engine.direct_calls import may_start_loads
from schema.engine.selection import Arguments, field_names, selected_fields, variables_from_info
from schema.graph.connections import ConnectionPlan


class LoadedNode(Protocol):
    """A node type, as far as loading needs to know it."""

    KIND: ClassVar[AnyKind]
    TYPE_NAME: ClassVar[str]
    KEY_FIELDS: ClassVar[frozenset[str]]
    """Fields that are resolved from the key alone, lists included."""
    LISTS: ClassVar[Mapping[str, Callable[..., ConnectionPlan[Any]]]]
    """Fields that show a page, each with its planner: a function of context, key and arguments.

    Their loads start in this order: lists whose objects have lists, and lists that others refer to, come first.
    """
    REFERENCES: ClassVar[Mapping[str, Callable[[Any], tuple[type[LoadedNode], Any]]]]
    """Fields that refer to a node whose key follows from this node's key, each with that node's type and key."""

    def __init__(self, key: Any, wire: Any = None) -> None:
        """Make a node of a key and, once it is loaded, its wire object."""


NodeT = TypeVar("NodeT", bound=LoadedNode)

PYTHON_ARGUMENT_NAMES = {"runId": "run_id"}
"""Arguments of lists that have another name in Python than in GraphQL."""


class _SelectedList(NamedTuple):
    """A list that is selected on a node."""

    planner: Callable[..., ConnectionPlan[Any]]
    arguments: Arguments
    object_fields: Sequence[FieldNode]
    """The fields that return the list's objects; empty if no selection on them needs further loads."""


class _NodeSelection(NamedTuple):
    """The selection on a node at one place of a document, as far as loading needs to know it."""

    key_is_enough: bool
    lists: Sequence[_SelectedList]
    references: Sequence[tuple[Callable[[Any], tuple[type[LoadedNode], Any]], FieldNode]]


def follow_reference(info: Info, node_type: type[NodeT], key: Any) -> NodeT | None:
    """Follow a reference to a node.

    Returns the node if no call is needed, else a `Deferred`, which GraphQL execution awaits. The result is None if
    the object does not exist.
    """
    selection = _node_selection(info, node_type, info._raw_info.field_nodes)
    if selection.lists or selection.references:
        _start_loads(info, selection, key)
    if selection.key_is_enough:
        return node_type(key=key)
    load = info.context.loaders.objects(node_type.KIND).start_load(key)
    return then(load, lambda load: _node_or_none(node_type, key, load))


def look_up(info: Info, node_type: type[NodeT], key: Any, argument: str = "id") -> NodeT | None:
    """Look up a node by an id from the client.

    If only lists of the node are selected, a page of one of them proves that it exists, and the node itself is not
    loaded. If that page fails in another way, its own field reports the error. A page after a cursor proves nothing
    when it is not found, because the object that the cursor names may be gone.

    Returns:
        The node or a `Deferred` of it; None if there is no such object.

    Raises:
        GatewayError: The upstream refuses the id; the error names `argument`.
    """
    selection = _node_selection(info, node_type, info._raw_info.field_nodes)
    plans = _start_loads(info, selection, key)
    proofs = [plan for plan in plans if plan.proves_owner and plan.key.window.after is None]
    is_proof = bool(proofs) and selection.key_is_enough

    def finish(load: asyncio.Future[Any]) -> NodeT | None:
        try:
            wire = load.result()
        except GatewayError as error:
            if error.code is ErrorCode.NOT_FOUND:
                return None
            if error.code is ErrorCode.BAD_USER_INPUT and error.argument in key._fields:
                raise error.with_argument(argument) from error
            if not is_proof:
                raise
        return node_type(key=key) if is_proof else node_type(key=key, wire=wire)

    if is_proof:
        return then(proofs[0].loader.start_load(proofs[0].first_page_key), finish)
    return then(info.context.loaders.objects(node_type.KIND).start_load(key), finish)


def _node_or_none(node_type: type[NodeT], key: Any, load: asyncio.Future[Any]) -> NodeT | None:
    try:
        return node_type(key=key, wire=load.result())
    except GatewayError as error:
        if error.code is ErrorCode.NOT_FOUND:
            return None
        raise


def _node_selection(info: Info, node_type: type[LoadedNode], nodes: Sequence[FieldNode]) -> _NodeSelection:
    """Return the selection on a node below some fields. It is read once for each place of a document."""
    place = (node_type, *map(id, nodes))
    selection: _NodeSelection | None = info.context.position_plans.get(place)
    if selection is None:
        selection = info.context.position_plans[place] = _read_node_selection(info, node_type, nodes)
    return selection


def _read_node_selection(info: Info, node_type: type[LoadedNode], nodes: Sequence[FieldNode]) -> _NodeSelection:
    raw = info._raw_info
    fields = selected_fields(raw, node_type.TYPE_NAME, nodes)
    in_order = sorted(fields, key=lambda field: _list_rank(node_type, field.name.value))
    definitions = _field_definitions(info, node_type.TYPE_NAME)
    lists, references = [], []
    for field in in_order:
        name = field.name.value
        if (planner := node_type.LISTS.get(name)) is not None:
            objects = _object_fields(info, definitions[name], field)
            objects = objects if may_start_loads(raw.schema, objects, raw.fragments) else []
            lists.append(_SelectedList(planner, Arguments(definitions[name], field, PYTHON_ARGUMENT_NAMES), objects))
        elif (reference := node_type.REFERENCES.get(name)) is not None:
            references.append((reference, field))
    return _NodeSelection(field_names(fields) <= node_type.KEY_FIELDS, lists, references)


def _object_fields(info: Info, definition: GraphQLField, field: FieldNode) -> list[FieldNode]:
    """Find the fields that return a connection's objects: `nodes`, and `node` of `edges`."""
    connection = get_named_type(definition.type).name
    raw, fields = info._raw_info, _field_definitions(info, connection)
    found = []
    for selected in selected_fields(raw, connection, [field]) if "edges" in fields else ():
        if selected.name.value == "nodes":
            found.append(selected)
        elif selected.name.value == "edges":
            edge = get_named_type(fields["edges"].type).name
            found += [below for below in selected_fields(raw, edge, [selected]) if below.name.value == "node"]
    return found


def _field_definitions(info: Info, type_name: str) -> Mapping[str, GraphQLField]:
    fields: Mapping[str, GraphQLField] = info._raw_info.schema.type_map[type_name].fields  # type: ignore[attr-defined]  # an object type
    return fields


def _list_rank(node_type: type[LoadedNode], name: str) -> int:
    return list(node_type.LISTS).index(name) if name in node_type.LISTS else len(node_type.LISTS)


def _start_loads(info: Info, selection: _NodeSelection, key: Any) -> list[ConnectionPlan[Any]]:
    """Start all loads that follow from the key alone: the first page of each list, and the targets of references.

    The loads that follow from the objects of a page start as soon as that page is loaded. Arguments that are refused
    are skipped here: their field reports the error.

    Returns:
        The plans of the node's own lists.
    """
    plans = []
    for planner, arguments, object_fields in selection.lists:
        try:
            plan = planner(info.context, key, **arguments.coerce(variables_from_info(info._raw_info)))
        except (GatewayError, GraphQLError):
            continue
        page = plan.loader.start_load(plan.first_page_key)
        if object_fields:
            page.add_done_callback(partial(_start_loads_of_objects, info, plan, object_fields))
        plans.append(plan)
    for reference, field in selection.references:
        target, target_key = reference(key)
        target_selection = _node_selection(info, target, [field])
        if not target_selection.key_is_enough:
            info.context.loaders.objects(target.KIND).start_load(target_key)
        _start_loads(info, target_selection, target_key)
    return plans


def _start_loads_of_objects(
    info: Info, plan: ConnectionPlan[Any], object_fields: Sequence[FieldNode], page: asyncio.Future[Page[Any]]
) -> None:
    if page.cancelled() or page.exception() is not None:
        return
    for wire in page.result().data:
        node = plan.make_node(wire)
        selection = _node_selection(info, type(node), object_fields)
        if not selection.lists and not selection.references:
            return
        _start_loads(info, selection, node.key)

"""From a key to a node: what is loaded, what is loaded with it, and what needs no call at all.

A reference (`message.run`) is trusted: where only fields of the key are selected below it, it costs nothing.
A lookup (`thread(id:)`) has to prove that the object exists, by the object itself or by a page of one of its lists.
Either starts everything that its selection needs at the same time, so that a nested query takes as many upstream
round trips as it has true dependencies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from graphql import FieldNode, GraphQLError, GraphQLField, get_named_type

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.wire import Page
from schema.engine.context import Context, Info
from schema.engine.deferred import then
from schema.engine.direct_calls import leads_on
from schema.engine.loaders import PortLoader
from schema.engine.selection import Arguments, field_names, selected_fields, variables_of
from schema.graph.connections import ConnectionPlan


class LoadedNode(Protocol):
    """What loading has to know about a type of node."""

    TYPE_NAME: ClassVar[str]
    KEY_FIELDS: ClassVar[frozenset[str]]
    """Fields that the key alone answers, lists among them."""
    LISTS: ClassVar[Mapping[str, Callable[..., ConnectionPlan[Any]]]]
    """Fields that show a page, each with the plan of it: a function of context, key and arguments.

    They are started in this order: first what has lists of its own, and what other lists refer to.
    """
    REFERENCES: ClassVar[Mapping[str, Callable[[Any], tuple[type[LoadedNode], Any]]]]
    """Fields that lead to a node whose key follows from this node's key, each with its type and key."""

    def __init__(self, key: Any, wire: Any = None) -> None:
        """A node of a key and, once it is here, its wire object."""

    @staticmethod
    def loader(context: Context) -> PortLoader[Any, Any]:
        """The loader of the type's wire objects."""


NodeT = TypeVar("NodeT", bound=LoadedNode)

PYTHON_NAMES = {"runId": "run_id"}
"""How the planners of lists call arguments whose name is another in GraphQL."""


class _ListBelow(NamedTuple):
    """A list that is selected on a node."""

    planner: Callable[..., ConnectionPlan[Any]]
    arguments: Arguments
    nodes: Sequence[FieldNode]
    """Where its objects are selected, if what is selected on them may lead on."""


class _Below(NamedTuple):
    """What is selected on a node at a place in a document, as far as loading is concerned."""

    key_is_enough: bool
    lists: Sequence[_ListBelow]
    references: Sequence[tuple[Callable[[Any], tuple[type[LoadedNode], Any]], FieldNode]]


def follow_reference(info: Info, node_type: type[NodeT], key: Any) -> NodeT | None:
    """Follow a reference: at once where no call is needed, else as a `Later`, which GraphQL execution awaits.

    A reference to an object that is not there gives null.
    """
    below = _below(info, node_type, info._raw_info.field_nodes)
    if below.lists or below.references:
        _start(info, below, key)
    if below.key_is_enough:
        return node_type(key=key)
    return then(node_type.loader(info.context).start(key), lambda load: _loaded(node_type, key, load))


def look_up(info: Info, node_type: type[NodeT], key: Any, argument: str = "id") -> NodeT | None:
    """Look an object up by an id that came from outside: null where there is no such object. It may come `Later`.

    Where only lists of it are selected, a page of one of them proves that it exists, and it is not fetched itself.
    A page that fails in another way is reported by its own field. A page behind a cursor proves nothing when it is
    not found: the object that the cursor names may be gone. Raises a `GatewayError` that names the argument where
    the upstream will not take the id.
    """
    below = _below(info, node_type, info._raw_info.field_nodes)
    plans = _start(info, below, key)
    proofs = [plan for plan in plans if plan.proves_owner and plan.key.window.after is None]
    is_proof = bool(proofs) and below.key_is_enough

    def finish(load: asyncio.Future[Any]) -> NodeT | None:
        try:
            wire = load.result()
        except GatewayError as error:
            if error.code is ErrorCode.NOT_FOUND:
                return None
            if error.code is ErrorCode.BAD_USER_INPUT and error.argument in key._fields:
                raise error.about(argument) from error
            if not is_proof:
                raise
        return node_type(key=key) if is_proof else node_type(key=key, wire=wire)

    if is_proof:
        return then(proofs[0].loader.start(proofs[0].first_page_key), finish)
    return then(node_type.loader(info.context).start(key), finish)


def _loaded(node_type: type[NodeT], key: Any, load: asyncio.Future[Any]) -> NodeT | None:
    try:
        return node_type(key=key, wire=load.result())
    except GatewayError as error:
        if error.code is ErrorCode.NOT_FOUND:
            return None
        raise


def _below(info: Info, node_type: type[LoadedNode], nodes: Sequence[FieldNode]) -> _Below:
    """Find out what is selected on a node below some fields, once for each place in a document."""
    place = (node_type, *map(id, nodes))
    known: _Below | None = info.context.places.get(place)
    if known is None:
        known = info.context.places[place] = _look_below(info, node_type, nodes)
    return known


def _look_below(info: Info, node_type: type[LoadedNode], nodes: Sequence[FieldNode]) -> _Below:
    raw = info._raw_info
    fields = selected_fields(raw, node_type.TYPE_NAME, nodes)
    in_order = sorted(fields, key=lambda field: _rank(node_type, field.name.value))
    definitions = _fields_of(info, node_type.TYPE_NAME)
    lists, references = [], []
    for field in in_order:
        name = field.name.value
        if (planner := node_type.LISTS.get(name)) is not None:
            nodes = _nodes_of(info, definitions[name], field)
            nodes = nodes if leads_on(raw.schema, nodes, raw.fragments) else []
            lists.append(_ListBelow(planner, Arguments(definitions[name], field, PYTHON_NAMES), nodes))
        elif (reference := node_type.REFERENCES.get(name)) is not None:
            references.append((reference, field))
    return _Below(field_names(fields) <= node_type.KEY_FIELDS, lists, references)


def _nodes_of(info: Info, definition: GraphQLField, field: FieldNode) -> list[FieldNode]:
    """Find where the objects of a connection are selected: as its nodes, and as those of its edges."""
    connection = get_named_type(definition.type).name
    raw, fields = info._raw_info, _fields_of(info, connection)
    found = []
    for selected in selected_fields(raw, connection, [field]) if "edges" in fields else ():
        if selected.name.value == "nodes":
            found.append(selected)
        elif selected.name.value == "edges":
            edge = get_named_type(fields["edges"].type).name
            found += [below for below in selected_fields(raw, edge, [selected]) if below.name.value == "node"]
    return found


def _fields_of(info: Info, type_name: str) -> Mapping[str, GraphQLField]:
    fields: Mapping[str, GraphQLField] = info._raw_info.schema.type_map[type_name].fields  # type: ignore[attr-defined]  # an object type
    return fields


def _rank(node_type: type[LoadedNode], name: str) -> int:
    return list(node_type.LISTS).index(name) if name in node_type.LISTS else len(node_type.LISTS)


def _start(info: Info, below: _Below, key: Any) -> list[ConnectionPlan[Any]]:
    """Start whatever follows from the key alone: the first page of each list, and what references lead to.

    What follows from the objects of a page is started as soon as the page is here, whatever else is still awaited.
    Gives the plans of the node's own lists. Arguments that are refused wait for their field, which reports them.
    """
    plans = []
    for planner, arguments, nodes in below.lists:
        try:
            plan = planner(info.context, key, **arguments.of(variables_of(info._raw_info)))
        except (GatewayError, GraphQLError):
            continue
        page = plan.loader.start(plan.first_page_key)
        if nodes:
            page.add_done_callback(partial(_start_below, info, plan, nodes))
        plans.append(plan)
    for reference, field in below.references:
        target, target_key = reference(key)
        selected = _below(info, target, [field])
        if not selected.key_is_enough:
            target.loader(info.context).start(target_key)
        _start(info, selected, target_key)
    return plans


def _start_below(
    info: Info, plan: ConnectionPlan[Any], nodes: Sequence[FieldNode], page: asyncio.Future[Page[Any]]
) -> None:
    if page.cancelled() or page.exception() is not None:
        return
    for listed in page.result().data:
        node = plan.make_node(listed)
        below = _below(info, type(node), nodes)
        if not below.lists and not below.references:
            return
        _start(info, below, node.key)

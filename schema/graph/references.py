"""Loading of nodes: follows references, looks up ids, and starts the loads that a selection needs.

A reference (`message.run`) is trusted: if only fields of the key are selected below it, it costs no call.
A lookup (`thread(id:)`) must prove that the object exists, by the object itself or by a page of one of its lists.
Both start all loads that their selection needs at the same time, so that a nested query takes only as many upstream
round trips as its data depend on each other.

A field says what it needs in one place: a function that returns a `Reference`, a `Lookup` or a `ConnectionPlan`.
Execution loads what it returns, and the prediction of calls counts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from graphql import FieldNode, GraphQLError

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.kinds import AnyKind
from schema.contract.wire import Page
from schema.engine.context import Info
from schema.engine.deferred import deferred_error, then
from schema.engine.selection import variables_from_info
from schema.graph.connections import ConnectionPlan
from schema.graph.documented_field import documented_mutation, find_load, loading_field
from schema.graph.field_loads import (
    AgainLoad,
    LaterLoad,
    Lookup,
    LookupLoad,
    ReadingLoad,
    Reference,
    ReferenceLoad,
)
from schema.graph.node_selections import NodeSelection, find_node_selection

NodeT = TypeVar("NodeT")


def reference(find: Callable[[Any], Any]) -> Any:
    """Make a GraphQL field of a function that finds a reference in a loaded object."""
    return _reference_field(ReferenceLoad(find, is_by_key=False))


def key_reference(find: Callable[[Any], Any]) -> Any:
    """Make a GraphQL field of a function that finds a reference in the key of an object, which may not be loaded."""
    return _reference_field(ReferenceLoad(find, is_by_key=True))


def lookup(find: Callable[..., Any]) -> Any:
    """Make a GraphQL field of a function that finds lookups in the field's arguments."""

    def resolve(self: Any, info: Info, **arguments: Any) -> Any:
        found = find(self, **arguments)
        return _look_up(info, found) if isinstance(found, Lookup) else [_look_up_one(info, one) for one in found]

    return loading_field(LookupLoad(find), find, resolve)


def loaded_again(lacks: str) -> Callable[[Callable[[Any], Any]], Any]:
    """Make a GraphQL field of a function of a node. The node is loaded again if its attribute `lacks` is true."""

    def decorate(get: Callable[[Any], Any]) -> Any:
        def resolve(self: Any, info: Info) -> Any:
            if not getattr(self, lacks):
                return get(self)
            load = info.context.loaders.objects(self.KIND).start_load(self.key)
            return then(load, lambda load: get(type(self)(key=self.key, wire=load.result())))

        return loading_field(AgainLoad(lacks), get, resolve)

    return decorate


def sure_reference(find: Callable[[Any], Any]) -> Any:
    """Make a GraphQL field of a function that finds a reference. The field is never null.

    If the object cannot be loaded, the fields that need it fail, and the others stay.
    """

    def resolve(self: Any, info: Info) -> Any:
        node_type, key = find(self)
        load = start_node(info, node_type, key, info._raw_info.field_nodes)
        return node_type(key=key) if load is None else then(load, lambda load: node_or_unreadable(node_type, key, load))

    return loading_field(ReferenceLoad(find, is_by_key=False), find, resolve)


def loaded_later(get: Callable[[Any], Any]) -> Any:
    """Make a GraphQL field of a function that returns a node, which may lack its object. It is then loaded."""

    def resolve(self: Any, info: Info) -> Any:
        node = get(self)
        return node if node is None or node.wire is not None else follow_reference(info, type(node), node.key)

    return loading_field(LaterLoad(), get, resolve)


def reading_mutation(kind: AnyKind) -> Callable[[Callable[..., Any]], Any]:
    """Make a GraphQL field of a mutation that loads an object of a kind before it writes."""
    return partial(documented_mutation, load=ReadingLoad(kind))


async def load_before_write(info: Info, key: Any) -> Any:
    """Load the object of a `reading_mutation`."""
    load: ReadingLoad = find_load(info._raw_info.parent_type.fields[info._raw_info.field_name])
    return await info.context.loaders.objects(load.kind).load(key)


def refer_to(node_type: type[NodeT], key: Any) -> NodeT:
    """Return a reference in place of the node, which the field loads."""
    return (node_type, key)  # type: ignore[return-value]  # a `cast` would take time for each object


def look_for(node_type: type[NodeT], key: Any, argument: str = "id") -> NodeT:
    """Return a lookup in place of the node, which the field loads. An id that is refused names `argument`."""
    return cast("NodeT", Lookup(node_type, key, argument))


def _reference_field(load: ReferenceLoad) -> Any:
    find = load.find

    def resolve(self: Any, info: Info) -> Any:
        found = find(self)
        return None if found is None else follow_reference(info, *found)

    return loading_field(load, find, resolve, find_key=find)


def follow_reference(info: Info, node_type: type[Any], key: Any) -> Any:
    """Follow a reference to a node.

    Returns the node if no call is needed, else a `Deferred`, which GraphQL execution awaits. The result is None if
    the object does not exist.
    """
    load = start_node(info, node_type, key, info._raw_info.field_nodes)
    return node_type(key=key) if load is None else then(load, lambda load: _node_or_none(node_type, key, load))


def start_node(info: Info, node_type: type[Any], key: Any, nodes: Sequence[FieldNode]) -> asyncio.Future[Any] | None:
    """Start all loads of a node that is selected below some fields, and is trusted to exist.

    Returns:
        The load of its object. None if the key is enough.
    """
    selection = find_node_selection(info, node_type, nodes)
    if selection.starts_loads:
        start_loads(info, selection, node_type(key=key))
    return None if selection.key_is_enough else info.context.loaders.objects(node_type.KIND).start_load(key)


def _look_up(info: Info, wanted: Lookup) -> Any:
    """Look up a node by an id from the client.

    If only lists of the node are selected, a page of one of them proves that it exists, and the node itself is not
    loaded. If that page fails in another way, its own field reports the error. A page after a cursor proves nothing
    when it is not found, because the object that the cursor names may be gone.

    Returns:
        The node or a `Deferred` of it; None if there is no such object.

    Raises:
        GatewayError: The upstream refuses the id; the error names the argument.
    """
    node_type, key, argument = wanted
    loaders = info.context.loaders
    selection = find_node_selection(info, node_type, info._raw_info.field_nodes)
    plans = start_loads(info, selection, node_type(key=key))
    proofs = [plan for plan in plans if plan.is_proof]
    is_proof = bool(proofs) and selection.key_is_enough

    def finish(load: asyncio.Future[Any]) -> Any:
        # An error that is raised here and not reported would live in a cycle: its traceback holds the load.
        error = load.exception()
        if isinstance(error, GatewayError):
            if error.code is ErrorCode.NOT_FOUND:
                return None
            if error.code is ErrorCode.BAD_USER_INPUT and error.argument in key._fields:
                raise error.with_argument(argument) from error
        if error is not None and not (is_proof and isinstance(error, GatewayError)):
            raise error
        return node_type(key=key) if is_proof else node_type(key=key, wire=load.result())

    if is_proof:
        return then(proofs[0].start_load(loaders), finish)
    return then(loaders.objects(node_type.KIND).start_load(key), finish)


def _look_up_one(info: Info, wanted: Lookup | GatewayError) -> Any:
    """Look up one of several nodes. Its error does not affect the others."""
    try:
        return deferred_error(wanted) if isinstance(wanted, GatewayError) else _look_up(info, wanted)
    except Exception as error:  # also one that nobody expects, of a load that is done
        return deferred_error(error)


def _node_or_none(node_type: type[Any], key: Any, load: asyncio.Future[Any]) -> Any:
    error = load.exception()
    if isinstance(error, GatewayError) and error.code is ErrorCode.NOT_FOUND:
        return None
    return node_type(key=key, wire=load.result())


class _UnreadableObject:
    """An object that could not be loaded: its attributes raise the reason, so each field that needs it fails."""

    def __init__(self, error: GatewayError) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error


def node_or_unreadable(node_type: type[Any], key: Any, load: asyncio.Future[Any]) -> Any:
    """Make a node of a load that is done. If it failed, the fields of its object fail."""
    error = load.exception()
    if isinstance(error, GatewayError):
        return node_type(key=key, wire=_UnreadableObject(error))
    return node_type(key=key, wire=load.result())


def start_loads(info: Info, selection: NodeSelection, node: Any) -> list[ConnectionPlan[Any]]:
    """Start all loads that follow from the key alone: the first page of each list, and the targets of references.

    The loads that follow from the objects of a page start as soon as that page is loaded. Arguments that are refused
    are skipped here: their field reports the error.

    Returns:
        The plans of the node's own lists.
    """
    context = info.context
    plans = []
    if selection.has_record and (viewer := context.read_viewer()) is not None:
        viewer.records.start_load(node.key)
    for load, arguments, object_fields in selection.lists:
        try:
            plan = load.plan(node, context.limits, **arguments.coerce(variables_from_info(info._raw_info)))
        except (GatewayError, GraphQLError):
            continue
        page = plan.start_load(context.loaders)
        if object_fields:
            page.add_done_callback(partial(_start_loads_of_objects, info, plan, object_fields))
        plans.append(plan)
    for reference_load, field in selection.references:
        target, key = cast("Reference", reference_load.find(node))  # a key always says where it leads
        target_selection = find_node_selection(info, target, [field])
        if not target_selection.key_is_enough:
            context.loaders.objects(target.KIND).start_load(key)
        if target_selection.starts_loads:
            start_loads(info, target_selection, target(key=key))
    return plans


def _start_loads_of_objects(
    info: Info, plan: ConnectionPlan[Any], object_fields: Sequence[FieldNode], page: asyncio.Future[Page[Any]]
) -> None:
    if page.cancelled() or page.exception() is not None:
        return
    for wire in page.result().data:
        node = plan.make_node(wire)
        selection = find_node_selection(info, type(node), object_fields)
        if not selection.starts_loads:
            return
        start_loads(info, selection, node)

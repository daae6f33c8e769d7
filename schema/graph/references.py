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
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, TypeVar, cast

from graphql import FieldNode, GraphQLError, GraphQLField, get_named_type

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.kinds import AnyKind
from schema.contract.wire import Page
from schema.engine.context import Info
from schema.engine.deferred import deferred_error, then
from schema.engine.direct_calls import may_start_loads, python_names
from schema.engine.selection import Arguments, selected_fields, variables_from_info
from schema.graph.connections import ConnectionPlan, ListLoad
from schema.graph.documented_field import documented_mutation, find_load, loading_field


class LoadedNode(Protocol):
    """A node type, as far as loading needs to know it."""

    KIND: ClassVar[AnyKind]
    TYPE_NAME: ClassVar[str]
    KEY_FIELDS: ClassVar[frozenset[str]]
    """Fields that are resolved from the key alone, beside lists and the fields of `key_reference`."""

    def __init__(self, key: Any, wire: Any = None) -> None:
        """Make a node of a key and, once it is loaded, its wire object."""


NodeT = TypeVar("NodeT")


Reference: TypeAlias = tuple[type[Any], Any]
"""The type and the key of the node that a field refers to."""


class Lookup(NamedTuple):
    """The node that a client names by an id, in an argument."""

    node_type: type[Any]
    key: Any
    argument: str = "id"


class ReferenceLoad(NamedTuple):
    """The load of a field that refers to a node."""

    find: Callable[[Any], Reference | None]
    """Finds the reference of an object. Only its key is needed if `is_by_key`."""
    is_by_key: bool


class LookupLoad(NamedTuple):
    """The load of a root field that looks up nodes."""

    find: Callable[..., Lookup | Sequence[Lookup | GatewayError]]
    """Finds one lookup, or one for each of the ids, from no object and the field's arguments."""


class AgainLoad(NamedTuple):
    """The load of a field that an incomplete node lacks, or of one that may return such a node."""

    lacks: str
    """The attribute of the node that says whether it is incomplete."""


class ReadingLoad(NamedTuple):
    """The load of a mutation, before its write."""

    kind: AnyKind


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


class _SelectedList(NamedTuple):
    """A list that is selected on a node."""

    load: ListLoad
    arguments: Arguments
    object_fields: Sequence[FieldNode]
    """The fields that return the list's objects; empty if no selection on them needs further loads."""


class _NodeSelection(NamedTuple):
    """The selection on a node at one place of a document, as far as loading needs to know it."""

    key_is_enough: bool
    lists: Sequence[_SelectedList]
    references: Sequence[tuple[ReferenceLoad, FieldNode]]


def _reference_field(load: ReferenceLoad) -> Any:
    find = load.find

    def resolve(self: Any, info: Info) -> Any:
        found = find(self)
        return None if found is None else _follow(info, *found)

    return loading_field(load, load.find, resolve)


def _follow(info: Info, node_type: type[Any], key: Any) -> Any:
    """Follow a reference to a node.

    Returns the node if no call is needed, else a `Deferred`, which GraphQL execution awaits. The result is None if
    the object does not exist.
    """
    selection = _node_selection(info, node_type, info._raw_info.field_nodes)
    if selection.lists or selection.references:
        _start_loads(info, selection, node_type(key=key))
    if selection.key_is_enough:
        return node_type(key=key)
    load = info.context.loaders.objects(node_type.KIND).start_load(key)
    return then(load, lambda load: _node_or_none(node_type, key, load))


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
    selection = _node_selection(info, node_type, info._raw_info.field_nodes)
    plans = _start_loads(info, selection, node_type(key=key))
    proofs = [plan for plan in plans if plan.is_proof]
    is_proof = bool(proofs) and selection.key_is_enough

    def finish(load: asyncio.Future[Any]) -> Any:
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
        return then(proofs[0].start_load(loaders), finish)
    return then(loaders.objects(node_type.KIND).start_load(key), finish)


def _look_up_one(info: Info, wanted: Lookup | GatewayError) -> Any:
    """Look up one of several nodes. Its error does not affect the others."""
    try:
        return deferred_error(wanted) if isinstance(wanted, GatewayError) else _look_up(info, wanted)
    except GatewayError as error:
        return deferred_error(error)


def _node_or_none(node_type: type[Any], key: Any, load: asyncio.Future[Any]) -> Any:
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
    definitions = _field_definitions(info, node_type.TYPE_NAME)
    # The loads start in the order in which the type declares its fields.
    in_order = {name: index for index, name in enumerate(definitions)}
    fields = [field for field in selected_fields(raw, node_type.TYPE_NAME, nodes) if field.name.value in in_order]
    fields.sort(key=lambda field: in_order[field.name.value])
    lists, references = [], []
    for field in fields:
        definition = definitions[field.name.value]
        load = find_load(definition)
        if isinstance(load, ListLoad):
            objects = _object_fields(info, definition, field)
            objects = objects if may_start_loads(raw.schema, objects, raw.fragments) else []
            lists.append(_SelectedList(load, Arguments(definition, field, python_names(definition)), objects))
        elif isinstance(load, ReferenceLoad) and load.is_by_key:
            references.append((load, field))
    key_is_enough = all(needs_only_key(node_type, field.name.value, definitions) for field in fields)
    return _NodeSelection(key_is_enough, lists, references)


def needs_only_key(node_type: type[LoadedNode], name: str, definitions: Mapping[str, GraphQLField]) -> bool:
    """Whether a field of a node is resolved from the node's key alone."""
    if name in node_type.KEY_FIELDS:
        return True
    load = find_load(definitions[name])
    return isinstance(load, ListLoad) or (isinstance(load, ReferenceLoad) and load.is_by_key)


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


def _start_loads(info: Info, selection: _NodeSelection, node: Any) -> list[ConnectionPlan[Any]]:
    """Start all loads that follow from the key alone: the first page of each list, and the targets of references.

    The loads that follow from the objects of a page start as soon as that page is loaded. Arguments that are refused
    are skipped here: their field reports the error.

    Returns:
        The plans of the node's own lists.
    """
    context = info.context
    plans = []
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
        target_selection = _node_selection(info, target, [field])
        if not target_selection.key_is_enough:
            context.loaders.objects(target.KIND).start_load(key)
        if target_selection.lists or target_selection.references:
            _start_loads(info, target_selection, target(key=key))
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
        _start_loads(info, selection, node)

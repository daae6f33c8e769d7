"""The selection on a node at one place of a document: the loads that follow from it, and whether the key is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from graphql import FieldNode, GraphQLField, get_named_type, is_non_null_type

from schema.engine.context import Info
from schema.engine.direct_calls import may_start_loads, python_names
from schema.engine.selection import Arguments, selected_fields
from schema.graph.connections import ListLoad
from schema.graph.documented_field import find_load
from schema.graph.field_loads import LoadedNode, RecordLoad, ReferenceLoad


class _SelectedList(NamedTuple):
    """A list that is selected on a node."""

    load: ListLoad
    arguments: Arguments
    object_fields: Sequence[FieldNode]
    """The fields that return the list's objects; empty if no selection on them needs further loads."""


class NodeSelection(NamedTuple):
    """The selection on a node at one place of a document, as far as loading needs to know it."""

    key_is_enough: bool
    lists: Sequence[_SelectedList]
    references: Sequence[tuple[ReferenceLoad, FieldNode]]
    has_record: bool
    """Whether a field of the record is selected."""
    is_whole: bool
    """Whether a field is selected that needs the object and cannot be null: without the object there is no node."""

    @property
    def starts_loads(self) -> bool:
        """Whether any load follows from the key alone."""
        return bool(self.lists or self.references) or self.has_record


def find_node_selection(info: Info, node_type: type[LoadedNode], nodes: Sequence[FieldNode]) -> NodeSelection:
    """Return the selection on a node below some fields. It is read once for each place of a document."""
    place = (node_type, id(nodes[0])) if len(nodes) == 1 else (node_type, *map(id, nodes))
    selection: NodeSelection | None = info.context.position_plans.get(place)
    if selection is None:
        selection = info.context.position_plans[place] = _readfind_node_selection(info, node_type, nodes)
    return selection


def _readfind_node_selection(info: Info, node_type: type[LoadedNode], nodes: Sequence[FieldNode]) -> NodeSelection:
    raw = info._raw_info
    definitions = _field_definitions(info, node_type.TYPE_NAME)
    # The loads start in the order in which the type declares its fields.
    in_order = {name: index for index, name in enumerate(definitions)}
    fields = [field for field in selected_fields(raw, node_type.TYPE_NAME, nodes) if field.name.value in in_order]
    fields.sort(key=lambda field: in_order[field.name.value])
    lists, references, has_record = [], [], False
    for field in fields:
        definition = definitions[field.name.value]
        load = find_load(definition)
        if isinstance(load, ListLoad):
            objects = find_object_fields(info, get_named_type(definition.type).name, field)
            objects = objects if may_start_loads(raw.schema, objects, raw.fragments) else []
            lists.append(_SelectedList(load, Arguments(definition, field, python_names(definition)), objects))
        elif isinstance(load, ReferenceLoad) and load.is_by_key:
            references.append((load, field))
        has_record = has_record or isinstance(load, RecordLoad)
    of_object = [name for field in fields if not needs_only_key(node_type, name := field.name.value, definitions)]
    is_whole = any(is_non_null_type(definitions[name].type) for name in of_object)
    return NodeSelection(not of_object, lists, references, has_record, is_whole)


def needs_only_key(node_type: type[LoadedNode], name: str, definitions: Mapping[str, GraphQLField]) -> bool:
    """Whether a field of a node is resolved from the node's key alone."""
    if name in node_type.KEY_FIELDS:
        return True
    load = find_load(definitions[name])
    return isinstance(load, ListLoad | RecordLoad) or (isinstance(load, ReferenceLoad) and load.is_by_key)


def find_object_fields(info: Info, connection: str, field: FieldNode) -> list[FieldNode]:
    """Find the fields below a field that return a connection's objects: `nodes`, and `node` of `edges`."""
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

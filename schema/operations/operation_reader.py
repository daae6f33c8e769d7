"""Reads one operation of a document without executing it: what is selected, with which arguments. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLError,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    GraphQLUnionType,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    get_argument_values,
    get_directive_values,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_list_type,
)
from graphql.execution.values import VariableValues

NODE_INTERFACE = "Node"

Fields: TypeAlias = dict[str, list[FieldNode]]
"""The fields of one object by their names in the answer; those of one name are merged, as execution merges them."""

MAX_SELECTIONS = 10_000
"""How many selections of an operation are looked at one by one."""


class PreparedOperation(Protocol):
    """One operation of a valid document with its variables, as an executor has it before it is executed."""

    @property
    def schema(self) -> GraphQLSchema: ...
    @property
    def operation(self) -> OperationDefinitionNode: ...
    @property
    def fragment_definitions(self) -> dict[str, FragmentDefinitionNode]: ...
    @property
    def variable_values(self) -> VariableValues: ...


class TooManySelectionsError(Exception):
    """Unfolding the operation's fragments takes more steps than were allowed."""


class OperationReader:
    """One operation with its variables; unfolds at most `max_selections` selections in all."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: VariableValues,
        *,
        max_selections: int = MAX_SELECTIONS,
    ) -> None:
        """Read `operation` of a document that is valid and has these `fragments`."""
        self.schema = schema
        self.operation = operation
        self.fragments = fragments
        self.node_paths = _types_that_lead_to_nodes(schema)
        self._variables = variables
        self._selections_left = max_selections

    @classmethod
    def of(cls, prepared: PreparedOperation) -> OperationReader:
        """Read what is about to be executed."""
        return cls(prepared.schema, prepared.operation, prepared.fragment_definitions, prepared.variable_values)

    @property
    def root_name(self) -> str | None:
        """The type that the operation begins with; None where the schema has none for it."""
        root = self.schema.get_root_type(self.operation.operation)
        return None if root is None else root.name

    def definition(self, type_name: str, field: FieldNode) -> GraphQLField | None:
        """Find the field in the schema; None for `__typename` and the fields of introspection."""
        return self.fields_of(type_name).get(field.name.value)

    def fields_of(self, type_name: str) -> Mapping[str, GraphQLField]:
        """Give the fields of a type; a union has none of its own."""
        fields: Mapping[str, GraphQLField] = getattr(self.schema.type_map[type_name], "fields", {})
        return fields

    def is_list(self, type_name: str, field: FieldNode) -> bool:
        """Tell whether a field gives several values."""
        definition = self.definition(type_name, field)
        return definition is not None and is_list_type(get_nullable_type(definition.type))

    def target(self, type_name: str, field: FieldNode) -> GraphQLCompositeType | None:
        """Give the type that a field has below it, where that is a node or can lead to one."""
        definition = self.definition(type_name, field)
        named = None if definition is None else get_named_type(definition.type)
        if not isinstance(named, (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType)):
            return None
        return named if named.name in self.node_paths else None

    def object_types(self, composite: GraphQLCompositeType) -> Collection[str]:
        """Name the object types that a type stands for."""
        if is_abstract_type(composite):
            return [possible.name for possible in self.schema.get_possible_types(composite)]
        return (composite.name,)

    def arguments(self, type_name: str, field: FieldNode) -> dict[str, Any] | None:
        """Coerce the arguments of a field as execution will; None where it will refuse them."""
        definition = self.definition(type_name, field)
        if definition is None:
            return None
        try:
            return get_argument_values(definition, field, self._variables)
        except GraphQLError:
            return None

    def applies(self, condition: str, type_name: str) -> bool:
        """Tell whether a fragment on a type is about an object type."""
        if condition == type_name:
            return True
        of_type = self.schema.type_map[condition]
        return is_abstract_type(of_type) and any(
            possible.name == type_name for possible in self.schema.get_possible_types(of_type)
        )

    def included(self, selection: SelectionNode) -> bool:
        """Obey `@skip` and `@include`; one whose condition execution will refuse counts as included."""
        if not selection.directives:
            return True
        try:
            skip = get_directive_values(GraphQLSkipDirective, selection, self._variables)
            include = get_directive_values(GraphQLIncludeDirective, selection, self._variables)
        except GraphQLError:
            return True
        return not (skip and skip["if"]) and (not include or bool(include["if"]))

    def collect(self, type_name: str, nodes: Iterable[FieldNode | OperationDefinitionNode]) -> Fields:
        """Collect what is selected on an object type below some fields; each fragment is entered once.

        Raises `TooManySelectionsError`.
        """
        found: Fields = {}
        entered: set[str] = set()
        for node in nodes:
            if node.selection_set is not None:
                self._collect(type_name, node.selection_set.selections, found, entered)
        return found

    def _collect(self, type_name: str, selections: Sequence[SelectionNode], found: Fields, entered: set[str]) -> None:
        self._selections_left -= len(selections)
        if self._selections_left < 0:
            raise TooManySelectionsError
        for selection in selections:
            if not self.included(selection):
                continue
            if isinstance(selection, FieldNode):
                name = (selection.alias or selection.name).value
                found.setdefault(name, []).append(selection)
                continue
            fragment: FragmentDefinitionNode | InlineFragmentNode
            if isinstance(selection, FragmentSpreadNode):
                if selection.name.value in entered:
                    continue
                entered.add(selection.name.value)
                fragment = self.fragments[selection.name.value]
            elif isinstance(selection, InlineFragmentNode):
                fragment = selection
            condition = fragment.type_condition
            if condition is None or self.applies(condition.name.value, type_name):
                self._collect(type_name, fragment.selection_set.selections, found, entered)


@lru_cache(maxsize=16)
def _types_that_lead_to_nodes(schema: GraphQLSchema) -> frozenset[str]:
    """Name the types from which a selection can reach a node: the nodes, and whatever has a field that leads on."""
    composites = {
        name: of_type
        for name, of_type in schema.type_map.items()
        if isinstance(of_type, (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType)) and name[:2] != "__"
    }
    node = composites.get(NODE_INTERFACE)
    found = set() if node is None else {NODE_INTERFACE, *(part.name for part in _possible(schema, node))}
    grown = True
    while grown:
        more = {
            name
            for name, composite in composites.items()
            if name not in found and any(below.name in found for below in _below(composite))
        }
        found |= more
        grown = bool(more)
    return frozenset(found)


def _below(composite: GraphQLCompositeType) -> Iterable[GraphQLNamedType]:
    if isinstance(composite, GraphQLUnionType):
        return list(composite.types)
    fields: Mapping[str, GraphQLField] = composite.fields
    return [get_named_type(field.type) for field in fields.values()]


def _possible(schema: GraphQLSchema, composite: GraphQLCompositeType) -> Iterable[GraphQLObjectType]:
    return schema.get_possible_types(composite) if is_abstract_type(composite) else ()

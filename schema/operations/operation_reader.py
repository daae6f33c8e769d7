"""Reads one operation of a document without executing it: its selections and their arguments. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, TypeAlias

from graphql import (
    ArgumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLCompositeType,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    OperationDefinitionNode,
    SelectionNode,
    get_argument_values,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_composite_type,
    is_list_type,
)
from graphql.execution.values import VariableValues

from schema.engine.direct_calls import python_class, python_names
from schema.engine.selection import has_variable
from schema.engine.selection_walker import SelectionWalker, fragment_applies, is_included
from schema.graph.documented_field import find_load
from schema.graph.field_loads import CitedFileLoad
from schema.graph.kept_lists import KeptListLoad

NODE_INTERFACE = "Node"

GroupedFields: TypeAlias = dict[str, list[FieldNode]]
"""The fields of one object by response name. Fields of one name are merged, as execution merges them.

GraphQL specification, section 6.3.2 "Field Collection".
"""

MAX_SELECTIONS = 10_000
"""The most selections of an operation that are read one by one."""


class PreparedOperation(Protocol):
    """One operation of a valid document with its variables: the parts of an executor that a reader needs."""

    @property
    def schema(self) -> GraphQLSchema: ...
    @property
    def operation(self) -> OperationDefinitionNode: ...
    @property
    def fragment_definitions(self) -> dict[str, FragmentDefinitionNode]: ...
    @property
    def variable_values(self) -> VariableValues: ...


class FieldFacts(NamedTuple):
    """Facts about a field of the schema, read once."""

    definition: GraphQLField
    target: GraphQLCompositeType | None
    """Its type without list and non-null, if that is a node or can lead to one."""
    is_list: bool
    load: Any
    """What it says about its loads (`find_load`)."""


class OperationReader:
    """One operation with its variables. Its fragments are unfolded to at most `max_selections` selections in all."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: VariableValues,
        *,
        max_selections: int = MAX_SELECTIONS,
    ) -> None:
        """Read `operation` of a valid document with these `fragments`."""
        self.schema = schema
        self.operation = operation
        self.fragments = fragments
        self._facts = _read_fields(schema)
        self.has_read_variables = False
        """Whether an answer so far depended on the variables, so that it holds for them alone."""
        self._variables = variables
        self._walker = self.make_walker(max_selections)

    @classmethod
    def from_prepared(cls, prepared: PreparedOperation) -> OperationReader:
        """Read the operation of an executor."""
        return cls(prepared.schema, prepared.operation, prepared.fragment_definitions, prepared.variable_values)

    @property
    def root_name(self) -> str | None:
        """The root type of the operation; None if the schema has no such root type."""
        root = self.schema.get_root_type(self.operation.operation)
        return None if root is None else root.name

    def field_facts(self, type_name: str, field: FieldNode) -> FieldFacts | None:
        """Find the field in the schema; None for `__typename` and the fields of introspection."""
        return self._facts[type_name].get(field.name.value)

    def field_definitions(self, type_name: str) -> Mapping[str, GraphQLField]:
        """Return the fields of a type. A union has none of its own."""
        return _own_fields(self.schema.type_map[type_name])

    def is_list_field(self, type_name: str, field: FieldNode) -> bool:
        """Whether a field returns a list."""
        facts = self.field_facts(type_name, field)
        return facts is not None and facts.is_list

    def is_kept_list(self, type_name: str, field: FieldNode) -> bool:
        """Whether a field returns a page of a list that the gateway keeps."""
        facts = self.field_facts(type_name, field)
        return facts is not None and isinstance(facts.load, KeptListLoad)

    def is_cited_file(self, type_name: str, field: FieldNode) -> bool:
        """Whether a field returns the file that an object cites."""
        facts = self.field_facts(type_name, field)
        return facts is not None and isinstance(facts.load, CitedFileLoad)

    def is_node(self, target: GraphQLCompositeType) -> bool:
        """Whether objects of a type are nodes."""
        return target.name == NODE_INTERFACE or fragment_applies(self.schema, target.name, NODE_INTERFACE)

    def target_type(self, type_name: str, field: FieldNode) -> GraphQLCompositeType | None:
        """Return the type of a field without list and non-null, if it is a node or can lead to one; else None."""
        facts = self.field_facts(type_name, field)
        return None if facts is None else facts.target

    def possible_types(self, composite: GraphQLCompositeType) -> Collection[str]:
        """Return the names of the object types that a type can be."""
        if is_abstract_type(composite):
            return [possible.name for possible in self.schema.get_possible_types(composite)]
        return (composite.name,)

    def argument_values(self, type_name: str, field: FieldNode) -> dict[str, Any] | None:
        """Coerce the arguments of a field, by their Python names; None if execution will refuse them."""
        facts = self.field_facts(type_name, field)
        if facts is None:
            return None
        definition = facts.definition
        self._note_variables(field.arguments)
        try:
            values = get_argument_values(definition, field, self._variables)
        except GraphQLError:
            return None
        names = python_names(definition)
        return {names.get(name, name): value for name, value in values.items()}

    def known_from_input(self, type_name: str, field: FieldNode) -> Mapping[str, Any]:
        """Return the attributes of a payload that are known from the mutation's input (`Payload.FROM_INPUT`)."""
        target = self.target_type(type_name, field)
        payload = python_class(target) if isinstance(target, GraphQLObjectType) else None
        from_input: Mapping[str, str] = getattr(payload, "FROM_INPUT", {})
        arguments = self.argument_values(type_name, field) if from_input else None
        values = {} if arguments is None else arguments["input"]
        return {attribute: values.get(name) for attribute, name in from_input.items()}

    def make_walker(self, max_selections: int | None = None) -> SelectionWalker[str]:
        """Make a walker over the selections on objects, by the names of their types."""
        return SelectionWalker(
            self.fragments.get, narrow=self._narrow, is_included=self._is_included, max_selections=max_selections
        )

    def _narrow(self, type_name: str, condition: str) -> str | None:
        return type_name if fragment_applies(self.schema, type_name, condition) else None

    def _is_included(self, selection: SelectionNode) -> bool:
        """Whether a selection with directives is left in. A condition that execution will refuse leaves it in."""
        for directive in selection.directives or ():
            self._note_variables(directive.arguments)
        try:
            return is_included(selection, self._variables)
        except GraphQLError:
            return True

    def _note_variables(self, arguments: Iterable[ArgumentNode] | None) -> None:
        if not self.has_read_variables:
            self.has_read_variables = any(has_variable(argument.value) for argument in arguments or ())

    def collect_fields(self, type_name: str, nodes: Iterable[FieldNode | OperationDefinitionNode]) -> GroupedFields:
        """Collect the fields that are selected on an object type below `nodes`. Each fragment is read once.

        Raises:
            TooManySelectionsError: The selections are more than `max_selections`.
        """
        fields: GroupedFields = {}
        for _, field in self._walker.fields((type_name, node.selection_set) for node in nodes):
            fields.setdefault((field.alias or field.name).value, []).append(field)
        return fields


@lru_cache(maxsize=16)
def _read_fields(schema: GraphQLSchema) -> Mapping[str, Mapping[str, FieldFacts]]:
    """Read the fields of all types, by the names of the types and their own."""
    leading = types_leading_to_nodes(schema)
    return {
        type_name: {name: _read_field(field, leading) for name, field in _own_fields(type_).items()}
        for type_name, type_ in schema.type_map.items()
        if is_composite_type(type_)
    }


def _read_field(field: GraphQLField, leading: Collection[str]) -> FieldFacts:
    named = get_named_type(field.type)
    target = named if is_composite_type(named) and named.name in leading else None
    return FieldFacts(field, target, is_list_type(get_nullable_type(field.type)), find_load(field))


def _own_fields(type_: GraphQLNamedType) -> Mapping[str, GraphQLField]:
    fields: Mapping[str, GraphQLField] = getattr(type_, "fields", {})
    return fields


def types_leading_to_nodes(schema: GraphQLSchema) -> frozenset[str]:
    """Return the names of the types from which a selection can reach a node: nodes, and types with a field that can."""
    composites = {
        name: named
        for name, named in schema.type_map.items()
        if isinstance(named, (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType)) and name[:2] != "__"
    }
    node = composites.get(NODE_INTERFACE)
    found = set() if node is None else {NODE_INTERFACE, *(possible.name for possible in _possible_types(schema, node))}
    changed = True
    while changed:
        more = {
            name
            for name, composite in composites.items()
            if name not in found and any(below.name in found for below in _types_below(composite))
        }
        found |= more
        changed = bool(more)
    return frozenset(found)


def _types_below(composite: GraphQLCompositeType) -> Iterable[GraphQLNamedType]:
    if isinstance(composite, GraphQLUnionType):
        return list(composite.types)
    fields: Mapping[str, GraphQLField] = composite.fields
    return [get_named_type(field.type) for field in fields.values()]


def _possible_types(schema: GraphQLSchema, composite: GraphQLCompositeType) -> Iterable[GraphQLObjectType]:
    return schema.get_possible_types(composite) if is_abstract_type(composite) else ()

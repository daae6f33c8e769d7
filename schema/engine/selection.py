"""The selections of a query below a field, so that loads can start together and no needless load starts. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLResolveInfo,
    GraphQLSkipDirective,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    SelectionNode,
    ValueNode,
    VariableNode,
    get_argument_values,
    get_directive_values,
)
from graphql.execution.values import VariableValues

ResolveInfo: TypeAlias = GraphQLResolveInfo[Any]
Fragments: TypeAlias = Mapping[str, FragmentDefinitionNode]

NODE_INTERFACE = "Node"


def selected_fields(info: ResolveInfo, type_name: str, nodes: Sequence[FieldNode] | None = None) -> list[FieldNode]:
    """List the fields selected on a node type below some field nodes, by default those of the current field.

    `@skip` and `@include` apply. Each fragment is entered once, as GraphQL's own field collection does, so the cost is
    linear in the document.
    """
    found: list[FieldNode] = []
    entered: set[str] = set()
    conditions = (type_name, NODE_INTERFACE)

    def collect(selections: Iterable[SelectionNode]) -> None:
        for selection in selections:
            if not _is_included(selection, info):
                continue
            if isinstance(selection, FieldNode):
                found.append(selection)
            elif isinstance(selection, InlineFragmentNode):
                if selection.type_condition is None or selection.type_condition.name.value in conditions:
                    collect(selection.selection_set.selections)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in entered:
                entered.add(selection.name.value)
                fragment = info.fragments[selection.name.value]
                if fragment.type_condition.name.value in conditions:
                    collect(fragment.selection_set.selections)

    for node in info.field_nodes if nodes is None else nodes:
        if node.selection_set is not None:
            collect(node.selection_set.selections)
    return found


def selects_any(names: Collection[str], nodes: Sequence[FieldNode], fragments: Fragments) -> bool:
    """Return whether a field with one of these names is selected anywhere below some field nodes, on any type.

    `@skip` and `@include` are ignored. Each fragment is entered once.
    """
    sets = [node.selection_set for node in nodes]
    entered: set[str] = set()
    while sets:
        selections = sets.pop()
        for selection in selections.selections if selections else ():
            if isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name not in entered:
                    entered.add(name)
                    sets.append(fragments[name].selection_set)
                continue
            if isinstance(selection, FieldNode) and selection.name.value in names:
                return True
            sets.append(selection.selection_set)  # type: ignore[attr-defined]  # a field or an inline fragment
    return False


class Arguments:
    """The arguments of a field in a document, by their Python names. Without variables they are coerced only once."""

    __slots__ = ("_coerced", "_definition", "_names", "_node")

    def __init__(self, definition: GraphQLField, node: FieldNode, python_names: Mapping[str, str]) -> None:
        """Read the arguments of `node`. An argument without an entry in `python_names` keeps its GraphQL name."""
        self._definition = definition
        self._node = node
        self._names = python_names
        self._coerced: Mapping[str, Any] | None = None

    def coerce(self, variables: VariableValues) -> Mapping[str, Any]:
        """Coerce the arguments as execution does. Raises the `GraphQLError` of a refused value."""
        if self._coerced is not None:
            return self._coerced
        values = get_argument_values(self._definition, self._node, variables)
        coerced = {self._names.get(name, name): value for name, value in values.items()}
        if not any(has_variable(argument.value) for argument in self._node.arguments or ()):
            self._coerced = coerced
        return coerced


def has_variable(value: ValueNode) -> bool:
    """Whether a value in a document is a variable or holds one."""
    if isinstance(value, ListValueNode):
        return any(map(has_variable, value.values))
    if isinstance(value, ObjectValueNode):
        return any(has_variable(field.value) for field in value.fields)
    return isinstance(value, VariableNode)


def variables_from_info(info: ResolveInfo) -> VariableValues:
    """Return the variables as graphql-core's functions take them. Strawberry gives resolvers the bare values."""
    values: Any = info.variable_values
    return VariableValues({}, getattr(values, "coerced", values))


def _is_included(selection: SelectionNode, info: ResolveInfo) -> bool:
    if not selection.directives:
        return True
    skip = get_directive_values(GraphQLSkipDirective, selection, variables_from_info(info))
    if skip and skip["if"]:
        return False
    include = get_directive_values(GraphQLIncludeDirective, selection, variables_from_info(info))
    return not include or bool(include["if"])


def field_names(fields: Sequence[FieldNode]) -> frozenset[str]:
    """Return the names of the fields, without duplicates."""
    return frozenset(field.name.value for field in fields)

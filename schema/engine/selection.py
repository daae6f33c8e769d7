"""The selections of a query below a field, so that loads can start together and no needless load starts. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLResolveInfo,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
    get_argument_values,
)
from graphql.execution.values import VariableValues

from schema.engine.selection_walker import SelectionWalker, fragment_applies, is_included

ResolveInfo: TypeAlias = GraphQLResolveInfo[Any]
Fragments: TypeAlias = Mapping[str, FragmentDefinitionNode]

NODE_INTERFACE = "Node"


def selected_fields(info: ResolveInfo, type_name: str, nodes: Sequence[FieldNode] | None = None) -> list[FieldNode]:
    """List the fields selected on a type below some field nodes, by default those of the current field.

    `@skip` and `@include` apply.
    """
    schema, variables = info.schema, variables_from_info(info)
    walker: SelectionWalker[str] = SelectionWalker(
        info.fragments.get,
        narrow=lambda name, condition: name if fragment_applies(schema, name, condition) else None,
        is_included=lambda selection: is_included(selection, variables),
    )
    sources = [(type_name, node.selection_set) for node in (info.field_nodes if nodes is None else nodes)]
    return [field for _, field in walker.fields(sources)]


def selects_any(names: Collection[str], nodes: Sequence[FieldNode], fragments: Fragments) -> bool:
    """Return whether a field with one of these names is selected anywhere below some field nodes, on any type.

    `@skip` and `@include` are ignored.
    """
    walker: SelectionWalker[None] = SelectionWalker(fragments.get)
    selections = walker.walk([(None, node.selection_set) for node in nodes], enters_fields=True)
    return any(isinstance(selection, FieldNode) and selection.name.value in names for _, selection in selections)


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

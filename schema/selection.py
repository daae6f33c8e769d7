"""What a query selects below a field, so that loads can start together and none starts for nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLIncludeDirective,
    GraphQLResolveInfo,
    GraphQLSkipDirective,
    InlineFragmentNode,
    SelectionNode,
    get_argument_values,
    get_directive_values,
)
from graphql.execution.values import VariableValues

ResolveInfo: TypeAlias = GraphQLResolveInfo[Any]

NODE_INTERFACE = "Node"


def selected_fields(info: ResolveInfo, type_name: str, below: Sequence[FieldNode] | None = None) -> list[FieldNode]:
    """List the fields selected on a node type below some fields, by default the current one.

    `@skip` and `@include` are obeyed.

    Each fragment is entered once, as GraphQL's own collection of fields does, so the cost is linear in the document.
    """
    found: list[FieldNode] = []
    entered: set[str] = set()
    conditions = (type_name, NODE_INTERFACE)

    def collect(selections: Iterable[SelectionNode]) -> None:
        for selection in selections:
            if not _included(selection, info):
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

    for node in info.field_nodes if below is None else below:
        if node.selection_set is not None:
            collect(node.selection_set.selections)
    return found


def arguments_of(info: ResolveInfo, type_name: str, field: FieldNode) -> Mapping[str, Any]:
    """Coerce the arguments of a field below the current one, as execution will do when it gets there."""
    definition = info.schema.type_map[type_name].fields[field.name.value]  # type: ignore[attr-defined]  # an object type
    return get_argument_values(definition, field, _variables(info))


def _variables(info: ResolveInfo) -> VariableValues:
    """Give the variables as graphql-core's own functions want them; strawberry hands resolvers the bare values."""
    values: Any = info.variable_values
    return VariableValues({}, getattr(values, "coerced", values))


def _included(selection: SelectionNode, info: ResolveInfo) -> bool:
    if not selection.directives:
        return True
    skip = get_directive_values(GraphQLSkipDirective, selection, _variables(info))
    if skip and skip["if"]:
        return False
    include = get_directive_values(GraphQLIncludeDirective, selection, _variables(info))
    return not include or bool(include["if"])


def names_of(fields: Sequence[FieldNode]) -> frozenset[str]:
    """Name the fields, each once."""
    return frozenset(field.name.value for field in fields)

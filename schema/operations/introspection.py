"""Introspection: a limit of what one operation may ask of the schema, and the operations that ask nothing else."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLBoolean,
    GraphQLError,
    GraphQLField,
    GraphQLInputObjectType,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
    introspection_types,
)

SCHEMA_FIELD, TYPE_FIELD = "__schema", "__type"

MAX_ROOT_FIELDS = {SCHEMA_FIELD: 1, TYPE_FIELD: 20}
"""The most fields of introspection in one operation. A tool that wants more types reads the whole schema."""

LISTS_OF_TYPE = frozenset({"fields", "inputFields", "interfaces", "possibleTypes", "enumValues"})
"""The lists of a `__Type`. None of them may stand below another one: the usual tools read each type once."""


class IntrospectionLimitRule(ValidationRule):
    """Refuses operations that ask for the schema, or for a part of it, again and again.

    The root may have `MAX_ROOT_FIELDS`. Below them, a field of a type has one name only, and a list of a type is not
    below another one. So the response is at most a few times as large as the schema. Each fragment is read once.
    """

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        # Of the fields of introspection, by their type and name: the names in the response. They are those of the whole
        # document, since GraphQL merges the selections of one object from many places.
        self._names_below: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._fragment_names: dict[str, dict[str, set[str]]] = {}
        self._fragment_depths: dict[str, int] = {}

    def enter_field(self, node: FieldNode, *_args: Any) -> None:
        """Report lists of types that are nested, and a second name of a field of introspection."""
        name, parent = node.name.value, self.context.get_parent_type()
        if name in MAX_ROOT_FIELDS and (depth := self._list_depth(node.selection_set)) > 1:
            message = f"'{name}' has {depth} nested lists of a type; expected at most 1."
            self.report_error(GraphQLError(message, [node]))
        if parent is None or not parent.name.startswith("__"):
            return
        names = self._names_below[parent.name, name]
        known = max(1, len(names))
        names.add((node.alias or node.name).value)
        if len(names) > known:
            place = f"in objects of type '{parent.name}'"
            message = f"'{name}' is selected under {len(names)} names {place}; expected at most 1."
            self.report_error(GraphQLError(message, [node]))

    def enter_selection_set(self, node: SelectionSetNode, *_args: Any) -> None:
        """Report a field of introspection that stands too often at the root."""
        if self.context.get_parent_type() is not self.context.schema.query_type:
            return
        for name, response_names in self._response_names(node).items():
            most = MAX_ROOT_FIELDS.get(name)
            if most is not None and len(response_names) > most:
                count = len(response_names)
                message = f"'{name}' is selected under {count} names in one operation; expected at most {most}."
                self.report_error(GraphQLError(message, [node]))

    def _response_names(self, selection_set: SelectionSetNode) -> dict[str, set[str]]:
        """Collect the names in the response of each field, by the field's name."""
        names: dict[str, set[str]] = defaultdict(set)
        for selection in selection_set.selections:
            below: dict[str, set[str]] = {}
            if isinstance(selection, FieldNode):
                names[selection.name.value].add((selection.alias or selection.name).value)
            elif isinstance(selection, InlineFragmentNode):
                below = self._response_names(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode):
                below = self._names_in_fragment(selection.name.value)
            for name, response_names in below.items():
                names[name] |= response_names
        return names

    def _names_in_fragment(self, name: str) -> dict[str, set[str]]:
        if name not in self._fragment_names:
            self._fragment_names[name] = {}  # in case the fragment spreads itself
            fragment: FragmentDefinitionNode | None = self.context.get_fragment(name)
            if fragment is not None:
                self._fragment_names[name] = self._response_names(fragment.selection_set)
        return self._fragment_names[name]

    def _list_depth(self, selection_set: SelectionSetNode | None) -> int:
        deepest = 0
        for selection in selection_set.selections if selection_set else ():
            if isinstance(selection, FieldNode):
                depth = (selection.name.value in LISTS_OF_TYPE) + self._list_depth(selection.selection_set)
            elif isinstance(selection, InlineFragmentNode):
                depth = self._list_depth(selection.selection_set)
            else:
                depth = self._list_depth_of_fragment(selection)
            deepest = max(deepest, depth)
        return deepest

    def _list_depth_of_fragment(self, spread: Any) -> int:
        name = spread.name.value
        if name not in self._fragment_depths:
            self._fragment_depths[name] = 0  # in case the fragment spreads itself
            fragment: FragmentDefinitionNode | None = self.context.get_fragment(name)
            if fragment is not None:
                self._fragment_depths[name] = self._list_depth(fragment.selection_set)
        return self._fragment_depths[name]


class NoIntrospectionRule(ValidationRule):
    """Refuses `__schema` and `__type`, each once. `__typename` stays, since clients add it to every object."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._refused: set[str] = set()

    def enter_field(self, node: FieldNode, *_args: Any) -> None:
        """Report a field of introspection."""
        name = node.name.value
        if name in MAX_ROOT_FIELDS and name not in self._refused:
            self._refused.add(name)
            message = f"Expected no introspection, got '{name}'. GATEWAY_INTROSPECTION allows it."
            self.report_error(GraphQLError(message, [node]))


def repair_one_of() -> None:
    """Make `isOneOf` null for types that are no input objects. Strawberry's resolver fails on a list or a non-null.

    All schemas share the type `__Type`, and each new one sets this field again. So their class is repaired.
    """
    strawberry.Schema._extend_introspection = _extend_introspection  # type: ignore[assignment, method-assign]


def _extend_introspection(_schema: strawberry.Schema) -> None:
    introspection_types["__Type"].fields["isOneOf"] = GraphQLField(GraphQLBoolean, resolve=_is_one_of)  # type: ignore[attr-defined]


def _is_one_of(type_: Any, _info: Any) -> bool | None:
    return type_.extensions["strawberry-definition"].is_one_of if isinstance(type_, GraphQLInputObjectType) else None


def is_introspection(operation: OperationDefinitionNode) -> bool:
    """Whether an operation asks for the schema alone, so that its data is the same for everyone.

    An operation with fragments at its root is not recognised.
    """
    return operation.operation is OperationType.QUERY and all(
        isinstance(selection, FieldNode) and selection.name.value in MAX_ROOT_FIELDS
        for selection in operation.selection_set.selections
    )


def asks_nothing_upstream(document: DocumentNode, operation: OperationDefinitionNode) -> bool:
    """Whether all root fields of an operation are introspection, `__typename` included. Fragments are followed."""
    fragments = {part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)}
    selection_sets, seen = [operation.selection_set], set()
    while selection_sets:
        for selection in selection_sets.pop().selections:
            if isinstance(selection, FieldNode):
                if not selection.name.value.startswith("__"):
                    return False
            elif isinstance(selection, InlineFragmentNode):
                selection_sets.append(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in seen:
                seen.add(selection.name.value)
                fragment = fragments.get(selection.name.value)
                if fragment is None:
                    return False
                selection_sets.append(fragment.selection_set)
    return True

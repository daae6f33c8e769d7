"""Introspection: a limit of what one operation may ask of the schema, and the operations that ask nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
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
    OperationDefinitionNode,
    OperationType,
    ValidationContext,
    ValidationRule,
    introspection_types,
)

from schema.engine.selection_walker import SelectionFold, SelectionWalker, deepest

SCHEMA_FIELD, TYPE_FIELD = "__schema", "__type"

MAX_ROOT_FIELDS = {SCHEMA_FIELD: 1, TYPE_FIELD: 20}
"""The most fields of introspection in one operation. A tool that wants more types reads the whole schema."""

LISTS_OF_TYPE = frozenset({"fields", "inputFields", "interfaces", "possibleTypes", "enumValues"})
"""The lists of a `__Type`. None of them may stand below another one: the usual tools read each type once."""


class IntrospectionLimitRule(ValidationRule):
    """Refuses operations that ask for the schema, or for a part of it, again and again.

    The root may have `MAX_ROOT_FIELDS`. Below them, a field of a type has one name only, and a list of a type is not
    below another one. So the response is at most a few times as large as the schema.
    """

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        # Of the fields of introspection, by their type and name: the names in the response. They are those of the whole
        # document, since GraphQL merges the selections of one object from many places.
        self._names_below: dict[tuple[str, str], set[str]] = defaultdict(set)
        walker: SelectionWalker[None] = SelectionWalker(context.get_fragment)
        self._root_names = SelectionFold(walker, _root_name, _union)
        self._list_depths = SelectionFold(walker, self._list_depth_of_field, deepest)

    def enter_field(self, node: FieldNode, *_args: Any) -> None:
        """Report lists of types that are nested, and a second name of a field of introspection."""
        name, parent = node.name.value, self.context.get_parent_type()
        if name in MAX_ROOT_FIELDS and (depth := self._list_depths.value(None, node.selection_set)) > 1:
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

    def enter_operation_definition(self, node: OperationDefinitionNode, *_args: Any) -> None:
        """Report a field of introspection that stands too often at the root."""
        counts = Counter(name for name, _ in self._root_names.value(None, node.selection_set))
        for name, count in counts.items():
            if count > MAX_ROOT_FIELDS[name]:
                expected = f"expected at most {MAX_ROOT_FIELDS[name]}"
                message = f"'{name}' is selected under {count} names in one operation; {expected}."
                self.report_error(GraphQLError(message, [node]))

    def _list_depth_of_field(self, _scope: None, field: FieldNode) -> int:
        return (field.name.value in LISTS_OF_TYPE) + self._list_depths.value(None, field.selection_set)


def _root_name(_scope: None, field: FieldNode) -> frozenset[tuple[str, str]]:
    """Return the name of a field of introspection with its name in the response."""
    name = field.name.value
    return frozenset({(name, (field.alias or field.name).value)}) if name in MAX_ROOT_FIELDS else frozenset()


def _union(sets: Iterable[frozenset[tuple[str, str]]]) -> frozenset[tuple[str, str]]:
    return frozenset().union(*sets)


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
    walker: SelectionWalker[None] = SelectionWalker(fragments.get)
    for _, selection in walker.walk([(None, operation.selection_set)]):
        if isinstance(selection, FieldNode) and not selection.name.value.startswith("__"):
            return False
        if isinstance(selection, FragmentSpreadNode) and selection.name.value not in fragments:
            return False
    return True

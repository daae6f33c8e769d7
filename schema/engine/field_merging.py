"""A validation rule for merged fields that takes time near linear in the document.

Fields of one response name in one place must be mergeable. GraphQL's own rule compares every two of them, with all
that is selected below, so a document of 6 KB takes most of a second. This rule collects the fields of a place once,
compares each with the first, and goes on with everything that is selected below them as one place.

Source: GraphQL specification, section 5.3.2 "Field Selection Merging"; the algorithm is by Simon Adameit (XING),
https://tech.new-work.se/graphql-overlapping-fields-can-be-merged-fast-ea6e92e0a01.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from graphql import (
    SKIP,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
    VisitorAction,
    get_named_type,
    is_leaf_type,
    is_object_type,
    print_ast,
)
from graphql.utilities.sort_value_node import sort_value_node

from schema.engine.selection_walker import SelectionWalker, TooManySelectionsError

MAX_MERGED_SELECTIONS = 10_000
"""The most selections that are collected for a document. Without reused fragments, each selection counts once."""


class _Field(NamedTuple):
    parent: GraphQLNamedType | None
    node: FieldNode
    definition: GraphQLField | None


class _Conflict(NamedTuple):
    reason: str
    first: FieldNode
    second: FieldNode


_Source: TypeAlias = "tuple[GraphQLNamedType | None, SelectionSetNode]"


class _Place(NamedTuple):
    """Selection sets whose fields are merged, and the checks that their fields still need."""

    sources: list[_Source]
    needs_same_shape: bool = True
    needs_same_field: bool = True

    @property
    def key(self) -> tuple[frozenset[int], bool, bool]:
        """The identity of a place. A selection set has the same parent type wherever it is collected."""
        return frozenset(id(source) for _, source in self.sources), self.needs_same_shape, self.needs_same_field


class FieldMergingRule(ValidationRule):
    """Reports fields of one response name that cannot be merged, as `OverlappingFieldsCanBeMergedRule` does."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._walker: SelectionWalker[GraphQLNamedType | None] = SelectionWalker(
            context.get_fragment,
            narrow=lambda _, name: context.schema.get_type(name),
            max_selections=MAX_MERGED_SELECTIONS,
        )
        self._has_too_many = False
        self._seen: set[tuple[frozenset[int], bool, bool]] = set()
        self._printed: dict[int, dict[str, str]] = {}

    @property
    def merged_selections(self) -> int:
        """The selections that have been collected."""
        return self._walker.selection_count

    def enter_operation_definition(self, node: OperationDefinitionNode, *_args: Any) -> VisitorAction:
        """Check everything that an operation selects."""
        places = [_Place([(self.context.schema.get_root_type(node.operation), node.selection_set)])]
        try:
            while places and not self._has_too_many:
                place = places.pop()
                if place.key not in self._seen:
                    self._seen.add(place.key)
                    for name, fields in self._collect(place.sources).items():
                        places.extend(self._check(name, fields, place))
        except TooManySelectionsError:
            self._has_too_many = True
        return SKIP

    def leave_document(self, *_args: Any) -> None:
        """Report a document that was not checked to its end."""
        if self._has_too_many:
            message = f"Expected fragments that unfold to at most {MAX_MERGED_SELECTIONS} merged fields, got more."
            self.report_error(GraphQLError(message))

    def enter_fragment_definition(self, _node: FragmentDefinitionNode, *_args: Any) -> VisitorAction:
        """Skip a fragment. It is checked where it is spread."""
        return SKIP

    def _collect(self, sources: Iterable[_Source]) -> dict[str, list[_Field]]:
        """Collect the fields of a place by response name, those of each fragment once."""
        fields: dict[str, list[_Field]] = {}
        for parent, node in self._walker.fields(sources):
            fields.setdefault((node.alias or node.name).value, []).append(
                _Field(parent, node, _definition(parent, node))
            )
        return fields

    def _check(self, name: str, fields: Sequence[_Field], place: _Place) -> list[_Place]:
        """Check the fields of one response name. Returns the places below them."""
        if len(fields) == 1:
            return [place._replace(sources=sources)] if (sources := _sources_below(fields)) else []
        groups = _groups_of_one_object(fields)
        conflict = None
        if place.needs_same_field:
            conflict = next(filter(None, map(self._field_conflict, groups)), None)
        if place.needs_same_shape and conflict is None:
            conflict = _shape_conflict(fields)
        if conflict is not None:
            advice = "Use different aliases on the fields to fetch both if this was intentional."
            message = f"Fields '{name}' conflict because {conflict.reason}. {advice}"
            self.report_error(GraphQLError(message, [conflict.first, conflict.second]))
        if len(groups) == 1 or not place.needs_same_field:
            below = [place._replace(sources=_sources_below(fields))]
        else:
            below = [_Place(_sources_below(group), False, True) for group in groups]
            if place.needs_same_shape:
                below.append(_Place(_sources_below(fields), True, False))
        return [one for one in below if one.sources]

    def _field_conflict(self, fields: Sequence[_Field]) -> _Conflict | None:
        """Find a field that has another name or other arguments than the first one."""
        first = fields[0].node
        arguments = self._print_arguments(first)
        for field in fields[1:]:
            if field.node.name.value != first.name.value:
                names = f"'{first.name.value}' and '{field.node.name.value}'"
                return _Conflict(f"{names} are different fields", first, field.node)
            if self._print_arguments(field.node) != arguments:
                return _Conflict("they have differing arguments", first, field.node)
        return None

    def _print_arguments(self, node: FieldNode) -> dict[str, str]:
        """Print the arguments of a field so that equal ones have one text. Each field is printed once."""
        if not node.arguments:
            return {}
        printed = self._printed.get(id(node))
        if printed is None:
            values = {argument.name.value: sort_value_node(argument.value) for argument in node.arguments}
            printed = self._printed[id(node)] = {name: print_ast(value) for name, value in values.items()}
        return printed


def _shape_conflict(fields: Sequence[_Field]) -> _Conflict | None:
    """Find a field whose type has another shape than the first one's. A field of no known type has no shape."""
    defined = [(field.node, field.definition) for field in fields if field.definition is not None]
    for node, definition in defined[1:]:
        first, first_definition = defined[0]
        if definition is not first_definition and _shape(definition) != _shape(first_definition):
            types = f"'{first_definition.type}' and '{definition.type}'"
            return _Conflict(f"they return conflicting types {types}", first, node)
    return None


def _definition(parent: GraphQLNamedType | None, node: FieldNode) -> GraphQLField | None:
    return parent.fields.get(node.name.value) if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else None


def _groups_of_one_object(fields: Sequence[_Field]) -> list[Sequence[_Field]]:
    """Group the fields that one object may have together: those of an object type with those of abstract types."""
    objects = {field.parent.name for field in fields if field.parent is not None and is_object_type(field.parent)}
    if len(objects) < 2:
        return [fields]
    return [
        [field for field in fields if not is_object_type(field.parent) or field.parent.name == name] for name in objects
    ]


def _sources_below(fields: Iterable[_Field]) -> list[_Source]:
    return [
        (None if field.definition is None else get_named_type(field.definition.type), field.node.selection_set)
        for field in fields
        if field.node.selection_set is not None
    ]


def _shape(definition: GraphQLField) -> str:
    """Write a type so that types of one shape are equal: any two types of objects have one shape."""
    named = get_named_type(definition.type)
    return str(definition.type) if is_leaf_type(named) else str(definition.type).replace(named.name, "{}")

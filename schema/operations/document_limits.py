"""The validation rules that limit the depth of a document and the values in it, in time linear in the document."""

from __future__ import annotations

from typing import Any

from graphql import (
    FieldNode,
    GraphQLError,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
    ValueNode,
)

from schema.engine.selection_walker import SelectionFold, SelectionWalker, deepest
from schema.engine.variable_limits import MAX_INPUT_VALUES, MAX_LIST_LENGTH


class LiteralLimitRule(ValidationRule):
    """Holds the lists and objects in a document to the limits of those in variables."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._values = 0

    def enter_list_value(self, node: ListValueNode, *_args: Any) -> None:
        """Report a list that is too long."""
        self._check(node, len(node.values), f"a list of at most {MAX_LIST_LENGTH} items")

    def enter_object_value(self, node: ObjectValueNode, *_args: Any) -> None:
        """Report an object that is too long."""
        self._check(node, len(node.fields), f"an object of at most {MAX_LIST_LENGTH} fields")

    def leave_document(self, *_args: Any) -> None:
        """Report a document with too many values in all."""
        if self._values > MAX_INPUT_VALUES:
            expected = f"Expected lists and objects of at most {MAX_INPUT_VALUES} values in all the document"
            self.report_error(GraphQLError(f"{expected}, got {self._values}."))

    def _check(self, node: ValueNode, length: int, expected: str) -> None:
        self._values += length
        if length > MAX_LIST_LENGTH:
            self.report_error(GraphQLError(f"Expected {expected}, got one of {length}.", [node]))


def selection_limit(max_selections: int) -> type[ValidationRule]:
    """Make a rule that refuses more than `max_selections` fields and fragments in one pair of braces."""

    class SelectionLimitRule(ValidationRule):
        """Counts the selections of each object, aliases and repetitions included."""

        def enter_selection_set(self, node: SelectionSetNode, *_args: Any) -> None:
            """Report an object with too many selections."""
            if len(node.selections) > max_selections:
                expected = f"Expected at most {max_selections} selections in one object"
                self.report_error(GraphQLError(f"{expected}, got {len(node.selections)}.", [node]))

    return SelectionLimitRule


def depth_limit(max_depth: int) -> type[ValidationRule]:
    """Make a rule that refuses operations which nest more than `max_depth` fields, counts through fragments.

    A fragment that spreads itself counts as empty here; GraphQL's own rules refuse it.
    """

    class DepthLimitRule(ValidationRule):
        """Measures the depth of each operation."""

        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            walker: SelectionWalker[None] = SelectionWalker(context.get_fragment)
            self._depths = SelectionFold(walker, self._depth_of_field, deepest)

        def enter_operation_definition(self, node: OperationDefinitionNode, *_args: Any) -> None:
            """Report an operation that is too deep."""
            depth = self._depths.value(None, node.selection_set)
            if depth > max_depth:
                name = f"Operation '{node.name.value}'" if node.name else "The operation"
                message = f"{name} is {depth} fields deep; expected at most {max_depth}."
                self.report_error(GraphQLError(message, [node]))

        def _depth_of_field(self, _scope: None, field: FieldNode) -> int:
            return 1 + self._depths.value(None, field.selection_set)

    return DepthLimitRule

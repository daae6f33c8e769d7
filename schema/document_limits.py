"""A validation rule that bounds how deep a document nests, in time linear in the document."""

from __future__ import annotations

from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)


def depth_limit(max_depth: int) -> type[ValidationRule]:
    """Make a rule that refuses operations with more than `max_depth` fields in a row, fragments unfolded.

    Each fragment is measured once however often it is spread, so no document takes longer than its length allows.
    A fragment that spreads itself counts as empty here; GraphQL's own rules refuse it.
    """

    class DepthLimitRule(ValidationRule):
        """Measures each operation."""

        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            self._depth_of_fragment: dict[str, int] = {}

        def enter_operation_definition(self, node: OperationDefinitionNode, *_args: Any) -> None:
            """Report an operation that is too deep."""
            depth = self._depth(node.selection_set)
            if depth > max_depth:
                name = f"Operation '{node.name.value}'" if node.name else "The operation"
                message = f"{name} is {depth} fields deep; expected at most {max_depth}."
                self.report_error(GraphQLError(message, [node]))

        def _depth(self, selection_set: SelectionSetNode | None) -> int:
            deepest = 0
            for selection in selection_set.selections if selection_set else ():
                if isinstance(selection, FieldNode):
                    deepest = max(deepest, 1 + self._depth(selection.selection_set))
                elif isinstance(selection, InlineFragmentNode):
                    deepest = max(deepest, self._depth(selection.selection_set))
                elif isinstance(selection, FragmentSpreadNode):
                    deepest = max(deepest, self._fragment_depth(selection.name.value))
            return deepest

        def _fragment_depth(self, name: str) -> int:
            if name not in self._depth_of_fragment:
                self._depth_of_fragment[name] = 0  # stands while the fragment itself is measured
                fragment: FragmentDefinitionNode | None = self.context.get_fragment(name)
                if fragment is not None:
                    self._depth_of_fragment[name] = self._depth(fragment.selection_set)
            return self._depth_of_fragment[name]

    return DepthLimitRule

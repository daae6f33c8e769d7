"""Rules that bound how deep a document nests and how often it repeats a field, each in time linear in the document.

They are held before GraphQL's own rules run: one of those compares every two fields of the same name in a set, so it
takes seconds for a document that repeats a field hundreds of times.
"""

from __future__ import annotations

from collections import Counter
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


def repetition_limit(max_repetitions: int) -> type[ValidationRule]:
    """Make a rule that refuses a set in which one name in the answer is selected more than so many times.

    What fragments add to a set counts, each fragment once in a set.
    """

    class RepetitionLimitRule(ValidationRule):
        """Counts each set of each operation and each fragment."""

        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            self._of_fragment: dict[str, Counter[str]] = {}

        def enter_selection_set(self, node: SelectionSetNode, *_args: Any) -> None:
            """Report a name that is selected too often."""
            counted = self._count(node)
            name, times = max(counted.items(), key=lambda item: item[1], default=("", 0))
            if times > max_repetitions:
                message = f"'{name}' is selected {times} times in one place; expected at most {max_repetitions}."
                self.report_error(GraphQLError(message, [node]))

        def _count(self, selection_set: SelectionSetNode) -> Counter[str]:
            counted: Counter[str] = Counter()
            spread: set[str] = set()
            for selection in selection_set.selections:
                if isinstance(selection, FieldNode):
                    counted[(selection.alias or selection.name).value] += 1
                elif isinstance(selection, InlineFragmentNode):
                    counted += self._count(selection.selection_set)
                elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in spread:
                    spread.add(selection.name.value)
                    counted += self._count_fragment(selection.name.value)
            return counted

        def _count_fragment(self, name: str) -> Counter[str]:
            if name not in self._of_fragment:
                self._of_fragment[name] = Counter()  # stands while the fragment itself is counted
                fragment: FragmentDefinitionNode | None = self.context.get_fragment(name)
                if fragment is not None:
                    self._of_fragment[name] = self._count(fragment.selection_set)
            return self._of_fragment[name]

    return RepetitionLimitRule

"""Validation rules that limit the depth of a document and the repetition of a field, in time linear in the document.

They run before GraphQL's own rules. One of those compares every two fields of the same name in a selection set, so it
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
    """Make a rule that refuses operations which nest more than `max_depth` fields, counts through fragments.

    Each fragment is measured once, however often it is spread, so the time is linear in the document.
    A fragment that spreads itself counts as empty here; GraphQL's own rules refuse it.
    """

    class DepthLimitRule(ValidationRule):
        """Measures the depth of each operation."""

        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            self._fragment_depths: dict[str, int] = {}

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
            if name not in self._fragment_depths:
                self._fragment_depths[name] = 0  # in case the fragment spreads itself
                fragment: FragmentDefinitionNode | None = self.context.get_fragment(name)
                if fragment is not None:
                    self._fragment_depths[name] = self._depth(fragment.selection_set)
            return self._fragment_depths[name]

    return DepthLimitRule


def repetition_limit(max_repetitions: int) -> type[ValidationRule]:
    """Make a rule that refuses a selection set with more than `max_repetitions` fields of one response name.

    The fields of fragments count too, each fragment once in a set.
    """

    class RepetitionLimitRule(ValidationRule):
        """Counts the fields of each selection set."""

        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            self._fragment_counts: dict[str, Counter[str]] = {}

        def enter_selection_set(self, node: SelectionSetNode, *_args: Any) -> None:
            """Report a response name that is selected too often."""
            counts = self._count(node)
            name, times = max(counts.items(), key=lambda item: item[1], default=("", 0))
            if times > max_repetitions:
                message = f"'{name}' is selected {times} times in one place; expected at most {max_repetitions}."
                self.report_error(GraphQLError(message, [node]))

        def _count(self, selection_set: SelectionSetNode) -> Counter[str]:
            counts: Counter[str] = Counter()
            seen_fragments: set[str] = set()
            for selection in selection_set.selections:
                if isinstance(selection, FieldNode):
                    counts[(selection.alias or selection.name).value] += 1
                elif isinstance(selection, InlineFragmentNode):
                    counts += self._count(selection.selection_set)
                elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in seen_fragments:
                    seen_fragments.add(selection.name.value)
                    counts += self._count_fragment(selection.name.value)
            return counts

        def _count_fragment(self, name: str) -> Counter[str]:
            if name not in self._fragment_counts:
                self._fragment_counts[name] = Counter()  # in case the fragment spreads itself
                fragment: FragmentDefinitionNode | None = self.context.get_fragment(name)
                if fragment is not None:
                    self._fragment_counts[name] = self._count(fragment.selection_set)
            return self._fragment_counts[name]

    return RepetitionLimitRule

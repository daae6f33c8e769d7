"""Bounds the upstream calls of an operation in time linear in its document, whatever its fragments unfold to. Pure.

Nothing is taken to be shared, so the bound is loose. It serves documents whose unfolding would take too long; the
tighter prediction of all others is in `prediction.py`.
"""

from __future__ import annotations

from typing import Any

from graphql import FieldNode, FragmentSpreadNode, GraphQLCompositeType, InlineFragmentNode, SelectionSetNode

from schema.contract.paging import DEFAULT_PAGE_SIZE, UPSTREAM_PAGE_SIZE
from schema.operations.operation_reader import NODE_INTERFACE, OperationReader

MUTATION = "Mutation"

SNAPSHOT_SIZE = UPSTREAM_PAGE_SIZE
"""How many messages, and how many steps, a snapshot of a run is taken to hold; hardly any run has so many."""


def call_upper_bound(reader: OperationReader, max_page_size: int) -> int:
    """Bound the calls of an operation as if every field asked for all that it needs by itself."""
    root_name = reader.root_name
    return 0 if root_name is None else _Bound(reader, max_page_size).below(root_name, reader.operation.selection_set)


class _Bound:
    def __init__(self, reader: OperationReader, max_page_size: int) -> None:
        self._reader = reader
        self._max_page_size = max_page_size
        self._of_fragment: dict[tuple[str, str], int] = {}

    def below(self, type_name: str, selections: SelectionSetNode | None) -> int:
        """Bound what is selected on one object; each fragment is looked into once for each type."""
        total = 0
        for selection in selections.selections if selections else ():
            if not self._reader.included(selection):
                continue
            if isinstance(selection, FieldNode):
                total += self._field(type_name, selection)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                if condition is None or self._reader.applies(condition.name.value, type_name):
                    total += self.below(type_name, selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode):
                total += self._fragment(type_name, selection.name.value)
        return total

    def _fragment(self, type_name: str, name: str) -> int:
        if (name, type_name) not in self._of_fragment:
            fragment = self._reader.fragments[name]
            applies = self._reader.applies(fragment.type_condition.name.value, type_name)
            self._of_fragment[name, type_name] = self.below(type_name, fragment.selection_set) if applies else 0
        return self._of_fragment[name, type_name]

    def _field(self, type_name: str, field: FieldNode) -> int:
        target = self._reader.target(type_name, field)
        if type_name == MUTATION:
            # One write, and at most one read before it.
            return 2 + (0 if target is None else self.below(target.name, field.selection_set))
        if target is None:
            return 0
        below = max(self.below(name, field.selection_set) for name in self._reader.object_types(target))
        # Arguments are coerced only where they matter, since that takes longer than all the rest.
        if target.name.endswith("Connection"):
            size = self._page_size(self._reader.arguments(type_name, field) or {})
            return -(-size // UPSTREAM_PAGE_SIZE) + size * below
        if type_name.endswith(("Connection", "Edge")) or not self._is_node(target):
            return below
        return self._count(type_name, field) * (1 + below)

    def _count(self, type_name: str, field: FieldNode) -> int:
        """Bound how many nodes a field gives."""
        if not self._reader.is_list(type_name, field):
            return 1
        given = self._reader.arguments(type_name, field) or {}
        return len(given["ids"]) if "ids" in given else SNAPSHOT_SIZE

    def _is_node(self, target: GraphQLCompositeType) -> bool:
        return target.name == NODE_INTERFACE or self._reader.applies(NODE_INTERFACE, target.name)

    def _page_size(self, given: dict[str, Any]) -> int:
        size: int = given.get("first") or given.get("last") or DEFAULT_PAGE_SIZE
        return size if 0 < size <= self._max_page_size else 1

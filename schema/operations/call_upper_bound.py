"""An upper bound of an operation's upstream calls, in time linear in its document, however its fragments unfold. Pure.

The bound assumes that no calls are shared, so it is loose. It serves operations that unfold to too many selections;
the tighter prediction of all others is in `call_prediction.py`.
"""

from __future__ import annotations

from typing import Any

from graphql import FieldNode, FragmentSpreadNode, GraphQLCompositeType, InlineFragmentNode, SelectionSetNode

from schema.contract.paging import DEFAULT_PAGE_SIZE, UPSTREAM_PAGE_SIZE
from schema.operations.operation_reader import NODE_INTERFACE, OperationReader

MUTATION = "Mutation"

SNAPSHOT_SIZE = UPSTREAM_PAGE_SIZE
"""The assumed number of messages, and of steps, in a snapshot of a run. Hardly any run has so many."""


def call_upper_bound(reader: OperationReader, max_page_size: int) -> int:
    """Bound the calls of an operation, as if every field loaded all that it needs by itself."""
    root_name = reader.root_name
    if root_name is None:
        return 0
    return _UpperBound(reader, max_page_size).of_selections(root_name, reader.operation.selection_set)


class _UpperBound:
    def __init__(self, reader: OperationReader, max_page_size: int) -> None:
        self._reader = reader
        self._max_page_size = max_page_size
        self._fragment_bounds: dict[tuple[str, str], int] = {}

    def of_selections(self, type_name: str, selection_set: SelectionSetNode | None) -> int:
        """Bound the selections on one object. Each fragment is read once for each type."""
        total = 0
        for selection in selection_set.selections if selection_set else ():
            if not self._reader.is_included(selection):
                continue
            if isinstance(selection, FieldNode):
                total += self._of_field(type_name, selection)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                if condition is None or self._reader.fragment_applies(condition.name.value, type_name):
                    total += self.of_selections(type_name, selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode):
                total += self._of_fragment(type_name, selection.name.value)
        return total

    def _of_fragment(self, type_name: str, name: str) -> int:
        if (name, type_name) not in self._fragment_bounds:
            fragment = self._reader.fragments[name]
            applies = self._reader.fragment_applies(fragment.type_condition.name.value, type_name)
            bound = self.of_selections(type_name, fragment.selection_set) if applies else 0
            self._fragment_bounds[name, type_name] = bound
        return self._fragment_bounds[name, type_name]

    def _of_field(self, type_name: str, field: FieldNode) -> int:
        target = self._reader.target_type(type_name, field)
        if type_name == MUTATION:
            # One write, and at most one read before it.
            return 2 + (0 if target is None else self.of_selections(target.name, field.selection_set))
        if target is None:
            return 0
        below = max(self.of_selections(name, field.selection_set) for name in self._reader.possible_types(target))
        # Coercing arguments takes longer than everything else here, so only the fields that need them do it.
        if target.name.endswith("Connection"):
            size = self._page_size(self._reader.argument_values(type_name, field) or {})
            return -(-size // UPSTREAM_PAGE_SIZE) + size * below
        if type_name.endswith(("Connection", "Edge")) or not self._is_node(target):
            return below
        return self._max_nodes(type_name, field) * (1 + below)

    def _max_nodes(self, type_name: str, field: FieldNode) -> int:
        """Bound the number of nodes that a field returns."""
        if not self._reader.is_list_field(type_name, field):
            return 1
        arguments = self._reader.argument_values(type_name, field) or {}
        return len(arguments["ids"]) if "ids" in arguments else SNAPSHOT_SIZE

    def _is_node(self, target: GraphQLCompositeType) -> bool:
        return target.name == NODE_INTERFACE or self._reader.fragment_applies(NODE_INTERFACE, target.name)

    def _page_size(self, arguments: dict[str, Any]) -> int:
        size: int = arguments.get("first") or arguments.get("last") or DEFAULT_PAGE_SIZE
        return size if 0 < size <= self._max_page_size else 1

"""Upper bounds of an operation's upstream calls and shown objects, in time linear in its document. Pure.

The bound of calls assumes that no calls are shared, so it is loose. It serves operations that unfold to too many
selections; the tighter prediction of all others is in `call_prediction.py`.

A shown object is a node in the response, counted each time that it stands there. The sizes of the pages around it are
multiplied; aliases, `nodes` and `edges` are added. A list without pages counts as `DEFAULT_PAGE_SIZE` objects, or as
its `ids`; that of a payload counts as the messages that a run may add. An object that a query looks up by one id is
free, because it has a root field of its own in the document.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from graphql import FieldNode, GraphQLCompositeType, SelectionSetNode

from schema.contract.bodies import MAX_FIRST_MESSAGES
from schema.contract.paging import DEFAULT_PAGE_SIZE, MAX_FURTHER_PAGES, UPSTREAM_PAGE_SIZE
from schema.engine.selection_walker import SelectionFold
from schema.operations.operation_reader import OperationReader

MUTATION = "Mutation"
QUERY = "Query"

SNAPSHOT_SIZE = UPSTREAM_PAGE_SIZE
"""The assumed number of messages, and of steps, in a snapshot of a run, for its calls. Hardly any run has so many."""


class UpperBounds(NamedTuple):
    """Upper bounds of the upstream calls and of the shown objects; of a subscription, those of one event."""

    calls: int = 0
    objects: int = 0


def find_upper_bounds(reader: OperationReader, max_page_size: int) -> UpperBounds:
    """Bound the calls of an operation, as if every field loaded all that it needs by itself, and its shown objects."""
    root_name = reader.root_name
    if root_name is None:
        return UpperBounds()
    return _BoundsFinder(reader, max_page_size).of_selections(root_name, reader.operation.selection_set)


class _BoundsFinder:
    def __init__(self, reader: OperationReader, max_page_size: int) -> None:
        self._reader = reader
        self._max_page_size = max_page_size
        self._bounds = SelectionFold(reader.make_walker(), self._of_field, _add_bounds)

    def of_selections(self, type_name: str, selection_set: SelectionSetNode | None) -> UpperBounds:
        """Bound the selections on one object."""
        return self._bounds.value(type_name, selection_set)

    def _of_field(self, type_name: str, field: FieldNode) -> UpperBounds:
        target = self._reader.target_type(type_name, field)
        if target is None:
            return UpperBounds(calls=2 if type_name == MUTATION else 0)
        calls, objects = self._below(target, field)
        if type_name == MUTATION:
            # One write, and at most one read before it or after it.
            return UpperBounds(2 + calls, objects)
        # Coercing arguments takes longer than everything else here, so only the fields that need them do it.
        if target.name.endswith("Connection"):
            arguments = self._reader.argument_values(type_name, field) or {}
            size = self._page_size(arguments)
            if self._reader.is_kept_list(type_name, field):
                pages, calls = 0, 1 + calls  # the list costs no call, but each of its objects may take one
            else:
                is_of_run = arguments.get("run_id") is not None or (type_name, field.name.value) == ("Run", "messages")
                pages = -(-size // UPSTREAM_PAGE_SIZE) + (MAX_FURTHER_PAGES if is_of_run else 0)
            return UpperBounds(pages + size * calls, size * objects)
        if not self._reader.is_node(target):
            return UpperBounds(calls, objects)
        if type_name.endswith(("Connection", "Edge")):
            return UpperBounds(calls, 1 + objects)
        if type_name.endswith("Payload") and self._reader.is_list_field(type_name, field):
            return UpperBounds(1 + MAX_FIRST_MESSAGES * calls, MAX_FIRST_MESSAGES * (1 + objects))
        if self._reader.is_list_field(type_name, field):
            arguments = self._reader.argument_values(type_name, field) or {}
            ids = len(arguments["ids"]) if "ids" in arguments else None
            loaded, shown = (SNAPSHOT_SIZE, DEFAULT_PAGE_SIZE) if ids is None else (ids, ids)
            return UpperBounds(loaded * (1 + calls), shown * (1 + objects))
        return UpperBounds(1 + calls, objects if type_name == QUERY else 1 + objects)

    def _below(self, target: GraphQLCompositeType, field: FieldNode) -> UpperBounds:
        """Bound the selections on one object of a field: on the possible type that needs the most."""
        bounds = [self.of_selections(name, field.selection_set) for name in self._reader.possible_types(target)]
        return UpperBounds(max(one.calls for one in bounds), max(one.objects for one in bounds))

    def _page_size(self, arguments: dict[str, Any]) -> int:
        size: int = arguments.get("first") or arguments.get("last") or DEFAULT_PAGE_SIZE
        return size if 0 < size <= self._max_page_size else 1


def _add_bounds(bounds: Iterable[UpperBounds]) -> UpperBounds:
    calls, objects = 0, 0
    for one in bounds:
        calls += one.calls
        objects += one.objects
    return UpperBounds(calls, objects)

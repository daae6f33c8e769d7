"""Upper bounds of an operation's upstream calls and shown objects, in time linear in its document. Pure.

The bound of calls assumes that no calls are shared, so it is loose. It serves operations that unfold to too many
selections; the tighter prediction of all others is in `call_prediction.py`.

A shown object is a node in the response, counted each time that it stands there. The sizes of the pages around it are
multiplied; aliases, `nodes` and `edges` are added. A list without pages counts as `DEFAULT_PAGE_SIZE` objects, or as
its `ids`; that of a payload counts as the messages that a run may add. An object that a query looks up by one id is
free, because it has a root field of its own in the document. So is a file: it is a part of what cites it, and nothing
is below it.

How many files an object cites is known only from the object. A field that leads to them counts as
`CITED_FILES_PER_OBJECT` calls for each object, and all of an operation as at most `MAX_CITED_FILES`. Execution loads no
further files (`CitedFiles`), so these are upper bounds too, in the prediction as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from graphql import FieldNode, GraphQLCompositeType, SelectionSetNode

from schema.contract.bodies import MAX_FIRST_MESSAGES
from schema.contract.cost import CITED_FILES_PER_OBJECT, MAX_CITED_FILES
from schema.contract.paging import DEFAULT_PAGE_SIZE, MAX_FURTHER_PAGES, UPSTREAM_PAGE_SIZE
from schema.engine.selection_walker import SelectionFold
from schema.graph.file_node import File
from schema.graph.message_node import MessageFile
from schema.operations.operation_reader import OperationReader

MUTATION = "Mutation"
QUERY = "Query"
SUBSCRIPTION = "Subscription"

SNAPSHOT_SIZE = UPSTREAM_PAGE_SIZE
"""The assumed number of messages, and of steps, in a snapshot of a run, for its calls. Hardly any run has so many."""


class UpperBounds(NamedTuple):
    """Upper bounds of the upstream calls and of the shown objects; of a subscription, those of one event."""

    calls: int = 0
    objects: int = 0
    files: int = 0
    """The calls for files that objects cite. They are among `calls`."""


def find_upper_bounds(reader: OperationReader, max_page_size: int, event_type: str | None = None) -> UpperBounds:
    """Bound the calls of an operation, as if every field loaded all that it needs by itself, and its shown objects.

    For a subscription, those of one event, of a type if it is given.
    """
    root_name = reader.root_name
    if root_name is None:
        return UpperBounds()
    finder = _BoundsFinder(reader, max_page_size, event_type)
    found = finder.of_selections(root_name, reader.operation.selection_set)
    files = min(found.files, MAX_CITED_FILES)
    return UpperBounds(found.calls + files, found.objects, files)


class _Bounds(NamedTuple):
    """The bounds of a part of an operation. Here the calls are those without `files`."""

    calls: int = 0
    objects: int = 0
    files: int = 0
    file_fields: int = 0
    """The fields of a file that need more than its key, in a selection on files."""


class _BoundsFinder:
    def __init__(self, reader: OperationReader, max_page_size: int, event_type: str | None) -> None:
        self._reader = reader
        self._max_page_size = max_page_size
        self._event_type = event_type
        self._bounds = SelectionFold(reader.make_walker(), self._of_field, _add_bounds)

    def of_selections(self, type_name: str, selection_set: SelectionSetNode | None) -> _Bounds:
        """Bound the selections on one object."""
        return self._bounds.value(type_name, selection_set)

    def _of_field(self, type_name: str, field: FieldNode) -> _Bounds:
        if type_name == File.TYPE_NAME:
            return _Bounds(file_fields=field.name.value not in File.KEY_FIELDS)
        target = self._reader.target_type(type_name, field)
        if target is None:
            return _Bounds(calls=2 if type_name == MUTATION else 0)
        below = self._below(type_name, target, field)
        calls, objects, files, file_fields = below
        if type_name == MUTATION:
            # One write, and at most one read before it or after it.
            return _Bounds(2 + calls, objects, files)
        if target.name.endswith("Connection"):
            return self._of_connection(type_name, field, below)
        if self._reader.is_cited_file(type_name, field):
            # The files of all parts of an object together, because lists of parts have no pages.
            each = 1 if type_name == MessageFile.TYPE_NAME else CITED_FILES_PER_OBJECT
            return _Bounds(files=each if file_fields else 0)
        if not self._reader.is_node(target):
            return _Bounds(calls, objects, files)
        is_of_page = type_name.endswith(("Connection", "Edge"))
        if not is_of_page and self._reader.is_list_field(type_name, field):
            return self._of_list(type_name, field, below)
        return _Bounds(calls if is_of_page else 1 + calls, objects if type_name == QUERY else 1 + objects, files)

    # Coercing arguments takes longer than everything else here, so only the fields that need them do it.
    def _of_connection(self, type_name: str, field: FieldNode, below: _Bounds) -> _Bounds:
        """Bound a page; `below` bounds the selections on one object of it."""
        arguments = self._reader.argument_values(type_name, field) or {}
        size, calls = self._page_size(arguments), below.calls
        if self._reader.is_kept_list(type_name, field):
            pages, calls = 0, 1 + calls  # the list costs no call, but each of its objects may take one
        else:
            is_of_run = arguments.get("run_id") is not None or (type_name, field.name.value) == ("Run", "messages")
            pages = -(-size // UPSTREAM_PAGE_SIZE) + (MAX_FURTHER_PAGES if is_of_run else 0)
        return _Bounds(pages + size * calls, size * below.objects, size * below.files)

    def _of_list(self, type_name: str, field: FieldNode, below: _Bounds) -> _Bounds:
        """Bound a list of nodes without pages; `below` bounds the selections on one of them."""
        calls, objects, files, _ = below
        if type_name.endswith("Payload"):
            most = MAX_FIRST_MESSAGES
            return _Bounds(1 + most * calls, most * (1 + objects), most * files)
        arguments = self._reader.argument_values(type_name, field) or {}
        ids = len(arguments["ids"]) if "ids" in arguments else None
        loaded, shown = (SNAPSHOT_SIZE, DEFAULT_PAGE_SIZE) if ids is None else (ids, ids)
        return _Bounds(loaded * (1 + calls), shown * (1 + objects), loaded * files)

    def _below(self, type_name: str, target: GraphQLCompositeType, field: FieldNode) -> _Bounds:
        """Bound the selections on one object of a field: on the possible type that needs the most."""
        names = self._reader.possible_types(target)
        if type_name == SUBSCRIPTION and self._event_type is not None:
            names = [self._event_type]
        bounds = [self.of_selections(name, field.selection_set) for name in names]
        return _Bounds(*map(max, zip(*bounds, strict=True)))

    def _page_size(self, arguments: dict[str, Any]) -> int:
        size: int = arguments.get("first") or arguments.get("last") or DEFAULT_PAGE_SIZE
        return size if 0 < size <= self._max_page_size else 1


def _add_bounds(bounds: Iterable[_Bounds]) -> _Bounds:
    calls, objects, files, file_fields = 0, 0, 0, 0
    for one in bounds:
        calls += one.calls
        objects += one.objects
        files += one.files
        file_fields += one.file_fields
    return _Bounds(calls, objects, files, file_fields)

"""Finds the reads of records in a document, which may cost calls besides those of its objects. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import NamedTuple

from graphql import FieldNode

from schema.engine.selection_walker import SelectionFold
from schema.graph.documented_field import find_load
from schema.graph.field_loads import RecordLoad
from schema.graph.thread_node import Thread
from schema.operations.operation_reader import OperationReader

_TITLING_FIELDS = frozenset({"createThread", "createThreadAndRun", "updateThread"})
"""The mutations that may write a title into a record."""

_KEPT_FIELDS = frozenset({"threads", "waitingRuns", "usage"})
"""The fields of the viewer that are read from records."""


class RecordReads(NamedTuple):
    """Whether an operation reads or writes records, and whether it lists threads."""

    uses_records: bool = False
    lists_threads: bool = False

    def __or__(self, other: RecordReads) -> RecordReads:
        return RecordReads(self.uses_records or other.uses_records, self.lists_threads or other.lists_threads)


def find_record_reads(reader: OperationReader) -> RecordReads:
    """Find the reads of records in an operation. Following the caller's list is one, too."""
    root_name = reader.root_name
    if root_name is None:
        return RecordReads()
    kept = {
        Thread.TYPE_NAME: {
            name
            for name, definition in reader.field_definitions(Thread.TYPE_NAME).items()
            if isinstance(find_load(definition), RecordLoad)
        },
        "Viewer": _KEPT_FIELDS,
        "Mutation": _TITLING_FIELDS,
        "Subscription": {"viewerEvents"},
    }

    def of_field(type_name: str, field: FieldNode) -> RecordReads:
        name = field.name.value
        uses_records = name in kept.get(type_name, ())
        found = RecordReads(uses_records, uses_records and (type_name, name) == ("Viewer", "threads"))
        target = reader.target_type(type_name, field)
        below = () if target is None else reader.possible_types(target)
        return reduce(or_, (fold.value(each, field.selection_set) for each in below), found)

    def merge(found: Iterable[RecordReads]) -> RecordReads:
        return reduce(or_, found, RecordReads())

    fold = SelectionFold(reader.make_walker(), of_field, merge)
    return fold.value(root_name, reader.operation.selection_set)

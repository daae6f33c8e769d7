"""The names of operations in metrics: few, whatever callers send."""

from __future__ import annotations

from gateway.telemetry.operation_record import OperationRecord, Outcome

MAX_NAMES = 100
"""The most names of operations that come from documents that anybody may send."""

UNNAMED = "unnamed"
OTHER = "other"


class OperationLabels:
    """Chooses the label of each operation.

    The operations of trusted documents have their names. Of all others, the first hundred that succeeded have theirs;
    the rest is `other`. So nobody fills the metrics with names that they invent.
    """

    def __init__(self, max_names: int = MAX_NAMES) -> None:
        """Start without a known name."""
        self._max_names = max_names
        self._known: set[str] = set()

    def label(self, record: OperationRecord) -> str:
        """Return the label of an operation that has ended."""
        name = record.operation_name
        if name is None:
            return UNNAMED
        if record.is_trusted or name in self._known:
            return name
        if record.outcome is Outcome.OK and len(self._known) < self._max_names:
            self._known.add(name)
            return name
        return OTHER

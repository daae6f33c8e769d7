"""The runs that were seen in a terminal state: such a run never changes again, nor do the objects that it wrote."""

from __future__ import annotations

from collections import OrderedDict

from schema.contract.keys import RunKey
from schema.contract.run_events import is_terminal


class EndedRuns:
    """The runs of all principals that this process saw ended, at most `max_runs` of them.

    Reads are numbered in the order in which they begin. Only a read that began after a run was known to have ended is
    sure to return the final state of that run's objects.
    """

    def __init__(self, max_runs: int = 20_000) -> None:
        self._max_runs = max_runs
        self._seen_at: OrderedDict[tuple[str, RunKey], int] = OrderedDict()
        self._read_number = 0

    def begin_read(self) -> int:
        """Return the number of a read that begins now."""
        self._read_number += 1
        return self._read_number

    def record_status(self, scope: str, key: RunKey, status: str) -> None:
        """Record the status of a run; only the first terminal one counts."""
        if not is_terminal(status) or (scope, key) in self._seen_at:
            return
        self._seen_at[scope, key] = self._read_number
        if len(self._seen_at) > self._max_runs:
            self._seen_at.popitem(last=False)

    def ended_before(self, scope: str, key: RunKey, read_number: int) -> bool:
        """Return whether a run was known to have ended before the read with this number began."""
        seen_at = self._seen_at.get((scope, key))
        return seen_at is not None and seen_at < read_number

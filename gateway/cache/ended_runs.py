"""Which runs were seen in a terminal state, and when: such a run never changes again, nor does what it wrote."""

from __future__ import annotations

from collections import OrderedDict

from schema.contract.keys import RunKey
from schema.contract.run_events import is_terminal


class EndedRuns:
    """The runs of all principals that this process saw ended, at most `max_runs` of them.

    Time is counted in moments, one for each read: only what was asked for after a run was known to be over is
    known to be its last word.
    """

    def __init__(self, max_runs: int = 20_000) -> None:
        self._max_runs = max_runs
        self._seen: OrderedDict[tuple[str, RunKey], int] = OrderedDict()
        self._moment = 0

    def begin_read(self) -> int:
        """Give the moment at which a read begins."""
        self._moment += 1
        return self._moment

    def learn(self, scope: str, key: RunKey, status: str) -> None:
        """Note a run's status."""
        if not is_terminal(status) or (scope, key) in self._seen:
            return
        self._seen[scope, key] = self._moment
        if len(self._seen) > self._max_runs:
            self._seen.popitem(last=False)

    def was_over(self, scope: str, key: RunKey, moment: int) -> bool:
        """Tell whether a run was known to be over before the read of that moment began."""
        seen = self._seen.get((scope, key))
        return seen is not None and seen < moment

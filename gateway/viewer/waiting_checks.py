"""The times at which runs that wait are read again: soon at first, and ever more rarely while nothing happens. Pure.

A run that no longer waits, because it was answered or cancelled elsewhere, is read in the same way until its end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cachetools import LRUCache

from gateway.ledger.record_merging import WAITING_STATUS
from gateway.ledger.sightings import RunRecordKey
from schema.contract.statuses import is_terminal
from schema.contract.wire import RunObject

FIRST_CHECK_SECONDS = 10.0
MAX_CHECK_SECONDS = 300.0
"""Longest time between two reads of a run that waits: so late it is known that it was answered elsewhere."""

MAX_KNOWN_RUNS = 10_000


@dataclass(slots=True)
class _Check:
    """When a run is due, how long it is left alone after that, and when it expires by the upstream's clock.

    `goes_on` if it was last read neither waiting nor ended.
    """

    due_at: float
    pause_seconds: float = FIRST_CHECK_SECONDS
    expires_at: float | None = None
    goes_on: bool = False


class WaitingChecks:
    """The checks of one process. `now` of every method is a clock that does not go back."""

    def __init__(self) -> None:
        self._checks: LRUCache[RunRecordKey, _Check] = LRUCache(MAX_KNOWN_RUNS)

    def take_due(self, runs: Iterable[RunRecordKey], now: float) -> list[RunRecordKey]:
        """Take the runs that are to be read now. They are due again after a pause that grows."""
        due: list[RunRecordKey] = []
        for run in runs:
            check = self._checks.get(run)
            if check is None:
                check = self._checks[run] = _Check(now)
            if check.due_at <= now:
                check.due_at = now + check.pause_seconds
                check.pause_seconds = min(2 * check.pause_seconds, MAX_CHECK_SECONDS)
                due.append(run)
        return due

    def record_read(self, run: RunRecordKey, read: RunObject) -> None:
        """Record what was read of a run."""
        check = self._checks.get(run)
        if check is None:
            return
        has_ended = is_terminal(read.status)
        went_on, check.goes_on = check.goes_on, not has_ended and read.status != WAITING_STATUS
        check.expires_at = None if has_ended else read.expires_at
        if check.goes_on and not went_on:
            check.due_at, check.pause_seconds = -math.inf, FIRST_CHECK_SECONDS

    def record_missing(self, run: RunRecordKey) -> None:
        """Record that a run is gone."""
        self._checks.pop(run, None)

    def goes_on(self, run: RunRecordKey) -> bool:
        """Return whether a run was last read neither waiting nor ended, so that nobody else may see its end."""
        check = self._checks.get(run)
        return check is not None and check.goes_on

    def take_expired(self, runs: Iterable[RunRecordKey], unix_seconds: float) -> list[RunRecordKey]:
        """Take the runs that are known to have expired, of those that wait no longer. The others are forgotten too."""
        gone = [(run, self._checks.pop(run, None)) for run in runs]
        return [
            run
            for run, check in gone
            if check is not None and check.expires_at is not None and check.expires_at <= unix_seconds
        ]

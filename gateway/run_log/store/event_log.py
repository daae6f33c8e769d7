"""The append-only log of what happens in a run or on a thread, one for each, written by one writer at a time.

Whoever writes leads the log for a short while, which has to be renewed; its token grows from leader to leader, so a
writer that was thought dead and comes back cannot write any more. Readers read from any place that is still kept.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from schema.contract.keys import RunKey, ThreadKey
from schema.contract.run_events import Change, Provenance


class LogName(NamedTuple):
    """Whose log it is and of what; `scope` names the principal."""

    scope: str
    key: RunKey | ThreadKey


class LogPosition(NamedTuple):
    """A place in a log, behind entry `number`; a log that was lost and begun anew has another `epoch`."""

    epoch: str
    number: int


def new_epoch() -> str:
    """Make up an epoch."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One change as it is kept: its number (one more than that of the entry before), when and how it became known."""

    number: int
    at: float
    provenance: Provenance
    change: Change


@dataclass(frozen=True, slots=True)
class LogSlice:
    """What a log holds behind a place: entries without a gap, and whether nothing can follow them.

    `epoch` is None for a log that holds nothing. `is_gap` says that the place asked for is no longer kept, or of
    another epoch: the entries then are all that is kept.
    """

    epoch: str | None
    entries: Sequence[LogEntry]
    has_ended: bool = False
    is_gap: bool = False


class Draft(NamedTuple):
    """A change to be written."""

    provenance: Provenance
    change: Change


class LeaseLostError(Exception):
    """The writer no longer leads: another does, its time ran out, or the log has ended. Nothing was written."""


class LogUnavailableError(Exception):
    """The log's store did not answer in time; nobody knows whether anything was written."""


@dataclass(frozen=True, slots=True)
class WriterLease:
    """The right to write a log, for `lease_seconds` from now or until renewed."""

    token: int
    lease_seconds: float


StopListening: TypeAlias = Callable[[], None]


class EventLog(Protocol):
    """All logs of one store. Each method but `listen` raises `LogUnavailableError` where the store is not there."""

    async def read(self, name: LogName, after: LogPosition | None = None) -> LogSlice:
        """Read all entries behind a place, by default from the oldest that is kept."""

    async def append(
        self,
        name: LogName,
        lease: WriterLease,
        drafts: Sequence[Draft],
        *,
        ends: bool = False,
        serial: int | None = None,
    ) -> None:
        """Write changes down, all or none, in order; `ends` the log, and the lead, for good.

        A `serial` that is not larger than the last one of the same lead was written before: nothing is then.
        Raises `LeaseLostError`. What ends a log is a change, so there is at least one then.
        """

    async def acquire_lease(self, name: LogName, *, preempt: bool = False) -> WriterLease | None:
        """Begin to lead; None where another leads (unless it is to be `preempt`ed) or the log has ended."""

    async def renew_lease(self, name: LogName, lease: WriterLease) -> bool:
        """Lead for another `lease_seconds`; False where that is no longer so."""

    async def release_lease(self, name: LogName, lease: WriterLease) -> None:
        """Stop leading, so that another can begin at once; nothing where another leads already."""

    async def request_details(self, name: LogName) -> None:
        """Say that a reader wants steps and messages too; it counts for `lease_seconds` from now."""

    async def are_details_requested(self, name: LogName) -> bool:
        """Whether such a wish counts."""

    def listen(self, name: LogName, on_notification: Callable[[], None]) -> StopListening:
        """Call `on_notification` soon after entries were appended or the lead became free, by whatever process.

        It is a hint: it may come too often and, rarely, not at all.
        """

    async def close(self) -> None:
        """End what is under way and let go of connections."""

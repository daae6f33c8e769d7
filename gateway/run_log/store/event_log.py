"""The append-only log of the events of one run, of one thread, or of one viewer's list.

The log of a run or thread has one writer at a time, which holds the log's lease. It lasts a short time and has to be
renewed, and carries a fencing token that grows from writer to writer, so a writer that was thought dead cannot write
when it comes back. The log of a viewer has no lease: every process publishes what it changed. Readers read from any
position that the log still holds.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from schema.contract.keys import RunKey, ThreadKey
from schema.contract.run_events import Change, Provenance


class ViewerKey(NamedTuple):
    """Identity of a viewer, as the subject of a log."""

    viewer_id: str


LogKey: TypeAlias = RunKey | ThreadKey | ViewerKey
"""The subject of a log."""


class LogName(NamedTuple):
    """The owner and the subject of a log; `scope` names the principal."""

    scope: str
    key: LogKey


def log_kind(key: LogKey) -> str:
    """Return the name of a kind of log."""
    return type(key).__name__.removesuffix("Key")


class LogPosition(NamedTuple):
    """The position behind entry `number` of a log. A log that was lost and started again has another `epoch`."""

    epoch: str
    number: int


def new_epoch() -> str:
    """Return a new random epoch."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One stored change: its number (one more than the previous entry's), its Unix time and its provenance.

    `position` is the place in the run's stream behind this change, if it can be opened there again.
    """

    number: int
    at: float
    provenance: Provenance
    change: Change
    position: str | None = None


@dataclass(frozen=True, slots=True)
class LogSlice:
    """The entries of a log behind a position, without a gap. With `has_ended`, no entry can follow them.

    `epoch` is None for a log without entries. `is_gap` means that the requested position is no longer held, or is of
    another epoch; `entries` is then all that the log holds.
    """

    epoch: str | None
    entries: Sequence[LogEntry]
    has_ended: bool = False
    is_gap: bool = False


class Draft(NamedTuple):
    """A change that is to be written, with its place in the stream."""

    provenance: Provenance
    change: Change
    position: str | None = None


class LeaseLostError(Exception):
    """The writer no longer holds the lease: another does, it ran out, or the log has ended. Nothing was written."""


class LogUnavailableError(Exception):
    """The store did not answer in time. It is unknown whether anything was written."""


@dataclass(frozen=True, slots=True)
class WriterLease:
    """The right to write a log, for `lease_seconds` from now or from its renewal. `token` is the fencing token."""

    token: int
    lease_seconds: float


StopListening: TypeAlias = Callable[[], None]


class EventLog(Protocol):
    """All logs of one store.

    Every method but `listen` raises `LogUnavailableError` if the store cannot be reached.
    """

    async def read(self, name: LogName, after: LogPosition | None = None) -> LogSlice:
        """Read all entries behind a position; without one, from the oldest entry that is held."""

    async def append(
        self,
        name: LogName,
        lease: WriterLease,
        drafts: Sequence[Draft],
        *,
        ends: bool = False,
        serial: int | None = None,
    ) -> None:
        """Append changes in order, all or none. With `ends`, the log ends for good and the lease with it.

        A `serial` that is not larger than the last one under the same lease was written before; it is ignored.

        Raises:
            LeaseLostError: The lease is no longer held.
            ValueError: `ends` was set without a change: the end of a log is itself a change.
        """

    async def publish(self, name: LogName, drafts: Sequence[Draft]) -> None:
        """Append changes in order, all or none, to a log that many write: without a lease, and it never ends.

        It is not tried again: after a failure, the changes may have been written.
        """

    async def acquire_lease(self, name: LogName, *, preempt: bool = False) -> WriterLease | None:
        """Acquire the lease. With `preempt`, take it from another holder.

        Returns:
            None if another writer holds the lease (unless `preempt`) or if the log has ended.
        """

    async def discard(self, name: LogName, epoch: str) -> None:
        """Remove the entries and the lease of a log, if it has this epoch. The next entries begin another epoch."""

    async def discard_scope(self, scope: str, names: Collection[LogName]) -> None:
        """Remove the logs of a scope: these ones, and all others that the store can find."""

    async def renew_lease(self, name: LogName, lease: WriterLease) -> bool:
        """Extend the lease by `lease_seconds` from now. Returns False if it is no longer held."""

    async def release_lease(self, name: LogName, lease: WriterLease) -> None:
        """Release the lease, so that another writer can acquire it at once. Does nothing if another writer holds it."""

    async def request_details(self, name: LogName) -> None:
        """Ask the poller for steps and messages too, not only for the status. Valid for `lease_seconds` from now."""

    async def are_details_requested(self, name: LogName) -> bool:
        """Return whether a valid request for steps and messages exists."""

    def listen(self, name: LogName, on_notification: Callable[[], None]) -> StopListening:
        """Call `on_notification` soon after any process appended entries or released the lease.

        A notification is a hint: there may be too many and, rarely, one is missing.
        """

    async def close(self) -> None:
        """End all work in progress and close all connections."""

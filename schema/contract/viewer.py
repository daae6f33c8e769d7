"""The port of the viewer: the records that the gateway keeps for a caller, and the limits of that caller.

An implementation is bound to one principal, and answers for that principal's own threads only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.ports import EventFeed, Results
from schema.contract.thread_records import (
    KeysetPage,
    RecordFilter,
    RecordOrder,
    RecordUpdate,
    RecordWindow,
    ThreadRecord,
    TokenUsage,
    WaitingRun,
    WaitingRunWindow,
)


class ViewerRole(StrEnum):
    """A right of a viewer, besides the use of their own threads."""

    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ViewerIdentity:
    """The identity of a viewer, as they may see it.

    Attributes:
        viewer_id: An opaque text, the same in every session and process. It reveals no credential.
        subject: The subject of the token; None if the credential is the upstream's own.
        roles: The rights besides the use of their own threads.
    """

    viewer_id: str
    subject: str | None = None
    roles: frozenset[ViewerRole] = frozenset()


@dataclass(frozen=True, slots=True)
class RateLimitState:
    """The rest of each limit in the present window. A limit that is not set is None, and so is its rest."""

    resets_at_ms: int
    calls_limit: int | None = None
    calls_remaining: int | None = None
    operations_limit: int | None = None
    operations_remaining: int | None = None
    runs_limit: int | None = None
    runs_remaining: int | None = None


class ViewerApi(Protocol):
    """The records and limits of one principal. Only a thread of which nothing is known may cost an upstream call.

    Every method that reads or writes what is kept raises, or returns in the place of a value:

    - `LEDGER_UNAVAILABLE` if the database did not answer in time;
    - the error of `unsupported_without_ledger` if the gateway keeps nothing. `get_records` returns None instead.

    Lists are always the principal's own, also those of an admin.
    """

    @property
    def identity(self) -> ViewerIdentity:
        """The identity of the principal."""

    @property
    def keeps_records(self) -> bool:
        """Whether the gateway keeps records at all. Writes of titles are refused before an upstream call if not."""

    def predict_calls(self, *, lists_threads: bool) -> int:
        """Predict the most upstream calls that the operation's reads and writes of records take besides.

        One asks whether the caller is accepted, unless that is known; a list of threads may be filled in first.
        """

    async def get_records(self, keys: Sequence[ThreadKey]) -> Results[ThreadRecord | None]:
        """Get the records of threads: one value or error per key, in their order.

        A value is None if nothing is kept of the thread, or if it is not the principal's. An admin gets those of all.
        There may be thousands of keys.
        """

    async def list_records(
        self, conditions: RecordFilter, order: RecordOrder, window: RecordWindow
    ) -> KeysetPage[ThreadRecord]:
        """List the records of the principal's threads, the newest first."""

    async def list_waiting_runs(self, window: WaitingRunWindow) -> KeysetPage[WaitingRun]:
        """List the runs of the principal's threads that wait for tool outputs.

        The one that waits longest comes first; of equal times, the smaller thread id and then the smaller run id.
        """

    async def get_usage(self, since_ms: int | None, until_ms: int | None) -> TokenUsage:
        """Sum up the tokens of the principal's runs that ended at `since_ms` or later and before `until_ms`."""

    async def get_rate_limit(self) -> RateLimitState | None:
        """Get the rest of the limits. Returns None if nothing is limited. Never fails for lack of a database."""

    async def update_record(self, key: ThreadKey, update: RecordUpdate, *, is_part: bool = False) -> ThreadRecord:
        """Change a record, and return it in its new state. With `is_part`, it is a part of a write that was sent.

        The thread must be the principal's (an admin may change every record), else the error is the upstream's own
        `NOT_FOUND` for a thread that does not exist. If the implementation does not know of the thread, but it may
        exist, it asks the upstream.

        Raises:
            GatewayError: `NOT_FOUND`, or one that the class names. Of `LEDGER_UNAVAILABLE` nothing was written.
        """

    async def follow(self, *, after: str | None = None) -> EventFeed:
        """Follow the changes of the principal's list.

        The feed has events of `ThreadChange`, `ThreadRemovedChange`, `StatusChange` (its run has a `thread_id`),
        `FaultChange` and `LaggedChange`. Without a cursor it begins with a `LaggedChange` of nothing skipped, and goes
        on with the changes from then on: what is there already is listed. If the log no longer holds the position of
        the cursor, the feed starts with a `FaultChange` of code `CURSOR_EXPIRED`.

        Raises:
            GatewayError: One that the class names, or `BAD_USER_INPUT` for a text that is no cursor of this log.
        """


def unsupported_without_ledger(feature: str) -> GatewayError:
    """Make the error of a feature (such as "The list of threads") of a gateway without a database."""
    return GatewayError(ErrorCode.UNSUPPORTED, f"{feature} needs a database; GATEWAY_DATABASE_URL is not set.")

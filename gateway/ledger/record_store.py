"""The port for the storage of records: of threads, of their runs, and of the words to search for.

A store belongs to one upstream, and is a part of a `LedgerStore`, which takes the records along when an object gets
another owner or is removed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from gateway.ledger.sightings import RecordKey, RecordOwner, RunRecordKey, Sighting
from schema.contract.keys import MessageKey
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

MAX_SIGHTINGS = 500
"""Most sightings of one call."""

MAX_UNFINISHED = 1000
"""Most unfinished removals that are found at once."""


class KeptTexts(StrEnum):
    """The texts of which a store keeps the words, to search for: titles alone, or messages too."""

    TITLES = "titles"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class RecordChanges:
    """The outcome of recording sightings.

    Attributes:
        records: The records that are new, or in which the graph shows something else than before.
        new_records: Those of them that are new.
        runs: The runs that are new, or whose status changed, each with the status before, None if it is new.
        unowned: The records that were left as they are because the thread is not the user's by the ledger. It may
            become theirs, if the id of a new thread is yet to be stored.
    """

    records: frozenset[RecordKey] = frozenset()
    new_records: frozenset[RecordKey] = frozenset()
    runs: Mapping[RunRecordKey, str | None] = field(default_factory=dict)
    unowned: frozenset[RecordKey] = frozenset()


@dataclass(frozen=True, slots=True)
class WrittenRecord:
    """The parts of a record that tell whether a sighting says nothing new.

    Attributes:
        created_at_ms: The earliest time of creation that was seen.
        last_activity_at_ms: The latest activity that was seen.
        first_message_id: The message that is known to be the first one and gave its words, if there is one.
        text_digests: The digests of the texts of those messages that were asked for, by their ids. None if the store
            keeps no texts of messages.
    """

    created_at_ms: int
    last_activity_at_ms: int
    first_message_id: str | None
    text_digests: Mapping[str, int | None] | None


class RecordStore(Protocol):
    """The durable records. Each method may be repeated without harm; each that writes is one transaction.

    All raise `LedgerUnavailableError` when the ledger does not answer.
    """

    async def record_sightings(self, sightings: Sequence[Sighting]) -> RecordChanges:
        """Merge sightings, at most `MAX_SIGHTINGS`, into the records, and write what is new.

        Their order and number make no difference to what is kept, but that a run which waits may be known to do so
        since a later time. Sightings of threads and messages that were removed are dropped.
        """

    async def find_written(self, messages: Mapping[RecordKey, Collection[str]]) -> dict[RecordKey, WrittenRecord]:
        """Find out what records say already, of themselves and of these of their messages."""

    async def update_record(self, key: RecordKey, update: RecordUpdate, updated_at_ms: int) -> ThreadRecord | None:
        """Change a record. Returns it in its new state, or None if there is none."""

    async def get_records(self, keys: Collection[RecordKey]) -> dict[RecordKey, ThreadRecord]:
        """Get records. One that is not there is left out."""

    async def list_records(
        self, owner: RecordOwner, conditions: RecordFilter, order: RecordOrder, window: RecordWindow
    ) -> KeysetPage[ThreadRecord]:
        """List the records of an owner, the newest first."""

    async def list_waiting_runs(
        self, owner: RecordOwner, window: WaitingRunWindow, now_ms: int
    ) -> KeysetPage[WaitingRun]:
        """List the runs of an owner that wait for tool outputs and have not expired, the longest wait first."""

    async def get_usage(self, owner: RecordOwner, since_ms: int | None, until_ms: int | None) -> TokenUsage:
        """Sum up the tokens of an owner's runs that ended at `since_ms` or later and before `until_ms`."""

    async def begin_removal(self, key: RecordKey, message_id: str, began_at_ms: int) -> bool:
        """Mark a message of a record, or with an empty id its thread, which is about to be deleted upstream.

        Sightings of it are dropped from now on. Returns False, without a mark, if nothing is kept of it.
        """

    async def withdraw_removal(self, key: MessageKey) -> None:
        """Remove the mark of a message, or of a thread, that was not deleted. One that was removed stays marked."""

    async def find_unfinished_removals(self, after_ms: int, before_ms: int) -> Sequence[MessageKey]:
        """Find what was marked between two times and is kept still, at most `MAX_UNFINISHED` of it.

        Nobody told whether the upstream deleted it.
        """

    async def remove_threads(self, thread_ids: Collection[str], removed_at_ms: int) -> frozenset[RecordKey]:
        """Remove all that is kept of threads, which were deleted upstream. Returns the records, whosever they were.

        `LedgerStore.remove_objects` does the same.
        """

    async def remove_records(self, keys: Collection[RecordKey]) -> frozenset[RecordKey]:
        """Remove records of threads that the upstream shows their owners no more. Returns those that were there.

        A thread that is seen again gets a new one.
        """

    async def remove_messages(self, keys: Collection[MessageKey], removed_at_ms: int) -> frozenset[RecordKey]:
        """Remove the text of messages, which were deleted upstream. Returns the records whose title changed.

        A title that was made from such a message goes too.
        """

    async def find_message_ids(self, key: RecordKey, seen_before_ms: int) -> frozenset[str]:
        """Find the messages of a record, by ids, whose words or title are kept and were seen before a time.

        The id of the message that a thread was created with is empty.
        """

    async def forget_messages(self, key: RecordKey, message_ids: Collection[str]) -> bool:
        """Remove what a record keeps of messages that the upstream shows no more. Returns whether its title changed.

        A message that is seen again is kept again.
        """

    async def move_records(self, owners: Mapping[str, RecordOwner]) -> int:
        """Give the records of threads, by id, to these owners, whosever they were. Returns the number that moved.

        A record that an owner has already is merged with the one that comes. A thread that is not the user's by the
        ledger stays where it is.
        """

    async def remove_message_texts(self, limit: int) -> int:
        """Remove the words of at most `limit` messages of any owner, but no titles. Returns their number."""

    async def remove_marks_before(self, removed_at_ms: int) -> bool:
        """Remove the marks of older removals, behind which no sighting comes any more, but for unfinished ones.

        Returns whether there were any.
        """

"""Reads that passed through the gateway, and the objects in them that say more than the ledger has already. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from gateway.ledger.record_store import WrittenRecord
from gateway.ledger.search_words import MAX_TEXT_LENGTH, to_text_digest
from gateway.ledger.sightings import RecordKey, RecordOwner
from gateway.viewer.seen_objects import (
    PassedObject,
    SeenObject,
    fingerprint_from,
    objects_in_read,
    seen_message,
    seen_run,
    seen_thread,
    text_from_message,
    to_ms,
)
from schema.contract.wire import MessageObject, RunObject, ThreadObject


class OnWritten(Protocol):
    """Is called with an object that is written."""

    def __call__(self, key: RecordKey, object_id: str, fingerprint: int, *, is_first: bool) -> None:
        """Take its record, its id, and what it says."""


class PassedRead(NamedTuple):
    """The object or the page that the upstream showed for a key."""

    owner: RecordOwner
    key: Any
    result: object
    seen_at_ms: int

    @property
    def thread_id(self) -> str | None:
        """The thread that was read, or whose objects were. None of a list of threads."""
        thread_id: str | None = getattr(self.key, "thread_id", None)
        return thread_id

    @property
    def objects(self) -> Iterator[PassedObject]:
        """The objects in it."""
        return objects_in_read(self.key, self.result)


def messages_in_reads(reads: Iterable[PassedRead]) -> dict[RecordKey, Collection[str]]:
    """Return the records that reads tell of, each with the ids of its messages in them."""
    messages: dict[RecordKey, set[str]] = defaultdict(set)
    for read in reads:
        for thread_id, item, _ in read.objects:
            of_record = messages[RecordKey(read.owner, thread_id)]
            if isinstance(item, MessageObject):
                of_record.add(item.id)
    return dict(messages)


def new_in_read(
    read: PassedRead,
    written: Mapping[RecordKey, WrittenRecord],
    is_known: Callable[[RecordKey, PassedObject], bool],
    on_written: OnWritten,
) -> Iterator[SeenObject]:
    """Return the sightings of objects that say more than is written or known. `on_written` gets those that are written.

    A message is written if its text is, by its digest. Its thread's record must have been told of it too: of its time,
    and of the first message, so that no other gives the title.
    """
    key = RecordKey(read.owner, "")
    record: WrittenRecord | None = None
    for passed in read.objects:
        thread_id, item, is_first = passed
        if thread_id != key.thread_id:
            key = RecordKey(read.owner, thread_id)
            record = written.get(key)
        if record is not None and (fingerprint := fingerprint_from(item)) is not None:
            if _is_written(item, record, is_first=is_first):
                on_written(key, item.id, fingerprint, is_first=is_first)
                continue
            if is_known(key, passed):
                continue
        if isinstance(item, ThreadObject):
            yield seen_thread(read.owner, item, read.seen_at_ms)
        elif isinstance(item, RunObject):
            yield seen_run(read.owner, thread_id, item, read.seen_at_ms)
        else:
            yield seen_message(read.owner, thread_id, item, read.seen_at_ms, is_first=is_first)


def _is_written(item: ThreadObject | MessageObject | RunObject, record: WrittenRecord, *, is_first: bool) -> bool:
    if isinstance(item, RunObject):
        return False
    created_at_ms = to_ms(item.created_at)
    if created_at_ms is not None and not record.created_at_ms <= created_at_ms <= record.last_activity_at_ms:
        return False
    if isinstance(item, ThreadObject):
        return True
    if record.first_message_id is None or (is_first and record.first_message_id != item.id):
        return False
    if record.text_digests is None:
        return record.first_message_id != item.id
    text_digest = record.text_digests.get(item.id)
    return text_digest is not None and text_digest == to_text_digest(text_from_message(item)[:MAX_TEXT_LENGTH])

"""The merging of many sightings at once into the records that a store has loaded. Pure, but for what it is given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field

from gateway.ledger.record_merging import (
    RunState,
    TextState,
    ThreadState,
    is_new_text,
    may_give_title,
    merge_runs,
    merge_texts,
    merge_thread,
    merge_thread_message,
    merge_thread_run,
    merge_threads,
    run_from_sighting,
)
from gateway.ledger.record_store import MAX_SIGHTINGS, RecordChanges
from gateway.ledger.removal_marks import ANY_MESSAGE, THREAD_CHAINS, RemovalMarks
from gateway.ledger.search_words import to_text_digest, to_words
from gateway.ledger.sightings import RecordKey, RunRecordKey, SeenMessage, SeenRun, SeenThread, Sighting
from gateway.ledger.storable_text import MAX_ID_LENGTH


@dataclass(slots=True)
class StoredRecord:
    """The record of a thread with those of its runs and the words of its messages, by their ids: all, or some."""

    thread: ThreadState
    runs: dict[str, RunState] = field(default_factory=dict)
    texts: dict[str, TextState] = field(default_factory=dict)


class RecordBatch:
    """Merges sightings into records, and collects the keys of those that changed.

    `threads`, `runs` and `texts` are what is to be written, `changes` is what the graph now shows in another way.
    """

    def __init__(
        self,
        records: MutableMapping[RecordKey, StoredRecord],
        marks: RemovalMarks,
        is_theirs: Callable[[RecordKey], bool],
        *,
        keeps_messages: bool,
    ) -> None:
        """Take the records that are there, and are changed.

        Args:
            records: The records.
            marks: The marks of what was removed. The batch lifts those of what exists.
            is_theirs: Tells whether the thread of a record may be its owner's.
            keeps_messages: Whether the words of messages are kept.
        """
        self._records = records
        self._marks = marks
        self._is_theirs = is_theirs
        self._keeps_messages = keeps_messages
        self._shown: set[RecordKey] = set()
        self._new: set[RecordKey] = set()
        self._shown_runs: dict[RunRecordKey, str | None] = {}
        self._unowned: set[RecordKey] = set()
        self.threads: set[RecordKey] = set()
        self.runs: set[RunRecordKey] = set()
        self.texts: set[tuple[RecordKey, str]] = set()

    @property
    def changes(self) -> RecordChanges:
        """The outcome for the caller of the store."""
        return RecordChanges(
            frozenset(self._shown), frozenset(self._new), dict(self._shown_runs), frozenset(self._unowned)
        )

    def merge(self, sightings: Sequence[Sighting]) -> None:
        """Merge sightings."""
        by_record: dict[RecordKey, list[Sighting]] = defaultdict(list)
        for seen in sightings:
            if has_storable_ids(seen) and not self._marks.drops_thread(seen.key.thread_id, seen.seen_at_ms):
                by_record[seen.key].append(seen)
        for key, of_record in by_record.items():
            if not self._is_theirs(key):
                self._unowned.add(key)
                continue
            # The order makes no difference, but in this one, most messages change nothing of their thread.
            of_record.sort(key=_by_weight, reverse=True)
            for seen in of_record:
                self._merge_sighting(seen)

    def _merge_sighting(self, seen: Sighting) -> None:
        if isinstance(seen, SeenThread):
            self._merge_thread(seen)
        elif isinstance(seen, SeenRun):
            self._merge_run(seen)
        elif not self._marks.drops_message(seen.key.thread_id, seen.message_id, seen.seen_at_ms):
            self._merge_message(seen)

    def _merge_thread(self, seen: SeenThread) -> None:
        if self._marks.lost_message(seen.key.thread_id):
            # The opening may be the text of the message that was removed.
            seen = seen._replace(opening=None)
        self._store_thread(seen.key, merge_thread(self._find_thread(seen.key), seen))

    def _merge_run(self, seen: SeenRun) -> None:
        record = self._store_thread(seen.key, merge_thread_run(self._find_thread(seen.key), seen))
        before = record.runs.get(seen.run_id)
        after = merge_runs(before, run_from_sighting(seen))
        if after == before:
            return
        record.runs[seen.run_id] = after
        self.runs.add(RunRecordKey(seen.key, seen.run_id))
        if before is None or before.status != after.status:
            self._shown_runs.setdefault(RunRecordKey(seen.key, seen.run_id), None if before is None else before.status)
        if after.counted_usage != (None if before is None else before.counted_usage):
            self._shown.add(seen.key)

    def _merge_message(self, seen: SeenMessage) -> None:
        record = self._store_thread(seen.key, merge_thread_message(self._find_thread(seen.key), seen))
        if not self._keeps_messages or seen.text is None:
            return
        text_digest = to_text_digest(seen.text)
        if is_new_text(record.texts.get(seen.message_id), text_digest, seen.seen_at_ms):
            record.texts[seen.message_id] = TextState(to_words(seen.text), seen.seen_at_ms, text_digest)
            self.texts.add((seen.key, seen.message_id))

    def _find_thread(self, key: RecordKey) -> ThreadState | None:
        record = self._records.get(key)
        return None if record is None else record.thread

    def _store_thread(self, key: RecordKey, after: ThreadState) -> StoredRecord:
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = StoredRecord(after)
            self._new.add(key)
        elif record.thread is after or record.thread == after:
            return record
        self.threads.add(key)
        if key in self._new or record.thread.shown != after.shown:
            self._shown.add(key)
        record.thread = after
        return record


def _by_weight(seen: Sighting) -> tuple[bool, int]:
    return (not isinstance(seen, SeenMessage) or seen.is_first, seen.created_at_ms or 0)


def keeps_message(record: StoredRecord, message_id: str) -> bool:
    """Return whether a record keeps anything of a message; with an empty id, of its thread."""
    return not message_id or message_id in record.texts or may_give_title(record.thread, message_id)


def merge_records(record: StoredRecord, other: StoredRecord) -> None:
    """Merge the record of another owner into a record of the same thread."""
    record.thread = merge_threads(record.thread, other.thread)
    for run_id, run in other.runs.items():
        record.runs[run_id] = merge_runs(record.runs.get(run_id), run)
    for message_id, text in other.texts.items():
        record.texts[message_id] = merge_texts(record.texts.get(message_id), text)


def check_count(sightings: Sequence[Sighting]) -> None:
    """Raise `ValueError` for more sightings than one call may bring."""
    if len(sightings) > MAX_SIGHTINGS:
        raise ValueError(f"expected at most {MAX_SIGHTINGS} sightings, got {len(sightings)}")


def has_storable_ids(seen: Sighting) -> bool:
    """Return whether a sighting can be stored. An object with an id of no use costs only itself."""
    if len(seen.key.thread_id) > MAX_ID_LENGTH:
        return False
    if isinstance(seen, SeenRun):
        return max(len(seen.run_id), len(seen.assistant_id or "")) <= MAX_ID_LENGTH
    return isinstance(seen, SeenThread) or (len(seen.message_id) <= MAX_ID_LENGTH and is_message_id(seen.message_id))


def is_message_id(text: str) -> bool:
    """Return whether a text can be the id of a message. Three others are marks of their thread."""
    return text not in {"", ANY_MESSAGE, THREAD_CHAINS}

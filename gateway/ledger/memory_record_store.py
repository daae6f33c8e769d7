"""The records in memory, for the demo: gone when the process ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from gateway.identity.principal import Owner
from gateway.ledger.memory_kept_records import MemoryChains
from gateway.ledger.record_batch import (
    RecordBatch,
    StoredRecord,
    check_count,
    is_message_id,
    keeps_message,
    merge_records,
)
from gateway.ledger.record_merging import (
    forget_first_words,
    remove_first_words,
    sum_usage,
    titling_message_ids,
    update_thread,
)
from gateway.ledger.record_store import MAX_UNFINISHED, KeptTexts, RecordChanges, WrittenRecord
from gateway.ledger.removal_marks import ANY_MESSAGE, RemovalMarks
from gateway.ledger.search_words import SearchQuery, parse_search, to_words
from gateway.ledger.sightings import RecordKey, RecordOwner, Sighting
from schema.contract.keys import MessageKey, RunKey
from schema.contract.thread_records import (
    KeysetPage,
    RecordFilter,
    RecordOrder,
    RecordPosition,
    RecordUpdate,
    RecordWindow,
    ThreadRecord,
    TokenUsage,
    WaitingRun,
    WaitingRunPosition,
    WaitingRunWindow,
)

ItemT = TypeVar("ItemT")


class MemoryRecordStore:
    """A record store without a database. As the demo's data in the emulator, it grows with what is created.

    `find_owner` finds the user whom a thread belongs to. What is kept of the runs of threads is removed with them.
    """

    def __init__(
        self,
        find_owner: Callable[[str], Owner | None],
        *,
        kept_texts: KeptTexts = KeptTexts.ALL,
        chains: MemoryChains,
    ) -> None:
        self._chains = chains
        self._find_owner = find_owner
        self._kept_texts = kept_texts
        self._records: dict[RecordKey, StoredRecord] = {}
        self._removed: dict[MessageKey, int] = {}

    async def record_sightings(self, sightings: Sequence[Sighting]) -> RecordChanges:
        check_count(sightings)
        keeps_messages = self._kept_texts is KeptTexts.ALL
        marks = RemovalMarks(self._removed)
        batch = RecordBatch(self._records, marks, self._is_theirs, keeps_messages=keeps_messages)
        batch.merge(sightings)
        for key in marks.lifted:
            del self._removed[key]
        return batch.changes

    async def find_written(self, messages: Mapping[RecordKey, Collection[str]]) -> dict[RecordKey, WrittenRecord]:
        written: dict[RecordKey, WrittenRecord] = {}
        for key, message_ids in messages.items():
            if (record := self._records.get(key)) is not None:
                thread, texts = record.thread, record.texts
                found = {each: texts[each].text_digest for each in message_ids if each in texts}
                digests = found if self._kept_texts is KeptTexts.ALL else None
                written[key] = WrittenRecord(
                    thread.created_at_ms, thread.last_activity_at_ms, thread.first_message_id, digests
                )
        return written

    async def update_record(self, key: RecordKey, update: RecordUpdate, updated_at_ms: int) -> ThreadRecord | None:
        record = self._records.get(key)
        if record is None:
            return None
        record.thread = update_thread(record.thread, update, updated_at_ms)
        return _to_thread_record(key, record)

    async def get_records(self, keys: Collection[RecordKey]) -> dict[RecordKey, ThreadRecord]:
        return {key: _to_thread_record(key, self._records[key]) for key in keys if key in self._records}

    async def list_records(
        self, owner: RecordOwner, conditions: RecordFilter, order: RecordOrder, window: RecordWindow
    ) -> KeysetPage[ThreadRecord]:
        query = parse_search(conditions.text) if conditions.text is not None else None
        if conditions.text is not None and query is None:
            return KeysetPage([])
        listed: list[tuple[RecordPosition, ThreadRecord]] = []
        for key, record in self._records.items():
            if key.owner == owner and _meets(record, conditions, query):
                thread = record.thread
                by_activity = order is RecordOrder.LAST_ACTIVITY
                time_ms = thread.last_activity_at_ms if by_activity else thread.created_at_ms
                position = RecordPosition(time_ms, key.thread_id)
                if window.position is None or (
                    position > window.position if window.backwards else position < window.position
                ):
                    listed.append((position, _to_thread_record(key, record)))
        listed.sort(key=lambda each: each[0], reverse=True)
        return _cut([record for _, record in listed], window.limit, backwards=window.backwards)

    async def list_waiting_runs(
        self, owner: RecordOwner, window: WaitingRunWindow, now_ms: int
    ) -> KeysetPage[WaitingRun]:
        waiting = [
            WaitingRunPosition(run.waiting_since_ms, key.thread_id, run_id)
            for key, record in self._records.items()
            if key.owner == owner
            for run_id, run in record.runs.items()
            if run.waiting_since_ms is not None and (run.expires_at_ms is None or run.expires_at_ms > now_ms)
        ]
        if window.position is not None:
            edge = window.position
            waiting = [run for run in waiting if (run < edge if window.backwards else run > edge)]
        page = _cut(sorted(waiting), window.limit, backwards=window.backwards)
        runs = [WaitingRun(RunKey(run.thread_id, run.run_id), run.time_ms) for run in page.items]
        return KeysetPage(runs, page.has_more)

    async def get_usage(self, owner: RecordOwner, since_ms: int | None, until_ms: int | None) -> TokenUsage:
        return sum_usage(
            run
            for key, record in self._records.items()
            if key.owner == owner
            for run in record.runs.values()
            if run.ended_at_ms is not None
            and (since_ms is None or run.ended_at_ms >= since_ms)
            and (until_ms is None or run.ended_at_ms < until_ms)
        )

    async def begin_removal(self, key: RecordKey, message_id: str, began_at_ms: int) -> bool:
        record = self._records.get(key)
        is_kept = record is not None and keeps_message(record, message_id)
        if is_kept:
            self._removed[MessageKey(key.thread_id, message_id)] = began_at_ms
        return is_kept

    async def withdraw_removal(self, key: MessageKey) -> None:
        if self._keeps(key):
            self._removed.pop(key, None)

    async def find_unfinished_removals(self, after_ms: int, before_ms: int) -> Sequence[MessageKey]:
        marked = [key for key, at_ms in self._removed.items() if after_ms < at_ms < before_ms]
        return [key for key in marked if self._keeps(key)][:MAX_UNFINISHED]

    async def remove_threads(self, thread_ids: Collection[str], removed_at_ms: int) -> frozenset[RecordKey]:
        removed = set(thread_ids)
        self._removed.update((MessageKey(thread_id, ""), removed_at_ms) for thread_id in removed)
        keys = frozenset(key for key in self._records if key.thread_id in removed)
        for key in keys:
            del self._records[key]
        self._chains.remove_threads(removed)
        return keys

    async def remove_records(self, keys: Collection[RecordKey]) -> frozenset[RecordKey]:
        return frozenset(key for key in keys if self._records.pop(key, None) is not None)

    async def remove_messages(self, keys: Collection[MessageKey], removed_at_ms: int) -> frozenset[RecordKey]:
        retitled: set[RecordKey] = set()
        for message in filter(lambda key: is_message_id(key.message_id), keys):
            self._removed[message] = self._removed[MessageKey(message.thread_id, ANY_MESSAGE)] = removed_at_ms
            for key, record in self._records.items():
                if key.thread_id == message.thread_id:
                    before = record.thread
                    record.thread = remove_first_words(before, message.message_id)
                    record.texts.pop(message.message_id, None)
                    if before.title != record.thread.title:
                        retitled.add(key)
        return frozenset(retitled)

    async def find_message_ids(self, key: RecordKey, seen_before_ms: int) -> frozenset[str]:
        record = self._records.get(key)
        if record is None:
            return frozenset()
        texts = {message_id for message_id, text in record.texts.items() if text.seen_at_ms < seen_before_ms}
        return frozenset(texts) | titling_message_ids(record.thread, seen_before_ms)

    async def forget_messages(self, key: RecordKey, message_ids: Collection[str]) -> bool:
        record = self._records.get(key)
        if record is None:
            return False
        before = record.thread
        record.thread = forget_first_words(before, message_ids)
        for message_id in message_ids:
            record.texts.pop(message_id, None)
        return before.title != record.thread.title

    async def move_records(self, owners: Mapping[str, RecordOwner]) -> int:
        moved = [
            (key, RecordKey(owner, key.thread_id))
            for key in self._records
            if (owner := owners.get(key.thread_id)) is not None
            and owner != key.owner
            and self._is_theirs(RecordKey(owner, key.thread_id))
        ]
        for source, target in moved:
            record = self._records.pop(source)
            present = self._records.setdefault(target, record)
            if present is not record:
                merge_records(present, record)
        return len(moved)

    async def welcome_threads(self, owners: Mapping[str, Owner]) -> None:
        """Give the records of threads, which exist, to the users who own them now."""
        for thread_id in owners:
            self._removed.pop(MessageKey(thread_id, ""), None)
        self._chains.welcome_threads(owners)
        await self.move_records(owners)

    async def remove_message_texts(self, limit: int) -> int:
        found = [(record, message_id) for record in self._records.values() for message_id in record.texts][:limit]
        for record, message_id in found:
            del record.texts[message_id]
        return len(found)

    async def remove_marks_before(self, removed_at_ms: int) -> bool:
        old = [key for key, at_ms in self._removed.items() if at_ms < removed_at_ms and not self._keeps(key)]
        for key in old:
            del self._removed[key]
        return bool(old)

    def _keeps(self, key: MessageKey) -> bool:
        """Return whether anything is kept of a message, or of a thread, in whosever record."""
        of_thread = [record for each, record in self._records.items() if each.thread_id == key.thread_id]
        return key.message_id != ANY_MESSAGE and any(keeps_message(record, key.message_id) for record in of_thread)

    def _is_theirs(self, key: RecordKey) -> bool:
        return not isinstance(key.owner, Owner) or self._find_owner(key.thread_id) == key.owner


def _meets(record: StoredRecord, conditions: RecordFilter, query: SearchQuery | None) -> bool:
    thread = record.thread
    return (
        conditions.is_archived in {None, thread.is_archived}
        and (conditions.active_since_ms is None or thread.last_activity_at_ms >= conditions.active_since_ms)
        and (
            conditions.assistant_id is None
            or any(run.assistant_id == conditions.assistant_id for run in record.runs.values())
        )
        and (query is None or _has_words(record, query))
    )


def _has_words(record: StoredRecord, query: SearchQuery) -> bool:
    in_title = query.matches(to_words(record.thread.title or ""))
    return in_title or any(query.matches(text.words) for text in record.texts.values())


def _to_thread_record(key: RecordKey, record: StoredRecord) -> ThreadRecord:
    thread = record.thread
    times = (thread.created_at_ms, thread.last_activity_at_ms)
    return ThreadRecord(key.thread_id, *times, thread.title, thread.is_archived, sum_usage(record.runs.values()))


def _cut(items: Sequence[ItemT], limit: int, *, backwards: bool) -> KeysetPage[ItemT]:
    cut = items[max(len(items) - limit, 0) :] if backwards else items[:limit]
    return KeysetPage(cut, len(items) > limit)

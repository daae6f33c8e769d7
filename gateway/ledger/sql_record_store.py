"""The records in a database, by SQLAlchemy: SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.identity.principal import Owner, UpstreamIdentity
from gateway.ledger.ledger_database import Database
from gateway.ledger.ledger_store import ObjectKind
from gateway.ledger.record_batch import (
    RecordBatch,
    check_count,
    has_storable_ids,
    is_message_id,
    merge_records,
)
from gateway.ledger.record_merging import (
    ThreadState,
    remove_first_words,
    update_thread,
)
from gateway.ledger.record_queries import (
    EARLIEST_MS,
    USAGE_SUMS,
    select_records,
    select_unfinished_removals,
    select_usage,
    select_waiting_runs,
)
from gateway.ledger.record_rows import RowKey, thread_from_row, usage_from_numbers
from gateway.ledger.record_store import KeptTexts, RecordChanges, WrittenRecord
from gateway.ledger.record_tables import REMOVALS, RUNS, TEXTS, THREADS
from gateway.ledger.removal_marks import ANY_MESSAGE, THREAD_CHAINS, RemovalMarks
from gateway.ledger.search_words import parse_search
from gateway.ledger.sightings import CredentialOwner, RecordKey, RecordOwner, SeenMessage, SeenRun, Sighting
from gateway.ledger.sql_record_writes import LoadedRecords
from gateway.ledger.sql_removals import SqlRemovals
from gateway.ledger.storable_text import is_storable
from gateway.ledger.tables import OBJECTS
from schema.contract.keys import MessageKey, RunKey
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

ItemT = TypeVar("ItemT")


class SqlRecordStore(SqlRemovals):
    """A record store over a database whose tables are there. The store that it is a part of closes the database."""

    def __init__(
        self, database: Database, upstream: UpstreamIdentity, *, kept_texts: KeptTexts = KeptTexts.ALL
    ) -> None:
        super().__init__(database, upstream)
        self._keeps_messages = kept_texts is KeptTexts.ALL

    async def record_sightings(self, sightings: Sequence[Sighting]) -> RecordChanges:
        check_count(sightings)
        storable = [seen for seen in sightings if has_storable_ids(seen)]
        rows = {key: self._to_row_key(key) for key in {seen.key for seen in storable}}
        thread_ids = {key.thread_id for key in rows}
        run_ids = {seen.run_id for seen in storable if isinstance(seen, SeenRun)}
        message_ids = {seen.message_id for seen in storable if isinstance(seen, SeenMessage) and seen.text is not None}

        async def work(connection: AsyncConnection) -> RecordChanges:
            await self._writes.lock_threads(connection, thread_ids)
            marks = RemovalMarks(await self._writes.load_marks(connection, thread_ids))
            owners = await self._find_user_digests(connection, [key for key in rows if isinstance(key.owner, Owner)])
            loaded = await self._writes.load_threads(connection, thread_ids)
            await self._writes.load_runs(connection, loaded, run_ids)
            if self._keeps_messages:
                await self._writes.load_texts(connection, loaded, message_ids)
            records = {key: loaded.records[row] for key, row in rows.items() if row in loaded.records}
            batch = RecordBatch(
                records,
                marks,
                lambda key: not isinstance(key.owner, Owner) or owners.get(key.thread_id) == rows[key].owner,
                keeps_messages=self._keeps_messages,
            )
            batch.merge(storable)
            await self._writes.remove_marks(connection, marks.lifted)
            loaded.records.update((rows[key], record) for key, record in records.items())
            await self._writes.store_threads(connection, loaded, [rows[key] for key in batch.threads])
            await self._writes.store_runs(connection, loaded, [(rows[run.key], run.run_id) for run in batch.runs])
            await self._writes.store_texts(connection, loaded, [(rows[key], text) for key, text in batch.texts])
            return batch.changes

        return await self._database.write(work) if storable else RecordChanges()

    async def find_written(self, messages: Mapping[RecordKey, Collection[str]]) -> dict[RecordKey, WrittenRecord]:
        rows = {self._to_row_key(key): key for key in messages if is_storable(key.thread_id)}

        async def work(connection: AsyncConnection) -> dict[RecordKey, WrittenRecord]:
            found = await self._writes.load_threads(connection, {row.thread_id for row in rows}, rows)
            if self._keeps_messages:
                wanted = {each for row in found.records for each in messages[rows[row]] if is_storable(each)}
                await self._writes.load_texts(connection, found, wanted)
            return {
                rows[row]: WrittenRecord(
                    record.thread.created_at_ms,
                    record.thread.last_activity_at_ms,
                    record.thread.first_message_id,
                    {each: text.text_digest for each, text in record.texts.items()} if self._keeps_messages else None,
                )
                for row, record in found.records.items()
            }

        return await self._database.read(work) if rows else {}

    async def update_record(self, key: RecordKey, update: RecordUpdate, updated_at_ms: int) -> ThreadRecord | None:
        row_key = self._to_row_key(key)

        async def work(connection: AsyncConnection) -> ThreadRecord | None:
            await self._writes.lock_threads(connection, [key.thread_id])
            loaded = await self._writes.load_threads(connection, [key.thread_id])
            record = loaded.records.get(row_key)
            if record is None:
                return None
            record.thread = update_thread(record.thread, update, updated_at_ms)
            await self._writes.store_threads(connection, loaded, [row_key])
            usage = await self._sum_usage(connection, [loaded.numbers[row_key]])
            return _to_thread_record(key.thread_id, record.thread, usage.get(loaded.numbers[row_key]))

        return await self._database.write(work)

    async def get_records(self, keys: Collection[RecordKey]) -> dict[RecordKey, ThreadRecord]:
        by_row = {self._to_row_key(key): key for key in keys}
        statement = select(THREADS).where(
            self._writes.is_among(THREADS.c.owner, {row.owner for row in by_row}),
            self._writes.is_among(THREADS.c.thread_id, {row.thread_id for row in by_row}),
        )

        async def work(connection: AsyncConnection) -> dict[RecordKey, ThreadRecord]:
            found = {
                key: row
                for row in await connection.execute(statement)
                if (key := by_row.get(RowKey(row.owner, row.thread_id))) is not None
            }
            return dict(zip(found, await self._to_thread_records(connection, list(found.values())), strict=True))

        return await self._database.read(work) if by_row else {}

    async def list_records(
        self, owner: RecordOwner, conditions: RecordFilter, order: RecordOrder, window: RecordWindow
    ) -> KeysetPage[ThreadRecord]:
        query = parse_search(conditions.text) if conditions.text is not None else None
        if conditions.text is not None and query is None:
            return KeysetPage([])
        is_postgresql = self._database.is_postgresql
        statement = select_records(self._to_digest(owner), conditions, query, order, window, postgresql=is_postgresql)

        async def work(connection: AsyncConnection) -> KeysetPage[ThreadRecord]:
            page = _cut((await connection.execute(statement)).all(), window.limit, backwards=window.backwards)
            return KeysetPage(await self._to_thread_records(connection, page.items), page.has_more)

        return await self._database.read(work)

    async def list_waiting_runs(
        self, owner: RecordOwner, window: WaitingRunWindow, now_ms: int
    ) -> KeysetPage[WaitingRun]:
        statement = select_waiting_runs(self._to_digest(owner), window, now_ms)

        async def work(connection: AsyncConnection) -> KeysetPage[WaitingRun]:
            rows = (await connection.execute(statement)).all()
            runs = [WaitingRun(RunKey(thread_id, run_id), since_ms) for since_ms, thread_id, run_id in rows]
            return _cut(runs, window.limit, backwards=window.backwards)

        return await self._database.read(work)

    async def get_usage(self, owner: RecordOwner, since_ms: int | None, until_ms: int | None) -> TokenUsage:
        statement = select_usage(self._to_digest(owner), since_ms, until_ms)

        async def work(connection: AsyncConnection) -> TokenUsage:
            return usage_from_numbers((await connection.execute(statement)).mappings().one())

        return await self._database.read(work)

    async def remove_threads(self, thread_ids: Collection[str], removed_at_ms: int) -> frozenset[RecordKey]:
        storable = [thread_id for thread_id in thread_ids if is_storable(thread_id)]

        async def work(connection: AsyncConnection) -> frozenset[RecordKey]:
            await self.lock_threads(connection, storable)
            rows = await self._writes.load_threads(connection, storable)
            keys = await self._to_record_keys(connection, list(rows.records))
            await self.remove_threads_within(connection, storable, removed_at_ms)
            return keys

        return await self._database.write(work)

    async def remove_records(self, keys: Collection[RecordKey]) -> frozenset[RecordKey]:
        rows = {self._to_row_key(key): key for key in keys if is_storable(key.thread_id)}
        thread_ids = {row.thread_id for row in rows}

        async def work(connection: AsyncConnection) -> frozenset[RecordKey]:
            await self._writes.lock_threads(connection, thread_ids)
            loaded = await self._writes.load_threads(connection, thread_ids)
            removed = [row for row in rows if row in loaded.records]
            for row in removed:
                await self._writes.delete_record(connection, loaded.numbers[row])
            return frozenset(rows[row] for row in removed)

        return await self._database.write(work) if rows else frozenset()

    async def remove_messages(self, keys: Collection[MessageKey], removed_at_ms: int) -> frozenset[RecordKey]:
        messages = [key for key in keys if is_message_id(key.message_id) and is_storable(*key)]
        thread_ids = {key.thread_id for key in messages}

        async def work(connection: AsyncConnection) -> frozenset[RecordKey]:
            await self._writes.lock_threads(connection, thread_ids)
            of_threads = [MessageKey(thread_id, ANY_MESSAGE) for thread_id in thread_ids]
            await self._writes.add_marks(connection, [*messages, *of_threads], removed_at_ms)
            loaded = await self._writes.load_threads(connection, thread_ids)
            await self._writes.remove_texts(connection, loaded, messages)
            before = {key: record.thread for key, record in loaded.records.items()}
            for message in messages:
                for key, record in loaded.records.items():
                    if key.thread_id == message.thread_id:
                        record.thread = remove_first_words(record.thread, message.message_id)
            changed = [key for key, record in loaded.records.items() if record.thread != before[key]]
            await self._writes.store_threads(connection, loaded, changed)
            retitled = [key for key in changed if loaded.records[key].thread.title != before[key].title]
            return await self._to_record_keys(connection, retitled)

        return await self._database.write(work) if messages else frozenset()

    async def move_records(self, owners: Mapping[str, RecordOwner]) -> int:
        async def work(connection: AsyncConnection) -> int:
            await self.lock_threads(connection, owners)
            return await self.move_records_within(connection, owners)

        return await self._database.write(work)

    async def remove_message_texts(self, limit: int) -> int:
        of_messages = (THREADS.c.upstream == self._upstream_digest, TEXTS.c.message_id != "")
        found = select(TEXTS.c.text_id).join(THREADS, THREADS.c.record_id == TEXTS.c.record_id)

        async def work(connection: AsyncConnection) -> int:
            chosen = found.where(*of_messages).limit(limit).scalar_subquery()
            return (await connection.execute(delete(TEXTS).where(TEXTS.c.text_id.in_(chosen)))).rowcount

        return await self._database.write(work)

    async def remove_marks_before(self, removed_at_ms: int) -> bool:
        unfinished = select_unfinished_removals(self._upstream_digest, EARLIEST_MS, removed_at_ms)
        old = (
            REMOVALS.c.upstream == self._upstream_digest,
            REMOVALS.c.removed_at_ms < removed_at_ms,
            tuple_(REMOVALS.c.thread_id, REMOVALS.c.message_id).not_in(unfinished),
        )

        async def work(connection: AsyncConnection) -> bool:
            return (await connection.execute(delete(REMOVALS).where(*old))).rowcount > 0

        return await self._database.write(work)

    async def lock_threads(self, connection: AsyncConnection, thread_ids: Collection[str]) -> None:
        """Wait for the others who write records of these threads. Comes before any lock of a row."""
        await self._writes.lock_threads(connection, thread_ids)

    async def remove_threads_within(
        self, connection: AsyncConnection, thread_ids: Collection[str], removed_at_ms: int
    ) -> None:
        """Remove the records of threads in a transaction that has locked them."""
        storable = [thread_id for thread_id in thread_ids if is_storable(thread_id)]
        await self._writes.remove_threads(connection, storable, removed_at_ms)

    async def move_records_within(self, connection: AsyncConnection, owners: Mapping[str, RecordOwner]) -> int:
        """Give records to these owners in a transaction that has locked their threads."""
        theirs = {thread_id: self._to_digest(owner) for thread_id, owner in owners.items()}
        users = [RecordKey(owner, thread_id) for thread_id, owner in owners.items() if isinstance(owner, Owner)]
        by_ledger = await self._find_user_digests(connection, users)
        barred = {key.thread_id for key in users if by_ledger.get(key.thread_id) != theirs[key.thread_id]}
        loaded = await self._writes.load_threads(connection, owners)
        moved = [key for key in loaded.records if key.thread_id not in barred and key.owner != theirs[key.thread_id]]
        for thread_id, sources in groupby(sorted(moved, key=lambda key: key.thread_id), lambda key: key.thread_id):
            await self._move_to(connection, loaded, RowKey(theirs[thread_id], thread_id), list(sources))
        return len(moved)

    async def welcome_threads_within(self, connection: AsyncConnection, owners: Mapping[str, Owner]) -> None:
        """Give the records of threads, which exist, to the users who own them now."""
        marks = [MessageKey(thread_id, mark) for thread_id in owners for mark in ("", THREAD_CHAINS)]
        await self._writes.remove_marks(connection, marks)
        await self.move_records_within(connection, owners)

    async def _move_to(
        self, connection: AsyncConnection, loaded: LoadedRecords, target: RowKey, sources: list[RowKey]
    ) -> None:
        if target not in loaded.records and len(sources) == 1:
            await self._writes.change_owner(connection, loaded.numbers[sources[0]], sources[0].owner, target.owner)
            return
        merged = loaded.select(target, *sources)
        await self._writes.load_runs(connection, merged)
        await self._writes.load_texts(connection, merged)
        for source in sources:
            await self._writes.delete_record(connection, merged.numbers.pop(source))
            record = merged.records.pop(source)
            present = merged.records.setdefault(target, record)
            if present is not record:
                merge_records(present, record)
        record = merged.records[target]
        await self._writes.store_threads(connection, merged, [target])
        await self._writes.store_runs(connection, merged, [(target, run_id) for run_id in record.runs])
        await self._writes.store_texts(connection, merged, [(target, message_id) for message_id in record.texts])

    async def _find_user_digests(self, connection: AsyncConnection, keys: Sequence[RecordKey]) -> dict[str, str]:
        """Find the digests of the users whom threads belong to."""
        if not keys:
            return {}
        statement = select(OBJECTS.c.object_id, OBJECTS.c.owner).where(
            *self._are_threads([key.thread_id for key in keys])
        )
        return {row.object_id: row.owner for row in await connection.execute(statement)}

    async def _to_record_keys(self, connection: AsyncConnection, rows: Sequence[RowKey]) -> frozenset[RecordKey]:
        columns = (OBJECTS.c.object_id, OBJECTS.c.owner, OBJECTS.c.issuer, OBJECTS.c.subject, OBJECTS.c.tenant)
        statement = select(*columns).where(*self._are_threads([row.thread_id for row in rows]))
        users = {
            RowKey(digest, thread_id): Owner(issuer, subject, tenant)
            for thread_id, digest, issuer, subject, tenant in await connection.execute(statement)
        }
        return frozenset(RecordKey(users.get(row) or CredentialOwner(row.owner), row.thread_id) for row in rows)

    def _are_threads(self, thread_ids: Collection[str]) -> tuple[Any, ...]:
        return (
            OBJECTS.c.upstream == self._upstream_digest,
            OBJECTS.c.kind == ObjectKind.THREAD.value,
            self._writes.is_among(OBJECTS.c.object_id, thread_ids),
        )

    async def _to_thread_records(self, connection: AsyncConnection, rows: Sequence[Any]) -> list[ThreadRecord]:
        usage = await self._sum_usage(connection, [row.record_id for row in rows])
        return [_to_thread_record(row.thread_id, thread_from_row(row), usage.get(row.record_id)) for row in rows]

    async def _sum_usage(self, connection: AsyncConnection, record_ids: Sequence[int]) -> dict[int, TokenUsage]:
        if not record_ids:
            return {}
        statement = select(RUNS.c.record_id, *USAGE_SUMS).where(
            self._writes.is_among(RUNS.c.record_id, record_ids), RUNS.c.ended_at_ms.is_not(None)
        )
        sums = (await connection.execute(statement.group_by(RUNS.c.record_id))).mappings()
        return {each["record_id"]: usage_from_numbers(each) for each in sums}


def _to_thread_record(thread_id: str, thread: ThreadState, usage: TokenUsage | None) -> ThreadRecord:
    times = (thread.created_at_ms, thread.last_activity_at_ms)
    return ThreadRecord(thread_id, *times, thread.title, thread.is_archived, usage or TokenUsage())


def _cut(items: Sequence[ItemT], limit: int, *, backwards: bool) -> KeysetPage[ItemT]:
    page = items[:limit]
    return KeysetPage(page[::-1] if backwards else page, len(items) > limit)

"""The deletions in a database of records: their marks, and what a record keeps of messages that are gone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.identity.principal import Owner, UpstreamIdentity
from gateway.ledger.ledger_database import Database
from gateway.ledger.record_batch import keeps_message
from gateway.ledger.record_merging import forget_first_words, titling_message_ids
from gateway.ledger.record_queries import select_unfinished_removals
from gateway.ledger.record_rows import RowKey
from gateway.ledger.record_store import MAX_UNFINISHED
from gateway.ledger.record_tables import TEXTS
from gateway.ledger.sightings import RecordKey, RecordOwner
from gateway.ledger.sql_record_writes import RecordWrites
from gateway.ledger.storable_text import is_storable
from schema.contract.keys import MessageKey


class SqlRemovals:
    """The part of a record store that begins deletions, and forgets what was deleted elsewhere."""

    def __init__(self, database: Database, upstream: UpstreamIdentity) -> None:
        self._database = database
        self._upstream = upstream
        self._upstream_digest = upstream.digest
        self._writes = RecordWrites(upstream.digest, is_postgresql=database.is_postgresql)

    async def begin_removal(self, key: RecordKey, message_id: str, began_at_ms: int) -> bool:
        marked = MessageKey(key.thread_id, message_id)

        async def work(connection: AsyncConnection) -> bool:
            await self._writes.lock_threads(connection, [key.thread_id])
            is_kept = self._to_row_key(key) in await self._find_kept(connection, marked)
            if is_kept:
                await self._writes.add_marks(connection, [marked], began_at_ms)
            return is_kept

        return await self._database.write(work) if is_storable(*marked) else False

    async def withdraw_removal(self, key: MessageKey) -> None:
        async def work(connection: AsyncConnection) -> None:
            await self._writes.lock_threads(connection, [key.thread_id])
            if await self._find_kept(connection, key):
                await self._writes.remove_marks(connection, [key])

        if is_storable(*key):
            await self._database.write(work)

    async def find_unfinished_removals(self, after_ms: int, before_ms: int) -> Sequence[MessageKey]:
        statement = select_unfinished_removals(self._upstream_digest, after_ms, before_ms).limit(MAX_UNFINISHED)

        async def work(connection: AsyncConnection) -> Sequence[MessageKey]:
            return [MessageKey(thread_id, message_id) for thread_id, message_id in await connection.execute(statement)]

        return await self._database.read(work)

    async def find_message_ids(self, key: RecordKey, seen_before_ms: int) -> frozenset[str]:
        row = self._to_row_key(key)

        async def work(connection: AsyncConnection) -> frozenset[str]:
            loaded = await self._writes.load_threads(connection, [key.thread_id])
            if row not in loaded.records:
                return frozenset()
            of_record = (TEXTS.c.record_id == loaded.numbers[row], TEXTS.c.message_id != "")
            old = await connection.execute(
                select(TEXTS.c.message_id).where(*of_record, TEXTS.c.seen_at_ms < seen_before_ms)
            )
            return frozenset(old.scalars()) | titling_message_ids(loaded.records[row].thread, seen_before_ms)

        return await self._database.read(work)

    async def forget_messages(self, key: RecordKey, message_ids: Collection[str]) -> bool:
        row = self._to_row_key(key)

        async def work(connection: AsyncConnection) -> bool:
            await self._writes.lock_threads(connection, [key.thread_id])
            loaded = (await self._writes.load_threads(connection, [key.thread_id])).select(row)
            if row not in loaded.records:
                return False
            await self._writes.remove_texts(
                connection, loaded, [MessageKey(key.thread_id, message_id) for message_id in message_ids if message_id]
            )
            record = loaded.records[row]
            before = record.thread
            record.thread = forget_first_words(before, message_ids)
            await self._writes.store_threads(connection, loaded, [row] if record.thread != before else [])
            return before.title != record.thread.title

        return await self._database.write(work)

    async def _find_kept(self, connection: AsyncConnection, key: MessageKey) -> set[RowKey]:
        """Find the records that keep anything of a message; with an empty id, of its thread."""
        loaded = await self._writes.load_threads(connection, [key.thread_id])
        if key.message_id:
            await self._writes.load_texts(connection, loaded, [key.message_id])
        return {row for row, record in loaded.records.items() if keeps_message(record, key.message_id)}

    def _to_row_key(self, key: RecordKey) -> RowKey:
        return RowKey(self._to_digest(key.owner), key.thread_id)

    def _to_digest(self, owner: RecordOwner) -> str:
        return owner.digest(self._upstream) if isinstance(owner, Owner) else owner.digest

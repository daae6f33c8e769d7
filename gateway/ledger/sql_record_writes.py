"""The statements that load and write records, on a connection whose transaction holds the lock of their threads."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from zlib import crc32

import msgspec
from sqlalchemy import ARRAY, Integer, Text, bindparam, delete, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.kept_tables import CHAINS, ITEMS, LOCKS
from gateway.ledger.record_batch import StoredRecord
from gateway.ledger.record_merging import TextState
from gateway.ledger.record_rows import RowKey, run_from_row, thread_from_row, to_run_row, to_thread_row
from gateway.ledger.record_tables import REMOVALS, RUNS, TEXTS, THREADS
from gateway.ledger.removal_marks import THREAD_CHAINS
from gateway.ledger.search_words import OWNER_MARK_LENGTH, mark_words, to_owner_mark, to_words
from gateway.ledger.sql_conditions import is_among
from gateway.ledger.storable_text import escape_text
from schema.contract.keys import MessageKey

RECORD_LOCK = 739_104_621
"""The class of PostgreSQL's advisory locks of threads."""

LOCK_COUNT = 64
"""Number of locks that all threads share, so that a transaction takes no more than so many."""

_TITLE = ""

_POSTGRESQL_REMARK = """
    UPDATE ledger_texts SET words = array_to_tsvector(ARRAY(
        SELECT CAST(:new AS text) || substr(word, length(:old) + 1) FROM unnest(tsvector_to_array(words)) AS word
    )) WHERE record_id = :record_id
"""

_SQLITE_REMARK = """
    UPDATE ledger_texts SET words = replace(words, ' ' || :old, ' ' || :new) WHERE record_id = :record_id
"""


_POSTGRESQL_UPSERT = """
    INSERT INTO ledger_texts (record_id, message_id, seen_at_ms, text_digest, words)
    SELECT (each ->> 0)::bigint, each ->> 1, (each ->> 2)::bigint, (each ->> 3)::bigint,
        array_to_tsvector(string_to_array(each ->> 4, ' '))
    FROM json_array_elements($1::json) AS each
    ON CONFLICT (record_id, message_id) DO UPDATE
    SET seen_at_ms = excluded.seen_at_ms, text_digest = excluded.text_digest, words = excluded.words
"""

_SQLITE_UPSERT = """
    INSERT INTO ledger_texts (record_id, message_id, seen_at_ms, text_digest, words) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (record_id, message_id) DO UPDATE
    SET seen_at_ms = excluded.seen_at_ms, text_digest = excluded.text_digest, words = excluded.words
"""

_TextRow: TypeAlias = tuple[int, str, int, int | None, str]
"""The values of a text: record, message, time, digest, and the words, joined."""


@dataclass
class LoadedRecords:
    """Records as they are in the database, and the numbers of their rows. `titles` are those that were loaded."""

    records: dict[RowKey, StoredRecord] = field(default_factory=dict)
    numbers: dict[RowKey, int] = field(default_factory=dict)
    titles: dict[RowKey, str | None] = field(default_factory=dict)

    def select(self, *keys: RowKey) -> LoadedRecords:
        """Return those of these keys."""
        selected = LoadedRecords()
        for name in ("records", "numbers", "titles"):
            whole, part = getattr(self, name), getattr(selected, name)
            part.update((key, whole[key]) for key in keys if key in whole)
        return selected


class RecordWrites:
    """Loads and writes records of an upstream, given by its digest."""

    def __init__(self, upstream: str, *, is_postgresql: bool) -> None:
        self._upstream = upstream
        self._is_postgresql = is_postgresql
        self._insert: Any = postgresql.insert if is_postgresql else sqlite.insert

    async def lock_threads(self, connection: AsyncConnection, thread_ids: Collection[str]) -> None:
        """Wait for the others who write records of these threads, or their owners. SQLite has one writer anyway.

        Who locks rows of the same threads too, takes this lock before.
        """
        if self._is_postgresql and thread_ids:
            names = (f"{self._upstream}/{thread_id}".encode("utf-8", "surrogatepass") for thread_id in thread_ids)
            # In this order, two that lock the same threads do not wait for each other in a circle.
            locks = sorted({crc32(name) % LOCK_COUNT for name in names})
            statement = text("SELECT pg_advisory_xact_lock(:class, number) FROM unnest(:locks) AS number")
            typed = statement.bindparams(bindparam("class", type_=Integer), bindparam("locks", type_=ARRAY(Integer)))
            await connection.execute(typed, {"class": RECORD_LOCK, "locks": locks})

    async def load_marks(self, connection: AsyncConnection, thread_ids: Collection[str]) -> dict[MessageKey, int]:
        """Load the marks of threads and their messages that were removed, with the times."""
        statement = select(REMOVALS.c.thread_id, REMOVALS.c.message_id, REMOVALS.c.removed_at_ms)
        marks = await connection.execute(
            statement.where(REMOVALS.c.upstream == self._upstream, self.is_among(REMOVALS.c.thread_id, thread_ids))
        )
        return {MessageKey(thread_id, message_id): removed_at_ms for thread_id, message_id, removed_at_ms in marks}

    async def load_threads(
        self, connection: AsyncConnection, thread_ids: Collection[str], wanted: Container[RowKey] | None = None
    ) -> LoadedRecords:
        """Load the records of threads, whosever they are or those that are wanted, without runs and words."""
        loaded = LoadedRecords()
        of_threads = (THREADS.c.upstream == self._upstream, self.is_among(THREADS.c.thread_id, thread_ids))
        for row in await connection.execute(select(THREADS).where(*of_threads)):
            key = RowKey(row.owner, row.thread_id)
            if wanted is not None and key not in wanted:
                continue
            loaded.numbers[key] = row.record_id
            loaded.records[key] = StoredRecord(thread_from_row(row))
            loaded.titles[key] = loaded.records[key].thread.title
        return loaded

    async def load_runs(
        self, connection: AsyncConnection, loaded: LoadedRecords, run_ids: Collection[str] | None = None
    ) -> None:
        """Load the runs of loaded records: all, or those of these ids."""
        keys = {number: key for key, number in loaded.numbers.items()}
        if not keys or (run_ids is not None and not run_ids):
            return
        statement = select(RUNS).where(self.is_among(RUNS.c.record_id, keys))
        if run_ids is not None:
            statement = statement.where(self.is_among(RUNS.c.run_id, run_ids))
        for row in await connection.execute(statement):
            loaded.records[keys[row.record_id]].runs[row.run_id] = run_from_row(row)

    async def load_texts(
        self, connection: AsyncConnection, loaded: LoadedRecords, message_ids: Collection[str] | None = None
    ) -> None:
        """Load the texts of messages of loaded records: all with their words, or those of these ids, without words."""
        keys = {number: key for key, number in loaded.numbers.items()}
        if not keys or (message_ids is not None and not message_ids):
            return
        columns = [TEXTS.c.record_id, TEXTS.c.message_id, TEXTS.c.seen_at_ms, TEXTS.c.text_digest]
        are_theirs = [self.is_among(TEXTS.c.record_id, keys), TEXTS.c.message_id != _TITLE]
        if message_ids is not None:
            statement = select(*columns).where(*are_theirs, self.is_among(TEXTS.c.message_id, message_ids))
            for record_id, message_id, seen_at_ms, text_digest in await connection.execute(statement):
                loaded.records[keys[record_id]].texts[message_id] = TextState(frozenset(), seen_at_ms, text_digest)
            return
        words: Any = func.tsvector_to_array(TEXTS.c.words, type_=ARRAY(Text)) if self._is_postgresql else TEXTS.c.words
        for row in await connection.execute(select(*columns, words.label("marked")).where(*are_theirs)):
            marked = row.marked if self._is_postgresql else row.marked.split()
            found = frozenset(word[OWNER_MARK_LENGTH:] for word in marked)
            loaded.records[keys[row.record_id]].texts[row.message_id] = TextState(
                found, row.seen_at_ms, row.text_digest
            )

    async def store_threads(self, connection: AsyncConnection, loaded: LoadedRecords, keys: Iterable[RowKey]) -> None:
        """Store these of the records, with the words of their titles."""
        rows = {key: to_thread_row(key, loaded.records[key].thread) for key in keys}
        new = [row | {"upstream": self._upstream} for key, row in rows.items() if key not in loaded.numbers]
        changed = [
            {"its_id": loaded.numbers[key], **{f"new_{name}": value for name, value in row.items()}}
            for key, row in rows.items()
            if key in loaded.numbers
        ]
        if changed:
            values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in next(iter(rows.values()))}
            await connection.execute(
                update(THREADS).where(THREADS.c.record_id == bindparam("its_id")).values(values), changed
            )
        if new:
            columns = (THREADS.c.record_id, THREADS.c.owner, THREADS.c.thread_id)
            for record_id, owner, thread_id in await connection.execute(self._insert(THREADS).returning(*columns), new):
                loaded.numbers[RowKey(owner, thread_id)] = record_id
        await self._store_titles(connection, loaded, rows)

    async def store_runs(
        self, connection: AsyncConnection, loaded: LoadedRecords, runs: Iterable[tuple[RowKey, str]]
    ) -> None:
        """Store these runs of the records, whose threads are stored."""
        rows = [to_run_row(loaded.numbers[key], key, run_id, loaded.records[key].runs[run_id]) for key, run_id in runs]
        if rows:
            statement = self._insert(RUNS)
            values = {name: statement.excluded[name] for name in rows[0] if name not in {"record_id", "run_id"}}
            upsert = statement.on_conflict_do_update(index_elements=["record_id", "run_id"], set_=values)
            await connection.execute(upsert, rows)

    async def store_texts(
        self, connection: AsyncConnection, loaded: LoadedRecords, texts: Iterable[tuple[RowKey, str]]
    ) -> None:
        """Store the words of these messages of the records, whose threads are stored."""
        rows = [
            self._to_text_row(loaded, key, message_id, loaded.records[key].texts[message_id])
            for key, message_id in texts
        ]
        await self._upsert_texts(connection, rows)

    async def add_marks(self, connection: AsyncConnection, keys: Collection[MessageKey], removed_at_ms: int) -> None:
        """Mark messages as removed; with an empty message id a thread, with `ANY_MESSAGE` one that lost a message."""
        marked = sorted(set(keys))
        rows = [{"upstream": self._upstream, **key._asdict(), "removed_at_ms": removed_at_ms} for key in marked]
        if rows:
            statement = self._insert(REMOVALS)
            columns, values = list(REMOVALS.primary_key), {"removed_at_ms": statement.excluded.removed_at_ms}
            await connection.execute(statement.on_conflict_do_update(index_elements=columns, set_=values), rows)

    async def remove_threads(
        self, connection: AsyncConnection, thread_ids: Collection[str], removed_at_ms: int
    ) -> None:
        """Remove the records of threads and what is kept of their runs, and mark them as removed."""
        await self.add_marks(connection, [MessageKey(thread_id, "") for thread_id in thread_ids], removed_at_ms)
        of_threads = (THREADS.c.upstream == self._upstream, self.is_among(THREADS.c.thread_id, thread_ids))
        # Their runs and words follow.
        await connection.execute(delete(THREADS).where(*of_threads))
        await self.remove_chains(connection, thread_ids, removed_at_ms)

    async def remove_chains(self, connection: AsyncConnection, thread_ids: Collection[str], removed_at_ms: int) -> None:
        """Remove what is kept of the runs of threads, and mark the threads, so that nothing of it comes back."""
        await self.add_marks(connection, [MessageKey(each, THREAD_CHAINS) for each in thread_ids], removed_at_ms)
        for table in (CHAINS, ITEMS, LOCKS):
            of_threads = (table.c.upstream == self._upstream, self.is_among(table.c.thread_id, thread_ids))
            await connection.execute(delete(table).where(*of_threads))

    async def remove_marks(self, connection: AsyncConnection, keys: Iterable[MessageKey]) -> None:
        """Remove the marks of messages or threads that turn out to exist."""
        rows = [{f"its_{name}": value for name, value in key._asdict().items()} for key in sorted(keys)]
        if rows:
            its = [REMOVALS.c[name] == bindparam(f"its_{name}") for name in MessageKey._fields]
            await connection.execute(delete(REMOVALS).where(REMOVALS.c.upstream == self._upstream, *its), rows)

    async def remove_texts(
        self, connection: AsyncConnection, loaded: LoadedRecords, messages: Collection[MessageKey]
    ) -> None:
        """Remove the words of these messages from the loaded records."""
        threads = {number: key.thread_id for key, number in loaded.numbers.items()}
        found = await connection.execute(
            select(TEXTS.c.text_id, TEXTS.c.record_id, TEXTS.c.message_id).where(
                self.is_among(TEXTS.c.record_id, threads),
                self.is_among(TEXTS.c.message_id, {key.message_id for key in messages}),
            )
        )
        wanted = set(messages)
        text_ids = [
            text_id for text_id, record_id, message_id in found if MessageKey(threads[record_id], message_id) in wanted
        ]
        await connection.execute(delete(TEXTS).where(self.is_among(TEXTS.c.text_id, text_ids)))

    async def change_owner(self, connection: AsyncConnection, record_id: int, source: str, target: str) -> None:
        """Give a record to another owner, who has none of its thread. Its words get the other's mark."""
        for table in (THREADS, RUNS):
            await connection.execute(update(table).where(table.c.record_id == record_id).values(owner=target))
        marks = {"old": to_owner_mark(source), "new": to_owner_mark(target)}
        statement = text(_POSTGRESQL_REMARK if self._is_postgresql else _SQLITE_REMARK)
        await connection.execute(statement, {"record_id": record_id, **marks})

    async def delete_record(self, connection: AsyncConnection, record_id: int) -> None:
        """Delete a record with its runs and words."""
        await connection.execute(delete(THREADS).where(THREADS.c.record_id == record_id))

    def is_among(self, column: Any, values: Iterable[Any]) -> Any:
        """Compare with any number of texts or numbers."""
        return is_among(column, values, postgresql=self._is_postgresql)

    async def _store_titles(self, connection: AsyncConnection, loaded: LoadedRecords, keys: Iterable[RowKey]) -> None:
        retitled = {key: title for key in keys if (title := loaded.records[key].thread.title) != loaded.titles.get(key)}
        untitled = [loaded.numbers[key] for key, title in retitled.items() if title is None]
        if untitled:
            are_titles = (self.is_among(TEXTS.c.record_id, untitled), TEXTS.c.message_id == _TITLE)
            await connection.execute(delete(TEXTS).where(*are_titles))
        rows = [
            self._to_text_row(loaded, key, _TITLE, TextState(to_words(title), 0))
            for key, title in retitled.items()
            if title is not None
        ]
        await self._upsert_texts(connection, rows)
        loaded.titles.update(retitled)

    async def _upsert_texts(self, connection: AsyncConnection, rows: Sequence[_TextRow]) -> None:
        """Store texts by one statement, past SQLAlchemy: there are many of them, and each costs little more than it."""
        if not rows:
            return
        if self._is_postgresql:
            await connection.exec_driver_sql(_POSTGRESQL_UPSERT, (msgspec.json.encode(rows).decode(),))
        else:
            await connection.exec_driver_sql(_SQLITE_UPSERT, rows)

    def _to_text_row(self, loaded: LoadedRecords, key: RowKey, message_id: str, state: TextState) -> _TextRow:
        words = mark_words(state.words, to_owner_mark(key.owner))
        # The blank before each word is where SQLite's mark is found again.
        marked = " ".join(words) if self._is_postgresql else "".join([f" {word}" for word in words])
        return (loaded.numbers[key], escape_text(message_id), state.seen_at_ms, state.text_digest, marked)

"""The chains, items and assistants of an upstream with responses in a database: SQLite or PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, ScalarSelect, Select, Table, delete, func, literal, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.chain_changes import add_response, change_status
from gateway.ledger.kept_tables import ASSISTANTS, CHAINS, ITEMS
from gateway.ledger.ledger_database import Database
from gateway.ledger.removal_marks import THREAD_CHAINS
from gateway.ledger.sql_conditions import is_among
from gateway.ledger.sql_record_writes import RecordWrites
from gateway.ledger.storable_text import is_storable
from gateway.upstream.responses.kept_records import ChainRecord, ItemRecord
from schema.contract.keys import MessageKey
from schema.contract.paging import Window
from schema.contract.tolerant_decoder import TolerantDecoder
from schema.contract.wire import AssistantObject, Page

_ASSISTANT = TolerantDecoder(AssistantObject, "stored assistant")


class SqlChains:
    """A `ChainStore` over a database whose tables are there. Raises `LedgerUnavailableError`.

    `upstream` is the digest of the upstream.
    """

    def __init__(self, database: Database, upstream: str, unix_seconds: Callable[[], float] = time.time) -> None:
        self._database = database
        self._upstream = upstream
        self._unix_seconds = unix_seconds
        self._writes = RecordWrites(upstream, is_postgresql=database.is_postgresql)
        self._insert: Any = postgresql.insert if database.is_postgresql else sqlite.insert
        self._of_upstream = CHAINS.c.upstream == upstream

    async def add_chain(self, chain: ChainRecord) -> None:
        row = {"upstream": self._upstream, **_chain_row(chain)}
        of_thread = (self._of_upstream, CHAINS.c.thread_id == chain.thread_id)
        statement = self._insert(CHAINS).values(row | {"place": _next_place(CHAINS, of_thread, chain.created_at)})
        upsert = statement.on_conflict_do_update(index_elements=list(CHAINS.primary_key), set_=row)

        async def work(connection: AsyncConnection) -> None:
            if await self._begin_writing(connection, chain.thread_id):
                await connection.execute(upsert)

        if is_storable(chain.run_id, chain.thread_id):
            await self._database.write(work)

    async def find_chains(self, run_ids: Sequence[str]) -> Mapping[str, ChainRecord]:
        statement = select(CHAINS).where(self._of_upstream, self._is_among(CHAINS.c.run_id, run_ids))

        async def work(connection: AsyncConnection) -> Mapping[str, ChainRecord]:
            return {row.run_id: _chain_from_row(row) for row in await connection.execute(statement)}

        return await self._database.read(work) if run_ids else {}

    async def list_chains(self, thread_id: str, window: Window) -> Page[ChainRecord] | None:
        of_thread = (self._of_upstream, CHAINS.c.thread_id == thread_id)

        async def work(connection: AsyncConnection) -> Page[ChainRecord] | None:
            rows = await _read_page(connection, CHAINS, CHAINS.c.run_id, of_thread, window)
            return None if rows is None else _to_page([_chain_from_row(row) for row in rows], window)

        return await self._database.read(work)

    async def list_waiting(self, before: float, limit: int) -> Sequence[ChainRecord]:
        waiting = (self._of_upstream, CHAINS.c.waiting_since.is_not(None), CHAINS.c.waiting_since < before)
        statement = select(CHAINS).where(*waiting).order_by(CHAINS.c.waiting_since).limit(limit)

        async def work(connection: AsyncConnection) -> Sequence[ChainRecord]:
            return [_chain_from_row(row) for row in await connection.execute(statement)]

        return await self._database.read(work)

    async def extend_chain(self, run_id: str, response_id: str, answers: Mapping[str, str]) -> None:
        await self._change(run_id, lambda chain: add_response(chain, response_id, answers))

    async def record_status(
        self, run_id: str, status: str, waiting_since: float | None = None, ended_run: bytes | None = None
    ) -> bool:
        return await self._change(run_id, lambda chain: change_status(chain, status, waiting_since, ended_run))

    async def add_items(self, thread_id: str, items: Mapping[str, ItemRecord]) -> None:
        rows = [
            {"upstream": self._upstream, "thread_id": thread_id, "item_id": item_id, **_item_row(item)}
            for item_id, item in items.items()
            if is_storable(item_id)
        ]
        statement = self._insert(ITEMS)
        upsert = statement.on_conflict_do_update(
            index_elements=list(ITEMS.primary_key),
            set_={"run_id": statement.excluded.run_id},
            where=ITEMS.c.run_id.is_(None) & statement.excluded.run_id.is_not(None),
        )

        async def work(connection: AsyncConnection) -> None:
            if await self._begin_writing(connection, thread_id):
                await connection.execute(upsert, rows)

        if rows and is_storable(thread_id):
            await self._database.write(work)

    async def find_items(self, thread_id: str, item_ids: Sequence[str]) -> Mapping[str, ItemRecord]:
        of_thread = (ITEMS.c.upstream == self._upstream, ITEMS.c.thread_id == thread_id)
        columns = (ITEMS.c.item_id, ITEMS.c.created_at, ITEMS.c.run_id)
        statement = select(*columns).where(*of_thread, self._is_among(ITEMS.c.item_id, item_ids))

        async def work(connection: AsyncConnection) -> Mapping[str, ItemRecord]:
            rows = await connection.execute(statement)
            return {item_id: ItemRecord(created_at, run_id) for item_id, created_at, run_id in rows}

        return await self._database.read(work) if item_ids else {}

    async def remove_thread(self, thread_id: str) -> None:
        removed_at_ms = int(self._unix_seconds() * 1000)

        async def work(connection: AsyncConnection) -> None:
            await self._writes.lock_threads(connection, [thread_id])
            await self._writes.remove_chains(connection, [thread_id], removed_at_ms)

        if is_storable(thread_id):
            await self._database.write(work)

    async def _change(self, run_id: str, change: Callable[[ChainRecord], ChainRecord]) -> bool:
        """Change the record of a chain, if there is one. Returns whether that made a difference."""
        its = (self._of_upstream, CHAINS.c.run_id == run_id)

        async def work(connection: AsyncConnection) -> bool:
            row = (await connection.execute(select(CHAINS).where(*its).with_for_update())).one_or_none()
            if row is None:
                return False
            before = _chain_from_row(row)
            after = change(before)
            if after != before:
                await connection.execute(update(CHAINS).where(*its).values(_chain_row(after)))
            return after != before

        return await self._database.write(work)

    async def _begin_writing(self, connection: AsyncConnection, thread_id: str) -> bool:
        """Wait for other writers of this conversation. Returns False if it was removed."""
        await self._writes.lock_threads(connection, [thread_id])
        marks = await self._writes.load_marks(connection, [thread_id])
        return MessageKey(thread_id, THREAD_CHAINS) not in marks

    def _is_among(self, column: ColumnElement[Any], ids: Sequence[str]) -> ColumnElement[bool]:
        return is_among(column, ids, postgresql=self._database.is_postgresql)


class SqlAssistants:
    """An `AssistantStore` over a database whose tables are there. Raises `LedgerUnavailableError`.

    `upstream` is the digest of the upstream.
    """

    def __init__(self, database: Database, upstream: str) -> None:
        self._database = database
        self._upstream = upstream
        self._insert: Any = postgresql.insert if database.is_postgresql else sqlite.insert

    async def add_assistant(self, shelf: str, assistant: AssistantObject) -> None:
        values = {"created_at": int(assistant.created_at), "assistant": msgspec.json.encode(assistant)}
        row = {"upstream": self._upstream, "shelf": shelf, "assistant_id": assistant.id, **values}
        place = _next_place(ASSISTANTS, self._are_on(shelf), int(assistant.created_at))
        statement = self._insert(ASSISTANTS).values(row | {"place": place})
        upsert = statement.on_conflict_do_update(index_elements=list(ASSISTANTS.primary_key), set_=values)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(upsert)

        await self._database.write(work)

    async def find_assistants(self, shelf: str, ids: Sequence[str]) -> Mapping[str, AssistantObject]:
        are_among = is_among(ASSISTANTS.c.assistant_id, ids, postgresql=self._database.is_postgresql)
        columns = (ASSISTANTS.c.assistant_id, ASSISTANTS.c.assistant)
        statement = select(*columns).where(*self._are_on(shelf), are_among)

        async def work(connection: AsyncConnection) -> Mapping[str, AssistantObject]:
            rows = await connection.execute(statement)
            return {assistant_id: _ASSISTANT.decode(stored) for assistant_id, stored in rows}

        return await self._database.read(work) if ids else {}

    async def list_assistants(self, shelf: str, window: Window) -> Page[AssistantObject] | None:
        async def work(connection: AsyncConnection) -> Page[AssistantObject] | None:
            rows = await _read_page(connection, ASSISTANTS, ASSISTANTS.c.assistant_id, self._are_on(shelf), window)
            return None if rows is None else _to_page([_ASSISTANT.decode(row.assistant) for row in rows], window)

        return await self._database.read(work)

    async def change_assistant(
        self, shelf: str, assistant_id: str, change: Callable[[AssistantObject], AssistantObject]
    ) -> AssistantObject | None:
        its = (*self._are_on(shelf), ASSISTANTS.c.assistant_id == assistant_id)

        async def work(connection: AsyncConnection) -> AssistantObject | None:
            found = select(ASSISTANTS.c.assistant).where(*its).with_for_update()
            stored = (await connection.execute(found)).scalar_one_or_none()
            if stored is None:
                return None
            changed = change(_ASSISTANT.decode(stored))
            row = {"assistant": msgspec.json.encode(changed)}
            await connection.execute(update(ASSISTANTS).where(*its).values(row))
            return changed

        return await self._database.write(work)

    async def remove_assistant(self, shelf: str, assistant_id: str) -> bool:
        its = (*self._are_on(shelf), ASSISTANTS.c.assistant_id == assistant_id)

        async def work(connection: AsyncConnection) -> bool:
            return (await connection.execute(delete(ASSISTANTS).where(*its))).rowcount > 0

        return await self._database.write(work)

    async def move_all(self, source: str, target: str) -> int:
        """Move assistants to another shelf, but for those that it has already. Returns how many were moved."""
        there = select(ASSISTANTS.c.assistant_id).where(*self._are_on(target))
        new = (*self._are_on(source), ASSISTANTS.c.assistant_id.not_in(there))

        async def work(connection: AsyncConnection) -> int:
            moved = await connection.execute(update(ASSISTANTS).where(*new).values(shelf=target))
            await connection.execute(delete(ASSISTANTS).where(*self._are_on(source)))
            return moved.rowcount

        return await self._database.write(work)

    def _are_on(self, shelf: str) -> tuple[ColumnElement[bool], ...]:
        return ASSISTANTS.c.upstream == self._upstream, ASSISTANTS.c.shelf == shelf


async def _read_page(
    connection: AsyncConnection,
    table: Table,
    object_id: ColumnElement[Any],
    conditions: Sequence[ColumnElement[bool]],
    window: Window,
) -> list[Any] | None:
    """Read one row more than the window holds, by time and place. None if there is no row with the id `after`."""
    position = (table.c.created_at, table.c.place, object_id)
    statement: Select[Any] = select(table).where(*conditions)
    if window.after is not None:
        edge_row = select(*position).where(*conditions, object_id == window.after)
        found = (await connection.execute(edge_row)).one_or_none()
        if found is None:
            return None
        edge = tuple_(*(literal(value, column.type) for value, column in zip(found, position, strict=True)))
        statement = statement.where(tuple_(*position) < edge if window.backwards else tuple_(*position) > edge)
    ordered = [column.desc() for column in position] if window.backwards else position
    rows = await connection.execute(statement.order_by(*ordered).limit(window.limit + 1))
    return list(rows)


def _next_place(table: Table, conditions: Sequence[ColumnElement[bool]], created_at: int) -> ScalarSelect[int]:
    """Return the place of a new row among those of its second."""
    of_second = select(func.coalesce(func.max(table.c.place), 0) + 1).where(
        *conditions, table.c.created_at == created_at
    )
    return of_second.scalar_subquery()


def _to_page(read: list[Any], window: Window) -> Page[Any]:
    return Page(read[: window.limit], len(read) > window.limit)


def _chain_row(chain: ChainRecord) -> dict[str, Any]:
    return {
        "run_id": chain.run_id,
        "thread_id": chain.thread_id,
        "created_at": chain.created_at,
        "assistant_id": chain.assistant_id,
        "response_ids": json.dumps(chain.response_ids),
        "request": chain.request,
        "answers": json.dumps(dict(chain.answers)),
        "status": chain.status,
        "waiting_since": chain.waiting_since,
        "ended_run": chain.ended_run,
    }


def _chain_from_row(row: Any) -> ChainRecord:
    return ChainRecord(
        row.run_id,
        row.thread_id,
        row.created_at,
        row.assistant_id,
        tuple(json.loads(row.response_ids)),
        row.request,
        json.loads(row.answers),
        row.status,
        row.waiting_since,
        row.ended_run,
    )


def _item_row(item: ItemRecord) -> dict[str, Any]:
    return {"created_at": item.created_at, "run_id": item.run_id}

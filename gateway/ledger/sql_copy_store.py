"""The copies in a database, by SQLAlchemy: SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, exists, select, union
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.copy_store import ObjectCopy
from gateway.ledger.copy_tables import COPIES
from gateway.ledger.ledger_database import Database
from gateway.ledger.ledger_store import ObjectKind
from gateway.ledger.record_tables import THREADS
from gateway.ledger.storable_text import MAX_ID_LENGTH
from gateway.ledger.tables import OBJECTS


class SqlCopyStore:
    """A store of copies over a database whose tables are there. The store that it is a part of closes the database."""

    def __init__(self, database: Database, upstream_digest: str) -> None:
        self._database = database
        self._upstream_digest = upstream_digest
        self._insert: Any = postgresql.insert if database.is_postgresql else sqlite.insert

    async def has_done_copies(self, family: str) -> bool:
        statement = select(COPIES.c.kind).where(*self._of_family(family), COPIES.c.is_done).limit(1)

        async def work(connection: AsyncConnection) -> bool:
            return (await connection.execute(statement)).first() is not None

        return await self._database.read(work)

    async def find_copies(self, family: str, kind: str, old_ids: Collection[str]) -> dict[str, ObjectCopy]:
        # A longer id was never stored.
        wanted = [old_id for old_id in old_ids if len(old_id) <= MAX_ID_LENGTH]
        statement = select(COPIES.c.old_id, COPIES.c.new_id, COPIES.c.is_done).where(
            *self._of_family(family), COPIES.c.kind == kind, COPIES.c.old_id.in_(wanted)
        )

        async def work(connection: AsyncConnection) -> dict[str, ObjectCopy]:
            return {row.old_id: ObjectCopy(*row) for row in await connection.execute(statement)}

        return await self._database.read(work) if wanted else {}

    async def put_copy(self, family: str, kind: str, copy: ObjectCopy, begun_at: int) -> None:
        key = {"upstream": self._upstream_digest, "family": family, "kind": kind, "old_id": copy.old_id}
        values = {"new_id": copy.new_id, "is_done": copy.is_done}
        statement = (
            self._insert(COPIES)
            .values(**key, **values, begun_at=begun_at)
            .on_conflict_do_update(index_elements=list(key), set_=values, where=COPIES.c.is_done.is_(False))
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._database.write(work)

    async def list_threads(self, limit: int, after: str = "") -> Sequence[str]:
        """List the threads of this upstream that have an owner or a record, at most `limit` of those behind an id.

        Threads that are copies themselves are left out: where two APIs have one URL, they are here too.
        """
        owned = (
            select(OBJECTS.c.object_id.label("thread_id"))
            .where(OBJECTS.c.upstream == self._upstream_digest, OBJECTS.c.kind == ObjectKind.THREAD.value)
            .where(OBJECTS.c.object_id > after, ~self._is_copy(OBJECTS.c.object_id))
            .order_by(OBJECTS.c.object_id)
            .limit(limit)
        )
        recorded = (
            select(THREADS.c.thread_id)
            .where(THREADS.c.upstream == self._upstream_digest, THREADS.c.thread_id > after)
            .where(~self._is_copy(THREADS.c.thread_id))
            .order_by(THREADS.c.thread_id)
            .distinct()
            .limit(limit)
        )
        both = union(select(owned.subquery()), select(recorded.subquery())).subquery()
        statement = select(both.c.thread_id).order_by(both.c.thread_id).limit(limit)

        async def work(connection: AsyncConnection) -> Sequence[str]:
            return list((await connection.execute(statement)).scalars())

        return await self._database.read(work)

    async def count_threads(self) -> int:
        """Count the threads that `list_threads` lists."""
        count, after = 0, ""
        while page := await self.list_threads(1000, after):
            count, after = count + len(page), page[-1]
        return count

    def _is_copy(self, thread_id: ColumnElement[str]) -> ColumnElement[bool]:
        return exists().where(COPIES.c.upstream == self._upstream_digest, COPIES.c.new_id == thread_id)

    def _of_family(self, family: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return COPIES.c.upstream == self._upstream_digest, COPIES.c.family == family

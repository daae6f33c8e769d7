"""The leases on conversations in a database, for gateways without Redis."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Double, delete, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.kept_tables import LOCKS
from gateway.ledger.ledger_database import Database
from gateway.ledger.record_tables import REMOVALS
from gateway.ledger.removal_marks import THREAD_CHAINS
from gateway.ledger.storable_text import is_storable


class SqlLocks:
    """The `ThreadLocks` over a database whose tables are there. Raises `LedgerUnavailableError`.

    `upstream` is the digest of the upstream. `unix_seconds` should differ between gateways by much less than a lease.
    """

    def __init__(self, database: Database, upstream: str, unix_seconds: Callable[[], float] = time.time) -> None:
        self._database = database
        self._upstream = upstream
        self._unix_seconds = unix_seconds
        self._insert: Any = postgresql.insert if database.is_postgresql else sqlite.insert

    async def acquire(self, thread_id: str, holder: str, seconds: float) -> bool:
        now = self._unix_seconds()
        row = {"upstream": self._upstream, "thread_id": thread_id, "holder": holder, "until": now + seconds}
        is_removed = (
            select(REMOVALS.c.thread_id)
            .where(REMOVALS.c.upstream == self._upstream, REMOVALS.c.thread_id == thread_id)
            .where(REMOVALS.c.message_id == THREAD_CHAINS)
            .exists()
        )
        values = select(*(literal(value, LOCKS.c[name].type) for name, value in row.items())).where(~is_removed)
        statement = self._insert(LOCKS).from_select(list(row), values)
        taken = statement.on_conflict_do_update(
            index_elements=list(LOCKS.primary_key),
            set_={"holder": holder, "until": now + seconds},
            where=(LOCKS.c.holder == holder) | (LOCKS.c.until <= now),
        ).returning(LOCKS.c.holder)

        async def work(connection: AsyncConnection) -> bool:
            return (await connection.execute(taken)).first() is not None

        return is_storable(thread_id, holder) and await self._database.write(work)

    async def hand_over(self, thread_id: str, holder: str, new_holder: str, seconds: float) -> bool:
        now = self._unix_seconds()
        statement = (
            update(LOCKS)
            .where(*self._is_held(thread_id, now), LOCKS.c.holder == holder)
            .values(holder=new_holder, until=now + seconds)
        )

        async def work(connection: AsyncConnection) -> bool:
            return (await connection.execute(statement)).rowcount > 0

        return is_storable(new_holder) and await self._database.write(work)

    async def find_holder(self, thread_id: str) -> str | None:
        statement = select(LOCKS.c.holder).where(*self._is_held(thread_id, self._unix_seconds()))

        async def work(connection: AsyncConnection) -> str | None:
            return (await connection.execute(statement)).scalar_one_or_none()

        return await self._database.read(work)

    async def release(self, thread_id: str, holder: str) -> None:
        its = (LOCKS.c.upstream == self._upstream, LOCKS.c.thread_id == thread_id, LOCKS.c.holder == holder)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(delete(LOCKS).where(*its))

        await self._database.write(work)

    async def remove_ended(self, before: float) -> int:
        """Remove the leases that ended before a time, whose holders were killed. Returns their number."""
        ended = (LOCKS.c.upstream == self._upstream, LOCKS.c.until < literal(before, Double))

        async def work(connection: AsyncConnection) -> int:
            return (await connection.execute(delete(LOCKS).where(*ended))).rowcount

        return await self._database.write(work)

    def _is_held(self, thread_id: str, now: float) -> tuple[Any, ...]:
        return LOCKS.c.upstream == self._upstream, LOCKS.c.thread_id == thread_id, LOCKS.c.until > now

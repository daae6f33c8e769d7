"""The ledger in a database, by SQLAlchemy: SQLite or PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, any_, bindparam, delete, func, select, text, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.identity.principal import Owner, UpstreamIdentity
from gateway.ledger.ledger_database import Database
from gateway.ledger.ledger_store import Adoption, MadeFile, ObjectKind, OwnedObject, StoredIntent
from gateway.ledger.record_store import KeptTexts, RecordStore
from gateway.ledger.sql_copy_store import SqlCopyStore
from gateway.ledger.sql_kept_records import SqlAssistants, SqlChains
from gateway.ledger.sql_locks import SqlLocks
from gateway.ledger.sql_record_store import SqlRecordStore
from gateway.ledger.storable_text import MAX_ID_LENGTH, escape_text
from gateway.ledger.tables import INTENTS, OBJECTS, TOMBSTONES
from gateway.upstream.responses.kept_records import KeptRecords

FORGETTING_LOCK = 7_391_046_212
"""PostgreSQL's advisory lock: taken alone by who forgets an owner, shared by who checks that one is not forgotten."""


class SqlStore:
    """A ledger store over a database whose tables are there. Ended by `aclose`."""

    def __init__(
        self,
        database: Database,
        upstream: UpstreamIdentity,
        *,
        kept_texts: KeptTexts = KeptTexts.ALL,
        unix_seconds: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._upstream = upstream
        self._upstream_digest = upstream.digest
        self._insert: Any = postgresql.insert if database.is_postgresql else sqlite.insert
        # The one statement that operations wait for. Building it takes as long as running it.
        self._select_owners = select(OBJECTS.c.object_id, OBJECTS.c.issuer, OBJECTS.c.subject, OBJECTS.c.tenant).where(
            OBJECTS.c.upstream == self._upstream_digest,
            OBJECTS.c.kind == bindparam("its_kind"),
            self._is_among(OBJECTS.c.object_id, "ids"),
        )
        self._unix_seconds = unix_seconds
        self._records = SqlRecordStore(database, upstream, kept_texts=kept_texts)
        self._copies = SqlCopyStore(database, upstream.digest)
        self._locks = SqlLocks(database, upstream.digest, unix_seconds)
        self._assistants = SqlAssistants(database, upstream.digest)
        self._kept = KeptRecords(SqlChains(database, upstream.digest, unix_seconds), self._assistants, self._locks)

    @property
    def records(self) -> RecordStore:
        return self._records

    @property
    def copies(self) -> SqlCopyStore:
        return self._copies

    @property
    def kept(self) -> KeptRecords:
        return self._kept

    async def find_owners(self, kind: ObjectKind, object_ids: Collection[str]) -> dict[str, Owner]:
        async def work(connection: AsyncConnection) -> dict[str, Owner]:
            return await self._find_owners(connection, kind, object_ids)

        return await self._database.read(work)

    async def add_intent(self, intent: StoredIntent) -> None:
        statement = self._insert(INTENTS).on_conflict_do_nothing()
        row = {
            "intent_id": intent.intent_id,
            "upstream": self._upstream_digest,
            "kind": intent.kind,
            "owner": self._digest(intent.owner),
            "created_at": intent.created_at,
        }

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement, row)

        await self._database.write(work)

    async def remove_intent(self, intent: StoredIntent) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(delete(INTENTS).where(INTENTS.c.intent_id == intent.intent_id))

        await self._database.write(work)

    async def add_created(self, intent: StoredIntent, object_id: str) -> bool:
        if len(object_id) > MAX_ID_LENGTH:
            raise ValueError(f"expected an id of at most {MAX_ID_LENGTH} characters, got {len(object_id)}")
        row = self._object_row(intent.kind, object_id, intent.owner, intent.created_at)

        async def work(connection: AsyncConnection) -> bool:
            removed = await connection.execute(
                delete(INTENTS).where(INTENTS.c.intent_id == intent.intent_id).returning(INTENTS.c.intent_id)
            )
            if removed.first() is None:
                owner = (await self._find_owners(connection, intent.kind, [object_id])).get(object_id)
                if owner is not None:
                    return owner == intent.owner
                await self._lock_forgetting(connection, shared=True)
                if await self._find_forgotten(connection, [intent.owner]):
                    return False
            inserted = await connection.execute(
                self._insert(OBJECTS).on_conflict_do_nothing().returning(OBJECTS.c.object_id), row
            )
            if inserted.first() is not None:
                return True
            found = await self._find_owners(connection, intent.kind, [object_id])
            return found.get(object_id) == intent.owner

        return await self._database.write(work)

    async def add_made_files(self, files: Collection[MadeFile], created_at: int) -> dict[str, Owner]:
        wanted = [made for made in files if len(made.file_id) <= MAX_ID_LENGTH]
        thread_ids = {made.thread_id for made in wanted}

        async def work(connection: AsyncConnection) -> dict[str, Owner]:
            await self._records.lock_threads(connection, thread_ids)  # as those do who give or remove threads
            threads = await self._find_owners(connection, ObjectKind.THREAD, thread_ids)
            owners: dict[str, Owner] = {}
            for made in wanted:
                if threads.get(made.thread_id) == made.owner:
                    owners.setdefault(made.file_id, made.owner)
            # In this order, two that add the same files do not wait for each other in a circle.
            rows = [self._object_row(ObjectKind.FILE, *each, created_at) for each in sorted(owners.items())]
            await self._insert_objects(connection, rows)
            return await self._find_owners(connection, ObjectKind.FILE, {made.file_id for made in wanted})

        return await self._database.write(work)

    async def remove_objects(self, kind: ObjectKind, object_ids: Collection[str]) -> None:
        removed_at_ms = int(self._unix_seconds() * 1000)

        async def work(connection: AsyncConnection) -> None:
            if kind is ObjectKind.THREAD:
                await self._records.lock_threads(connection, object_ids)
                await self._records.remove_threads_within(connection, object_ids, removed_at_ms)
            await connection.execute(
                delete(OBJECTS).where(
                    OBJECTS.c.upstream == self._upstream_digest,
                    OBJECTS.c.kind == kind.value,
                    self._is_among(OBJECTS.c.object_id, "ids"),
                ),
                {"ids": self._to_parameter(map(escape_text, object_ids))},
            )

        await self._database.write(work)

    async def adopt_objects(
        self, kind: ObjectKind, owners: Mapping[str, Owner], created_at: int, *, reassign: bool = False
    ) -> Adoption:
        if too_long := [object_id for object_id in owners if len(object_id) > MAX_ID_LENGTH]:
            raise ValueError(f"expected ids of at most {MAX_ID_LENGTH} characters, got {len(too_long[0])}")

        async def work(connection: AsyncConnection) -> Adoption:
            await self._lock_forgetting(connection, shared=True)
            if kind is ObjectKind.THREAD:
                await self._records.lock_threads(connection, owners)
            forgotten = await self._find_forgotten(connection, set(owners.values()))
            # In this order, two that adopt the same objects do not wait for each other in a circle.
            wanted = {object_id: owner for object_id, owner in sorted(owners.items()) if owner not in forgotten}
            rows = [self._object_row(kind, object_id, owner, created_at) for object_id, owner in wanted.items()]
            inserted = await self._insert_objects(connection, rows)
            left = [object_id for object_id in wanted if object_id not in inserted]
            present = await self._find_owners(connection, kind, left)
            others = [object_id for object_id in left if present.get(object_id) != wanted[object_id]]
            if reassign and others:
                await self._change_owners(connection, [row for row in rows if row["object_id"] in set(others)])
            if kind is ObjectKind.THREAD:
                changed = {*inserted, *(others if reassign else ())}
                await self._records.welcome_threads_within(connection, {each: wanted[each] for each in changed})
            reassigned = len(others) if reassign else 0
            return Adoption(
                adopted=len(inserted) + reassigned,
                reassigned=reassigned,
                already_theirs=len(left) - len(others),
                anothers=len(others) - reassigned,
                forgotten=len(owners) - len(wanted),
            )

        return await self._database.write(work)

    async def list_objects(self, owner: Owner, limit: int, after: OwnedObject | None = None) -> Sequence[OwnedObject]:
        columns = (OBJECTS.c.kind, OBJECTS.c.object_id)
        statement = select(*columns).where(OBJECTS.c.owner == self._digest(owner)).order_by(*columns).limit(limit)
        if after is not None:
            statement = statement.where(tuple_(*columns) > tuple_(after.kind.value, escape_text(after.object_id)))

        async def work(connection: AsyncConnection) -> Sequence[OwnedObject]:
            rows = await connection.execute(statement)
            return [OwnedObject(ObjectKind(kind), object_id) for kind, object_id in rows]

        return await self._database.read(work)

    async def count_objects(self, owner: Owner) -> int:
        statement = select(func.count()).select_from(OBJECTS).where(OBJECTS.c.owner == self._digest(owner))

        async def work(connection: AsyncConnection) -> int:
            return (await connection.execute(statement)).scalar_one()

        return await self._database.read(work)

    async def add_tombstone(self, owner: Owner, forgotten_at: int) -> None:
        digest = self._digest(owner)
        row = {"owner": digest, "upstream": self._upstream_digest, "forgotten_at": forgotten_at}

        async def work(connection: AsyncConnection) -> None:
            await self._lock_forgetting(connection, shared=False)
            await connection.execute(self._insert(TOMBSTONES).on_conflict_do_nothing(), row)
            await connection.execute(delete(INTENTS).where(INTENTS.c.owner == digest))

        await self._database.write(work)

    async def remove_intents_before(self, created_at: int) -> int:
        async def work(connection: AsyncConnection) -> int:
            old = (INTENTS.c.upstream == self._upstream_digest, INTENTS.c.created_at < created_at)
            removed = await connection.execute(delete(INTENTS).where(*old))
            return removed.rowcount

        return await self._database.write(work)

    async def move_assistants(self, source: str, target: str) -> int:
        return await self._assistants.move_all(source, target)

    async def remove_locks_before(self, until: float) -> int:
        return await self._locks.remove_ended(until)

    async def check(self) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(select(OBJECTS.c.kind).limit(1))

        await self._database.read(work)

    async def aclose(self) -> None:
        await self._database.aclose()

    async def _find_owners(
        self, connection: AsyncConnection, kind: ObjectKind, object_ids: Collection[str]
    ) -> dict[str, Owner]:
        if not object_ids:
            return {}
        values = {"its_kind": kind.value, "ids": self._to_parameter(map(escape_text, object_ids))}
        rows = await connection.execute(self._select_owners, values)
        return {object_id: Owner(issuer, subject, tenant) for object_id, issuer, subject, tenant in rows}

    async def _find_forgotten(self, connection: AsyncConnection, owners: Collection[Owner]) -> set[Owner]:
        by_digest = {self._digest(owner): owner for owner in owners}
        rows = await connection.execute(
            select(TOMBSTONES.c.owner).where(self._is_among(TOMBSTONES.c.owner, "digests")),
            {"digests": self._to_parameter(by_digest)},
        )
        return {by_digest[digest] for (digest,) in rows}

    async def _insert_objects(self, connection: AsyncConnection, rows: list[dict[str, Any]]) -> set[str]:
        if not rows:
            return set()
        statement = self._insert(OBJECTS).values(rows).on_conflict_do_nothing().returning(OBJECTS.c.object_id)
        return {object_id for (object_id,) in await connection.execute(statement)}

    async def _change_owners(self, connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
        names = ("owner", "issuer", "subject", "tenant")
        statement = (
            update(OBJECTS)
            .where(
                OBJECTS.c.upstream == self._upstream_digest,
                OBJECTS.c.kind == bindparam("its_kind"),
                OBJECTS.c.object_id == bindparam("its_id"),
            )
            .values({name: bindparam(f"new_{name}") for name in names})
        )
        await connection.execute(
            statement,
            [
                {"its_kind": row["kind"], "its_id": row["object_id"], **{f"new_{name}": row[name] for name in names}}
                for row in rows
            ],
        )

    async def _lock_forgetting(self, connection: AsyncConnection, *, shared: bool) -> None:
        """Let transactions that forget an owner, and those that record for one, wait for each other.

        SQLite has one writer anyway.
        """
        if self._database.is_postgresql:
            function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
            await connection.execute(text(f"SELECT {function}(:lock)"), {"lock": FORGETTING_LOCK})

    def _is_among(self, column: ColumnElement[str], parameter: str) -> ColumnElement[bool]:
        """Compare with any number of texts by one parameter, so that the statement is always the same."""
        if self._database.is_postgresql:
            return column == any_(bindparam(parameter, type_=ARRAY(Text)))
        listed = func.json_each(bindparam(parameter, type_=Text)).table_valued("value")
        return column.in_(select(listed.c.value))

    def _to_parameter(self, texts: Iterable[str]) -> list[str] | str:
        return list(texts) if self._database.is_postgresql else json.dumps(list(texts))

    def _object_row(self, kind: ObjectKind, object_id: str, owner: Owner, created_at: int) -> dict[str, Any]:
        return {
            "upstream": self._upstream_digest,
            "kind": kind.value,
            "object_id": object_id,
            "owner": self._digest(owner),
            "issuer": owner.issuer,
            "subject": owner.subject,
            "tenant": owner.tenant,
            "created_at": created_at,
        }

    def _digest(self, owner: Owner) -> str:
        return owner.digest(self._upstream)

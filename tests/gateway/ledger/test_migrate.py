"""The tables of a real database, from nothing and from another version."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.ledger_database import connect_database
from gateway.ledger.ledger_store import CannotOpenError, ObjectKind
from gateway.ledger.migrate import VERSION_TABLE
from gateway.ledger.open_store import migrate, open_store
from gateway.ledger.tables import METADATA
from tests.gateway.ledger.gated_store import ALICE

UPSTREAM = UpstreamIdentity("https://upstream.test/v1")

OPEN = """
import asyncio, sys
from gateway.ledger.open_store import migrate
asyncio.run(migrate(sys.argv[1]))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
    else:
        yield request.getfixturevalue("postgresql").create_database()


async def run_sync(url: str, work: Any) -> Any:
    database = connect_database(url, operation_seconds=10)
    try:
        async with database.writer.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await database.aclose()


async def test_the_steps_lead_to_the_tables_that_the_program_uses(url: str) -> None:
    await migrate(url)

    def compare(connection: Connection) -> Any:
        # SQLite has an index of words of its own kind, with inner tables, in place of PostgreSQL's.
        of_words = ("ledger_words", "ledger_texts_words_idx") if connection.dialect.name == "sqlite" else ()
        options = {
            "version_table": VERSION_TABLE,
            "include_name": lambda name, *_: not str(name).startswith(of_words),
            "include_object": lambda _, name, *__: not str(name).startswith(of_words),
        }
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)

    assert await run_sync(url, compare) == []


async def test_a_database_is_opened_any_number_of_times(url: str) -> None:
    for _ in range(2):
        store = await open_store(url, UPSTREAM)
        await store.adopt_objects(ObjectKind.THREAD, {"thread_1": ALICE}, 0)
        await store.aclose()
    store = await open_store(url, UPSTREAM)
    assert await store.find_owners(ObjectKind.THREAD, ["thread_1"]) == {"thread_1": ALICE}
    await store.aclose()


async def test_many_start_at_once_on_an_empty_database(url: str) -> None:
    for _ in range(2):
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(migrate(url))


async def test_a_new_file_that_another_program_writes_is_waited_for(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        migrating = asyncio.create_task(migrate(f"sqlite:///{tmp_path}/ledger.db"))
        await asyncio.wait([migrating], timeout=0.2)
        other.execute("CREATE TABLE of_another (id INTEGER)")
        other.execute("COMMIT")
        await migrating
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.full
def test_two_processes_start_at_once_on_an_empty_database(url: str) -> None:
    starting = [
        subprocess.Popen([sys.executable, "-c", OPEN, url], stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in starting:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors


async def test_a_database_of_a_newer_program_is_refused_and_left_as_it_is(url: str) -> None:
    await migrate(url)
    await run_sync(url, lambda connection: connection.execute(text("UPDATE ledger_version SET version_num = '9999'")))
    with pytest.raises(CannotOpenError, match="it has version 9999, this program knows 0005: a newer program"):
        await open_store(url, UPSTREAM)


async def test_other_tables_of_the_database_are_left_alone(url: str) -> None:
    await run_sync(url, lambda connection: connection.execute(text("CREATE TABLE objects (upstream INTEGER)")))
    await migrate(url)
    await run_sync(url, lambda connection: connection.execute(text("INSERT INTO objects VALUES (1)")))


def modes_in(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


async def test_the_file_of_a_database_is_for_its_user_alone(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/ledger.db", UPSTREAM)
    await store.adopt_objects(ObjectKind.THREAD, {"thread_1": ALICE}, 0)
    assert modes_in(tmp_path) == dict.fromkeys(["ledger.db", "ledger.db-shm", "ledger.db-wal"], 0o600)
    await store.aclose()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database at all, but long enough to be read as one" * 20)
    with pytest.raises(CannotOpenError, match="file is not a database"):
        await open_store(f"sqlite:///{path}", UPSTREAM)


async def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotOpenError, match="unable to open database file"):
        await open_store(f"sqlite:///{tmp_path}", UPSTREAM)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT issuer FROM ledger_objects WHERE upstream = 'u' AND kind = 'thread' AND object_id = 'thread_1'",
        "SELECT object_id FROM ledger_objects WHERE owner = 'o' ORDER BY kind, object_id LIMIT 10",
        "DELETE FROM ledger_intents WHERE upstream = 'u' AND created_at < 5",
        "DELETE FROM ledger_intents WHERE owner = 'o'",
        "SELECT new_id FROM ledger_copies WHERE upstream = 'u' AND family = 'f' AND kind = 'k' AND old_id = 'a'",
        "SELECT kind FROM ledger_copies WHERE upstream = 'u' AND new_id = 'a'",
        "SELECT kind FROM ledger_copies WHERE upstream = 'u' AND family = 'f' AND is_done LIMIT 1",
        "DELETE FROM ledger_chains WHERE upstream = 'u' AND thread_id = 'conv_1'",
        "DELETE FROM ledger_items WHERE upstream = 'u' AND thread_id = 'conv_1'",
        "DELETE FROM ledger_locks WHERE upstream = 'u' AND until < 5.0",
    ],
)
async def test_no_statement_scans_a_table(url: str, statement: str) -> None:
    await migrate(url)

    def explain(connection: Connection) -> str:
        if connection.dialect.name == "sqlite":
            return str(connection.execute(text(f"EXPLAIN QUERY PLAN {statement}")).all())
        # An empty table would be scanned.
        connection.execute(text("SET enable_seqscan = off"))
        return str(connection.execute(text(f"EXPLAIN {statement}")).all())

    plan = await run_sync(url, explain)
    assert "ledger_" in plan
    assert "SCAN" not in plan
    assert "Seq Scan" not in plan

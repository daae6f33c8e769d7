"""Plans of the databases for what a user waits for: each list, search and sum walks through an index of its owner."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from gateway.ledger.ledger_database import Database, connect_database
from gateway.ledger.open_store import PATIENT_SECONDS, open_store
from gateway.ledger.record_store import RecordStore
from gateway.ledger.sql_store import SqlStore
from tests.bench.records import UPSTREAM, Read, Size, fill, make_owner, make_reads, make_sightings
from tests.gateway.ledger.statement_plans import GENERIC_PLAN, explain
from tests.support.postgresql import PostgreSQL

SIZE = Size(threads=4000, owners=200, messages=1, runs=1)
"""Enough that a walk through a whole table costs much more than one through an index."""

READS = [
    "first page, by activity",
    "first page, by creation",
    "first page, archived and not",
    "last page",
    "a page in the middle",
    "first page of an assistant",
    "first page, active since",
    "search, a rare word",
    "search, a word of all texts",
    "search, two words",
    "search, the beginning of many words",
    "search, no match",
    "waiting runs",
    "usage",
]

SQLITE_SCANS = {
    # The items of a list that was given, and the matches of the words.
    "SCAN anon_1 VIRTUAL TABLE INDEX 1:",
    "SCAN ledger_words VIRTUAL TABLE INDEX 0:M1",
}


@asynccontextmanager
async def filled_database(url: str) -> AsyncIterator[tuple[Database, RecordStore]]:
    await (await open_store(url, UPSTREAM)).aclose()
    database = connect_database(url, operation_seconds=PATIENT_SECONDS)
    records = SqlStore(database, UPSTREAM).records
    try:
        await fill(records, make_sightings(SIZE))
        for number in range(40):
            await records.remove_threads([f"gone_{number}_{each}" for each in range(100)], 1000 + number)
        if database.is_postgresql:
            # As the server does by itself after many changes. SQLite plans without statistics.
            async with database.writer.begin() as connection:
                await connection.exec_driver_sql("ANALYZE")
        yield database, records
    finally:
        await database.aclose()


def other_reads(records: RecordStore) -> dict[str, Read]:
    """Return what no user waits for."""
    return {"unfinished removals": lambda _: records.find_unfinished_removals(1010, 1012)}


async def test_sqlite_walks_through_no_whole_table(tmp_path: Path) -> None:
    async with filled_database(f"sqlite:///{tmp_path}/ledger.db") as (database, records):
        reads = make_reads(records)
        assert list(reads) == READS
        for name, read in {**reads, **other_reads(records)}.items():
            for plan in await explain(database, partial(read, make_owner(7)), "EXPLAIN QUERY PLAN"):
                scans = [line for line in plan if line.startswith("SCAN") and line not in SQLITE_SCANS]
                assert scans == [], (name, plan)
                assert any(re.match(r"SEARCH ledger_\w+ USING (COVERING )?INDEX \w+ \(", line) for line in plan), plan
                assert "USE TEMP B-TREE FOR ORDER BY" not in plan, (name, plan)


@pytest.mark.parametrize("command", ["EXPLAIN", GENERIC_PLAN])
async def test_postgresql_walks_through_no_whole_table(postgresql: PostgreSQL, command: str) -> None:
    async with filled_database(postgresql.create_database()) as (database, records):
        for name, read in {**make_reads(records), **other_reads(records)}.items():
            for plan in await explain(database, partial(read, make_owner(7)), command):
                assert not any("Seq Scan" in line for line in plan), (name, plan)
                assert any(re.search(r"Index (Only )?Scan.* (using|on) ledger_", line) for line in plan), (name, plan)

"""Plans of the databases for what is kept of an upstream with responses: each read walks through an index."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Insert, insert

from gateway.ledger.kept_tables import ASSISTANTS, CHAINS, ITEMS, LOCKS
from gateway.ledger.ledger_database import Database, connect_database
from gateway.ledger.open_store import PATIENT_SECONDS, open_store
from gateway.ledger.sql_store import SqlStore
from gateway.upstream.responses.kept_records import KeptRecords
from schema.contract.paging import Window
from tests.bench.records import UPSTREAM
from tests.gateway.ledger.statement_plans import GENERIC_PLAN, explain
from tests.support.postgresql import PostgreSQL

THREADS, EACH = 300, 10
"""Enough that a walk through a whole table costs much more than one through an index."""

Read = Callable[[], Awaitable[object]]

SQLITE_SCANS = {"SCAN anon_1 VIRTUAL TABLE INDEX 1:"}
"""The items of a list that was given."""


def make_reads(kept: KeptRecords) -> dict[str, Read]:
    chains, assistants = kept.chains, kept.assistants
    return {
        "find chains": lambda: chains.find_chains(["run_7_3", "run_8_3"]),
        "first chains": lambda: chains.list_chains("conv_7", Window(3, "asc")),
        "last chains": lambda: chains.list_chains("conv_7", Window(3, "desc")),
        "chains after one": lambda: chains.list_chains("conv_7", Window(3, "asc", "run_7_4")),
        "chains before one": lambda: chains.list_chains("conv_7", Window(3, "desc", "run_7_4")),
        "chains that wait": lambda: chains.list_waiting(5.0, 100),
        "find items": lambda: chains.find_items("conv_7", ["item_3", "item_4"]),
        "find assistants": lambda: assistants.find_assistants("shelf_7", ["asst_3", "asst_4"]),
        "first assistants": lambda: assistants.list_assistants("shelf_7", Window(3, "asc")),
        "assistants before one": lambda: assistants.list_assistants("shelf_7", Window(3, "desc", "asst_4")),
        "find the holder": lambda: kept.locks.find_holder("conv_7"),
    }


def make_rows(upstream: str) -> list[tuple[Insert, list[dict[str, Any]]]]:
    both = [(thread, each) for thread in range(THREADS) for each in range(EACH)]
    of_upstream = {"upstream": upstream}
    chain = of_upstream | {"response_ids": "[]", "request": b"{}", "answers": "{}", "status": "completed"}
    return [
        (
            insert(CHAINS),
            [
                chain
                | {"run_id": f"run_{thread}_{each}", "thread_id": f"conv_{thread}", "created_at": each, "place": 1}
                | {"waiting_since": float(thread) if each == 0 and thread % 10 == 0 else None}
                for thread, each in both
            ],
        ),
        (
            insert(ITEMS),
            [
                of_upstream | {"thread_id": f"conv_{thread}", "item_id": f"item_{each}", "created_at": each}
                for thread, each in both
            ],
        ),
        (
            insert(ASSISTANTS),
            [
                of_upstream
                | {"shelf": f"shelf_{thread}", "assistant_id": f"asst_{each}", "created_at": each, "place": 1}
                | {"assistant": b'{"id": "asst"}'}
                for thread, each in both
            ],
        ),
        (
            insert(LOCKS),
            [of_upstream | {"thread_id": f"conv_{n}", "holder": "h", "until": float(n)} for n in range(THREADS * EACH)],
        ),
    ]


@asynccontextmanager
async def filled_database(url: str) -> AsyncIterator[tuple[Database, dict[str, Read]]]:
    await (await open_store(url, UPSTREAM)).aclose()
    database = connect_database(url, operation_seconds=PATIENT_SECONDS)
    try:
        async with database.writer.begin() as connection:
            for statement, rows in make_rows(UPSTREAM.digest):
                await connection.execute(statement, rows)
        if database.is_postgresql:
            # As the server does by itself after many changes. SQLite plans without statistics.
            async with database.writer.begin() as connection:
                await connection.exec_driver_sql("ANALYZE")
        yield database, make_reads(SqlStore(database, UPSTREAM).kept)
    finally:
        await database.aclose()


async def test_sqlite_walks_through_no_whole_table_and_sorts_nothing(tmp_path: Path) -> None:
    async with filled_database(f"sqlite:///{tmp_path}/ledger.db") as (database, reads):
        for name, read in reads.items():
            for plan in await explain(database, read, "EXPLAIN QUERY PLAN"):
                scans = [line for line in plan if line.startswith("SCAN") and line not in SQLITE_SCANS]
                assert scans == [], (name, plan)
                assert any(re.match(r"SEARCH ledger_\w+ USING (COVERING )?INDEX \w+ \(", line) for line in plan), plan
                assert "USE TEMP B-TREE FOR ORDER BY" not in plan, (name, plan)


@pytest.mark.parametrize("command", ["EXPLAIN", GENERIC_PLAN])
async def test_postgresql_walks_through_no_whole_table(postgresql: PostgreSQL, command: str) -> None:
    async with filled_database(postgresql.create_database()) as (database, reads):
        for name, read in reads.items():
            for plan in await explain(database, read, command):
                assert not any("Seq Scan" in line for line in plan), (name, plan)
                assert any(re.search(r"Index (Only )?Scan.* (using|on) ledger_", line) for line in plan), (name, plan)

"""The plans of a database for the statements of a call."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import event

from gateway.ledger.ledger_database import Database

GENERIC_PLAN = "EXPLAIN (GENERIC_PLAN)"
"""The plan for any values, to which PostgreSQL may change when it has run a statement a few times."""


async def explain(database: Database, call: Callable[[], Awaitable[object]], command: str) -> list[list[str]]:
    """Return the plan of each statement that a call reads by, line by line."""
    statements: list[tuple[str, Any]] = []

    def on_statement(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: bool) -> None:
        statements.append((statement, parameters))

    event.listen(database.reader.sync_engine, "before_cursor_execute", on_statement)
    try:
        await call()
    finally:
        event.remove(database.reader.sync_engine, "before_cursor_execute", on_statement)
    async with database.reader.connect() as connection:
        plans = []
        for statement, parameters in [each for each in statements if each[0].startswith("SELECT ")]:
            plan = await connection.exec_driver_sql(f"{command} {statement}", parameters)
            plans.append([str(row[-1]) for row in plan])
    assert plans
    return plans

"""Brings a database to the version of this program, at each start, under a lock that all gateways take."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

VERSION_TABLE = "ledger_version"

MIGRATION_LOCK = 7_391_046_211
"""PostgreSQL's advisory lock of those who migrate. Any number that nothing else uses."""

_MIGRATIONS = Path(__file__).parent / "migrations"


class NewerDatabaseError(Exception):
    """The database was brought to a version that this program does not know."""


def migrate_database(connection: Connection) -> None:
    """Run the steps that are missing, in the transaction of the connection. Waits for others who do so.

    On SQLite, the transaction itself is the lock.

    Raises:
        NewerDatabaseError: A newer program has used the database.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    config = Config()
    # A percent sign would begin an interpolation.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    present = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads()
    if unknown := sorted(set(present) - known):
        raise NewerDatabaseError(
            f"it has version {unknown[0]}, this program knows {max(known)}: a newer program has used it"
        )
    command.upgrade(config, "head")

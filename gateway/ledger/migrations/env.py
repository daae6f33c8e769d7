"""Alembic's entry point: runs the steps on the connection, and in the transaction, of `migrate_database`."""

from __future__ import annotations

from alembic import context

from gateway.ledger.migrate import VERSION_TABLE
from gateway.ledger.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, version_table=VERSION_TABLE
)
context.run_migrations()

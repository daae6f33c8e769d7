"""Opens the ledger's database at the start of a program: connects, brings it to this version, or says why not."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.exc import SQLAlchemyError

from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.database import connect_database, create_private_file
from gateway.ledger.database_url import DatabaseUrlError, SqliteFile, parse_database_url
from gateway.ledger.migrate import NewerDatabaseError, migrate_database
from gateway.ledger.sql_store import SqlStore

OPEN_SECONDS = 60.0
"""How long opening may take, with the steps that are missing. Others who do them are waited for so long."""

PATIENT_SECONDS = 30.0
"""How long a command that a person waits for gives the database for one transaction."""


class CannotOpenError(Exception):
    """The database cannot be used. The message gives the reason in a line, without a password."""


async def open_store(url: str, upstream: UpstreamIdentity, *, operation_seconds: float = PATIENT_SECONDS) -> SqlStore:
    """Open the ledger of an upstream in the database at a URL.

    Raises:
        CannotOpenError: The database cannot be used.
    """
    try:
        # Migrations may take longer than an operation.
        await _migrate(url)
        return SqlStore(connect_database(url, operation_seconds=operation_seconds), upstream.lasting)
    except (DatabaseUrlError, NewerDatabaseError) as error:
        raise CannotOpenError(str(error)) from None


async def _migrate(url: str) -> None:
    database = connect_database(url, operation_seconds=OPEN_SECONDS)
    try:
        place = parse_database_url(url)
        if isinstance(place, SqliteFile):
            create_private_file(place)
        async with asyncio.timeout(OPEN_SECONDS), database.writer.begin() as connection:
            await connection.run_sync(migrate_database)
    except TimeoutError:
        raise CannotOpenError("it does not answer") from None
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise CannotOpenError(database.describe_error(error)) from None
    finally:
        with suppress(Exception):
            await database.aclose()

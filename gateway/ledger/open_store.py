"""Opens the ledger's database at the start of a program: connects, brings it to this version, or says why not."""

from __future__ import annotations

import asyncio
import sqlite3

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.exc import SQLAlchemyError

from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.database_url import DatabaseUrlError, SqliteFile, parse_database_url
from gateway.ledger.ledger_database import connect_database, create_file, prepare_file
from gateway.ledger.ledger_store import CannotOpenError
from gateway.ledger.migrate import NewerDatabaseError, migrate_database
from gateway.ledger.record_store import KeptTexts
from gateway.ledger.sql_store import SqlStore

OPEN_SECONDS = 60.0
"""How long opening may take, with the steps that are missing. Others who do them are waited for so long."""

PATIENT_SECONDS = 30.0
"""How long a command that a person waits for gives the database for one transaction."""


def make_store(
    url: str, upstream: UpstreamIdentity, *, operation_seconds: float, kept_texts: KeptTexts = KeptTexts.ALL
) -> SqlStore:
    """Make the store of an upstream over the database at a URL, whose tables are there when it is used.

    Raises:
        CannotOpenError: The URL has an option that cannot be honoured.
    """
    try:
        database = connect_database(url, operation_seconds=operation_seconds)
    except DatabaseUrlError as error:
        raise CannotOpenError(str(error)) from None
    return SqlStore(database, upstream.lasting, kept_texts=kept_texts)


async def open_store(
    url: str,
    upstream: UpstreamIdentity,
    *,
    operation_seconds: float = PATIENT_SECONDS,
    kept_texts: KeptTexts = KeptTexts.ALL,
) -> SqlStore:
    """Open the ledger of an upstream in the database at a URL, which is brought to this version before.

    Raises:
        CannotOpenError: The database cannot be used.
    """
    store = make_store(url, upstream, operation_seconds=operation_seconds, kept_texts=kept_texts)
    await migrate(url)
    return store


async def migrate(url: str) -> None:
    """Bring the database at a URL to the version of this program. It may take longer than any operation.

    Raises:
        CannotOpenError: The database cannot be used.
    """
    database = connect_database(url, operation_seconds=OPEN_SECONDS)
    try:
        place = parse_database_url(url)
        if isinstance(place, SqliteFile):
            create_file(place)  # in no thread, since others of this process may begin to use it
            await asyncio.to_thread(prepare_file, place, timeout_seconds=OPEN_SECONDS)
        async with asyncio.timeout(OPEN_SECONDS), database.writer.begin() as connection:
            await connection.run_sync(migrate_database)
    except NewerDatabaseError as error:
        raise CannotOpenError(str(error)) from None
    except TimeoutError:
        raise CannotOpenError("it does not answer") from None
    except (
        SQLAlchemyError,
        sqlite3.Error,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        OSError,
        ValueError,
    ) as error:
        raise CannotOpenError(database.describe_error(error)) from None
    finally:
        await database.aclose()

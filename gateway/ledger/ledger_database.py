"""Connections to the database of the ledger: bounded in number and in time, errors told apart, nothing secret shown.

PostgreSQL has one pool. SQLite has two, because it has one writer at a time: writers wait for each other in this
process, and only for those of other processes in the database.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import URL, event
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.ledger.database_url import PostgresqlServer, SqliteFile, parse_database_url
from gateway.ledger.ledger_store import LedgerUnavailableError

CONNECT_SECONDS = 2.0
"""How long connecting may take, unless the URL says otherwise. Callers give up before, the connection is kept."""

CLOSE_SECONDS = 2.0

MAX_CONNECTIONS = 8
"""Most connections of a process to PostgreSQL, and most readers of a SQLite file."""

RECYCLE_SECONDS = 300.0
"""Age at which an idle connection is replaced, before a firewall forgets it."""

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Database:
    """The engines of a database. `reader` begins no transaction: each of its statements stands alone."""

    reader: AsyncEngine
    writer: AsyncEngine
    password: str | None = field(repr=False)
    operation_seconds: float

    @property
    def is_postgresql(self) -> bool:
        """Whether the database is PostgreSQL, else SQLite."""
        return self.writer.dialect.name == "postgresql"

    async def read(self, work: Callable[[AsyncConnection], Awaitable[ResultT]]) -> ResultT:
        """Run statements, each for itself.

        Raises:
            LedgerUnavailableError: The database did not answer.
        """
        return await self._run(self.reader.connect, work)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[ResultT]]) -> ResultT:
        """Run a transaction. It is run once more if its connection turns out to be dead.

        Raises:
            LedgerUnavailableError: The database did not answer. The transaction may have been committed.
        """
        return await self._run(self.writer.begin, work)

    async def aclose(self) -> None:
        """Close all connections."""
        for engine in {id(engine): engine for engine in (self.writer, self.reader)}.values():
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await engine.dispose()

    def describe_error(self, error: BaseException) -> str:
        """Describe an error in a line without the statement, its values, and the password."""
        cause: object = getattr(error, "orig", None) or error
        if isinstance(cause, OSError) and cause.strerror:
            return f"{cause.strerror}: {cause.filename}" if cause.filename else cause.strerror
        words = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        return words.replace(self.password, "***") if self.password else words

    async def _run(self, connect: Callable[[], Any], work: Callable[[AsyncConnection], Awaitable[ResultT]]) -> ResultT:
        try:
            try:
                return await self._run_once(connect, work)
            except DBAPIError as error:
                # The database was started again since the connection was used last. SQLAlchemy has now dropped all
                # connections of that age.
                if not error.connection_invalidated:
                    raise
                return await self._run_once(connect, work)
        except DataError:
            raise
        except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise LedgerUnavailableError(self.describe_error(error)) from None

    async def _run_once(
        self, connect: Callable[[], Any], work: Callable[[AsyncConnection], Awaitable[ResultT]]
    ) -> ResultT:
        async with connect() as connection, self._aborted_when_late(connection):
            return await work(connection)

    @asynccontextmanager
    async def _aborted_when_late(self, connection: AsyncConnection) -> AsyncIterator[None]:
        """Cut the connection after `operation_seconds`, which ends the statement that waits.

        Cancelling would first tell the server, by a further connection. A cut connection also makes SQLAlchemy replace
        the others of the pool. A SQLite file waits for a lock no longer than its busy timeout.
        """
        if not self.is_postgresql:
            yield
            return
        driver: Any = (await connection.get_raw_connection()).driver_connection
        loop = asyncio.get_running_loop()
        until = loop.time() + self.operation_seconds
        timer = loop.call_at(until, driver.terminate)
        try:
            yield
        except DBAPIError as error:
            if loop.time() < until:
                raise
            raise TimeoutError(f"no answer within {self.operation_seconds:g} s") from error
        finally:
            timer.cancel()


def connect_database(url: str, *, operation_seconds: float) -> Database:
    """Make the connections to a database; they are opened when they are used.

    Raises:
        DatabaseUrlError: The URL has an option that cannot be honoured.
    """
    place = parse_database_url(url)
    if isinstance(place, SqliteFile):
        return _connect_sqlite(place, operation_seconds)
    return _connect_postgresql(place, operation_seconds)


def _connect_postgresql(server: PostgresqlServer, operation_seconds: float) -> Database:
    timeout_seconds = server.connect_timeout_seconds or CONNECT_SECONDS

    async def connect(**_: object) -> object:
        return await asyncpg.connect(
            server.dsn, timeout=timeout_seconds, server_settings={"application_name": "threads-gateway"}
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=MAX_CONNECTIONS,
        max_overflow=0,
        pool_timeout=operation_seconds,
        pool_recycle=RECYCLE_SECONDS,
        pool_use_lifo=True,
        hide_parameters=True,
    )
    reader = engine.execution_options(isolation_level="AUTOCOMMIT")
    return Database(reader, engine, server.password, operation_seconds)


def _connect_sqlite(file: SqliteFile, operation_seconds: float) -> Database:
    reader, writer = (
        create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(file.path)),
            connect_args={"timeout": operation_seconds},
            pool_size=size,
            max_overflow=0,
            pool_timeout=operation_seconds,
            hide_parameters=True,
        )
        for size in (MAX_CONNECTIONS, 1)
    )

    def prepare(connection: Any, _: object) -> None:
        # The driver begins no transaction by itself.
        connection.isolation_level = None
        cursor = connection.cursor()
        # A committed owner outlives a loss of power.
        for setting in ("synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    def begin(connection: Any) -> None:
        # A transaction that begins by reading could not wait for another's write.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    for engine in (reader, writer):
        event.listen(engine.sync_engine, "connect", prepare)
    event.listen(writer.sync_engine, "begin", begin)
    return Database(reader, writer, None, operation_seconds)


def create_file(file: SqliteFile) -> None:
    """Create the file of a new database, so that only this user can read it. SQLite's other files follow it.

    No other thread of the process may use the file meanwhile: closing any descriptor of a file drops all locks that its
    process has on it.

    Source: https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_

    Raises:
        OSError: It cannot be created.
    """
    with suppress(FileExistsError):
        os.close(os.open(file.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def prepare_file(file: SqliteFile, *, timeout_seconds: float) -> None:
    """Check that a file is a database, and switch it to the journal mode `WAL`, in which it then remains.

    SQLite switches after it has read the file, and a reader that begins to write does not wait for another writer: one
    of two programs that switch at once would fail. Therefore the file is locked first, until the connection is closed.

    Source: https://sqlite.org/c3ref/busy_handler.html and https://sqlite.org/pragma.html#pragma_locking_mode

    Raises:
        sqlite3.Error: It is no database, cannot be read, or was in use for `timeout_seconds`.
    """
    with closing(sqlite3.connect(file.path, timeout=timeout_seconds, isolation_level=None)) as connection:
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")

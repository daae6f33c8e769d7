"""The emulator's SQLite file and its tables. A file with other tables is refused."""

import sqlite3
from pathlib import Path

SCHEMA_VERSION = 1

_TABLES = """
CREATE TABLE objects (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    partition  TEXT NOT NULL,
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    parent_id  TEXT,
    run_id     TEXT,
    created_at INTEGER NOT NULL,
    document   TEXT NOT NULL,
    UNIQUE (partition, id),
    FOREIGN KEY (partition, parent_id) REFERENCES objects (partition, id) ON DELETE CASCADE
);
CREATE INDEX objects_in_order ON objects (partition, kind, parent_id, created_at, sequence);
CREATE INDEX objects_by_parent ON objects (partition, parent_id);

CREATE TABLE timelines (
    partition TEXT NOT NULL,
    run_id    TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    applied   INTEGER NOT NULL,
    next_due  REAL,
    events    TEXT NOT NULL,
    PRIMARY KEY (partition, run_id),
    FOREIGN KEY (partition, run_id) REFERENCES objects (partition, id) ON DELETE CASCADE
);
CREATE INDEX timelines_in_flight ON timelines (partition, thread_id) WHERE next_due IS NOT NULL;

CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
);
"""

# Came later. Databases of before get it when they are opened.
_LATER_TABLES = """
CREATE TABLE IF NOT EXISTS file_pieces (
    partition TEXT NOT NULL,
    file_id   TEXT NOT NULL,
    start     INTEGER NOT NULL,
    content   BLOB NOT NULL,
    PRIMARY KEY (partition, file_id, start),
    FOREIGN KEY (partition, file_id) REFERENCES objects (partition, id) ON DELETE CASCADE
);
"""
# The table of before `file_pieces`, which held each file as a whole.
_FIND_WHOLE_FILES = "SELECT 1 FROM sqlite_master WHERE name = 'file_contents'"
_MOVE_WHOLE_FILES = """
BEGIN;
INSERT INTO file_pieces (partition, file_id, start, content) SELECT partition, file_id, 0, content FROM file_contents;
DROP TABLE file_contents;
COMMIT;
"""


class DatabaseVersionError(Exception):
    """The file was written by another version of the emulator, or by another program."""


def open_database(database: str) -> sqlite3.Connection:
    """Return a connection to the file, or to a new `:memory:` database. A missing file is created.

    Raises:
        DatabaseVersionError: The file holds tables of another version, or is no database.
    """
    # The emulator runs in one thread, but an application may be built in one thread and served in another.
    connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, database)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, database: str) -> None:
    name = database if database == ":memory:" else Path(database).name
    connection.execute("PRAGMA foreign_keys = ON")
    try:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    except sqlite3.DatabaseError as error:
        message = f"expected {name} to be a database of the emulator, got something else: {error}"
        raise DatabaseVersionError(message) from error
    if is_empty and found == 0:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    elif found != SCHEMA_VERSION:
        message = (
            f"expected {name} to hold emulator data of version {SCHEMA_VERSION}, got version {found}; "
            "move the file away to start with an empty one"
        )
        raise DatabaseVersionError(message)
    connection.executescript(_LATER_TABLES)
    if connection.execute(_FIND_WHOLE_FILES).fetchone():
        connection.executescript(_MOVE_WHOLE_FILES)
    # The data can be made again, so a power cut may lose the last write.
    connection.execute("PRAGMA synchronous = NORMAL")

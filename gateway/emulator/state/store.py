"""The store of all objects in SQLite: a partition for each API key, and lists in a stable order."""

import io
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Generic, TypeVar

from cachetools import LRUCache
from pydantic import TypeAdapter

from gateway.emulator.bodies.list_query import Bounds, ListPosition, ListQuery
from gateway.emulator.ids import id_from_name
from gateway.emulator.objects import Assistant, Message, Run, Step, Thread, UploadedFile
from gateway.emulator.response_objects import Conversation, ConversationItem, Response
from gateway.emulator.runs.lifecycle import next_event_at
from gateway.emulator.runs.timeline_events import Timeline
from gateway.emulator.state.database import open_database
from gateway.emulator.state.file_pieces import FilePieces

Stored = TypeVar(
    "Stored", Thread, Message, Run, Step, Assistant, UploadedFile, Conversation, ConversationItem, Response
)

_TIMELINE: TypeAdapter[Timeline] = TypeAdapter(Timeline)
_DECODED_TIMELINES = 32
_BOUNDS = """
    AND (:low_at IS NULL OR (created_at, sequence) > (:low_at, :low_sequence))
    AND (:high_at IS NULL OR (created_at, sequence) < (:high_at, :high_sequence))
"""
_SELECT = """
    SELECT document FROM objects
    WHERE partition = :partition AND kind = :kind AND parent_id IS :parent_id
    AND (:run_id IS NULL OR run_id = :run_id)
"""
_OLDEST_FIRST = f"{_SELECT} {_BOUNDS} ORDER BY created_at, sequence LIMIT :limit"
_NEWEST_FIRST = f"{_SELECT} {_BOUNDS} ORDER BY created_at DESC, sequence DESC LIMIT :limit"


class ObjectTable(Generic[Stored]):
    """The objects of one kind. `parent` and `group` name fields: the object that owns one, and a filter of lists."""

    def __init__(
        self, connection: sqlite3.Connection, kind: type[Stored], parent: str | None = None, group: str = "run_id"
    ) -> None:
        self._connection = connection
        self._kind = kind.__name__
        self._parent = parent
        self._group = group
        self._adapter: TypeAdapter[Stored] = TypeAdapter(kind)

    def add(self, partition: str, stored: Stored) -> None:
        """Store a new object."""
        parent_id = getattr(stored, self._parent) if self._parent else None
        run_id = getattr(stored, self._group, None)
        self._connection.execute(
            "INSERT INTO objects (partition, kind, id, parent_id, run_id, created_at, document) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (partition, self._kind, stored.id, parent_id, run_id, stored.created_at, self._to_json(stored)),
        )

    def get(self, partition: str, object_id: str, *, parent_id: str | None = None) -> Stored | None:
        """Return the object with this id (and this parent, if one is named). None if there is none."""
        row = self._connection.execute(
            "SELECT document FROM objects WHERE partition = ? AND id = ? AND kind = ? AND (? IS NULL OR parent_id = ?)",
            (partition, object_id, self._kind, parent_id, parent_id),
        ).fetchone()
        return None if row is None else self._adapter.validate_json(row[0])

    def replace(self, partition: str, stored: Stored) -> None:
        """Store the new state of an object. Its position in lists does not change."""
        self._connection.execute(
            "UPDATE objects SET document = ? WHERE partition = ? AND id = ?",
            (self._to_json(stored), partition, stored.id),
        )

    def delete(self, partition: str, object_id: str) -> None:
        """Delete an object and all objects that belong to it."""
        self._connection.execute("DELETE FROM objects WHERE partition = ? AND id = ?", (partition, object_id))

    def position(self, partition: str, object_id: str, parent_id: str | None) -> ListPosition | None:
        """Return the position of an object in its parent's list. None if the list does not hold it."""
        row = self._connection.execute(
            "SELECT created_at, sequence FROM objects WHERE partition = ? AND id = ? AND kind = ? AND parent_id IS ?",
            (partition, object_id, self._kind, parent_id),
        ).fetchone()
        return None if row is None else ListPosition(*row)

    def page(
        self,
        partition: str,
        parent_id: str | None,
        query: ListQuery,
        bounds: Bounds | None = None,
        run_id: str | None = None,
    ) -> tuple[list[Stored], bool]:
        """Return the page that the query asks for, in its order, and whether more objects lie in its direction.

        With a `run_id`, the page holds the objects of that group only.
        """
        bounds = bounds or Bounds()
        rows = self._connection.execute(
            _OLDEST_FIRST if query.reads_oldest_first else _NEWEST_FIRST,
            {
                "partition": partition,
                "kind": self._kind,
                "parent_id": parent_id,
                "run_id": run_id,
                "low_at": bounds.low.created_at if bounds.low else None,
                "low_sequence": bounds.low.sequence if bounds.low else None,
                "high_at": bounds.high.created_at if bounds.high else None,
                "high_sequence": bounds.high.sequence if bounds.high else None,
                # One object more than the limit shows that there are more.
                "limit": query.limit + 1,
            },
        ).fetchall()
        found = [self._adapter.validate_json(row[0]) for row in rows[: query.limit]]
        if query.reads_backwards:
            found.reverse()
        return found, len(rows) > query.limit

    def list_all(self, partition: str, parent_id: str | None) -> list[Stored]:
        """Return every object of a parent, or of none, oldest first."""
        rows = self._connection.execute(
            "SELECT document FROM objects WHERE partition = ? AND kind = ? AND parent_id IS ? "
            "ORDER BY created_at, sequence",
            (partition, self._kind, parent_id),
        ).fetchall()
        return [self._adapter.validate_json(row[0]) for row in rows]

    def count(self, partition: str, parent_id: str | None) -> int:
        """Return the number of a parent's objects, or of those without a parent."""
        row = self._connection.execute(
            "SELECT count(*) FROM objects WHERE partition = ? AND kind = ? AND parent_id IS ?",
            (partition, self._kind, parent_id),
        ).fetchone()
        return int(row[0])

    def _to_json(self, stored: Stored) -> str:
        return self._adapter.dump_json(stored).decode()


class Store:
    """All object tables of one database, and the timelines of its runs."""

    def __init__(self, database: str) -> None:
        self._connection = open_database(database)
        self.threads = ObjectTable(self._connection, Thread)
        self.messages = ObjectTable(self._connection, Message, "thread_id")
        self.runs = ObjectTable(self._connection, Run, "thread_id")
        self.steps = ObjectTable(self._connection, Step, "run_id")
        self.assistants = ObjectTable(self._connection, Assistant)
        self.files = ObjectTable(self._connection, UploadedFile)
        self.file_pieces = FilePieces(self._connection)
        self.conversations = ObjectTable(self._connection, Conversation)
        self.items = ObjectTable(self._connection, ConversationItem, "conversation_id")
        # A response outlives its conversation, so that it belongs to none.
        self.responses = ObjectTable(self._connection, Response, group="conversation_id")
        # The last timelines, each with its text in the database. A run of a model reads and writes its timeline at
        # each piece of the answer, and decoding a long one would take more time than everything else.
        self._decoded_timelines: LRUCache[tuple[str, str], tuple[str, Timeline]] = LRUCache(_DECODED_TIMELINES)

    def close(self) -> None:
        """Close the database. The store cannot be used afterwards."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all writes of the block, or roll them back if it raises."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def new_id(self, prefix: str) -> str:
        """Return an id that this database has never returned before, not even before a restart."""
        return id_from_name(prefix, str(self._increment("ids")))

    def mark_once(self, name: str) -> bool:
        """Store a lasting mark, and return whether it is the first one with this name."""
        return self._increment(name) == 1

    def store_file(self, partition: str, file: UploadedFile, content: IO[bytes] | bytes) -> None:
        """Store a new file and its content. Both are deleted together."""
        self.files.add(partition, file)
        self.file_pieces.store_content(
            partition, file.id, io.BytesIO(content) if isinstance(content, bytes) else content
        )

    def store_timeline(self, partition: str, run: Run, timeline: Timeline, applied: int) -> None:
        """Store a run's timeline. Its first `applied` events have been applied already."""
        events = _TIMELINE.dump_json(timeline).decode()
        self._decoded_timelines[partition, run.id] = (events, timeline)
        self._connection.execute(
            "INSERT INTO timelines (partition, run_id, thread_id, applied, next_due, events) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (partition, run_id) DO UPDATE "
            "SET applied = excluded.applied, next_due = excluded.next_due, events = excluded.events",
            (
                partition,
                run.id,
                run.thread_id,
                applied,
                next_event_at(timeline, applied),
                events,
            ),
        )

    def load_timeline(self, partition: str, run_id: str) -> tuple[Timeline, int]:
        """Return a run's timeline and how many of its events have been applied."""
        row = self._connection.execute(
            "SELECT events, applied FROM timelines WHERE partition = ? AND run_id = ?",
            (partition, run_id),
        ).fetchone()
        if row is None:
            return (), 0
        events, applied = row
        known, timeline = self._decoded_timelines.get((partition, run_id), ("", ()))
        if known != events:
            timeline = _TIMELINE.validate_json(events)
            self._decoded_timelines[partition, run_id] = (events, timeline)
        return timeline, applied

    def due_run_ids(self, partition: str, thread_id: str, now: float) -> list[str]:
        """Return the ids of a thread's runs that have a due event."""
        return [
            row[0]
            for row in self._connection.execute(
                "SELECT run_id FROM timelines WHERE partition = ? AND thread_id = ? AND next_due <= ?",
                (partition, thread_id, now),
            )
        ]

    def runs_in_flight(self) -> list[tuple[str, str, str]]:
        """Return partition, thread id and run id of every run that has not ended."""
        return self._connection.execute(
            "SELECT partition, thread_id, run_id FROM timelines WHERE next_due IS NOT NULL"
        ).fetchall()

    def active_run_id(self, partition: str, thread_id: str) -> str | None:
        """Return the id of the thread's run that has not ended. None if there is none.

        Every run that has not ended has a pending event, at least its expiry.
        """
        row: Any = self._connection.execute(
            "SELECT run_id FROM timelines WHERE partition = ? AND thread_id = ? AND next_due IS NOT NULL",
            (partition, thread_id),
        ).fetchone()
        return None if row is None else str(row[0])

    def _increment(self, name: str) -> int:
        row = self._connection.execute(
            "INSERT INTO counters (name, value) VALUES (?, 1) "
            "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
            (name,),
        ).fetchone()
        return int(row[0])

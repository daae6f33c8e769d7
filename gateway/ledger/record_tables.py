"""The tables of records as this version of the program uses them. `migrations/` makes them.

Times are Unix milliseconds. `ledger_words`, which only SQLite has, follows `ledger_texts` by triggers.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

from gateway.ledger.storable_text import StorableText
from gateway.ledger.tables import METADATA

_NUMBER = BigInteger().with_variant(Integer, "sqlite")

THREADS = Table(
    "ledger_threads",
    METADATA,
    Column("record_id", _NUMBER, primary_key=True, autoincrement=True),
    Column("upstream", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("thread_id", StorableText, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("last_activity_at_ms", BigInteger, nullable=False),
    Column("is_archived", Boolean, nullable=False),
    Column("given_title", StorableText),
    Column("titled_at_ms", BigInteger),
    Column("first_words", StorableText),
    Column("first_words_rank", SmallInteger),
    Column("first_words_created_at_ms", BigInteger),
    Column("first_words_message_id", StorableText),
    Column("first_words_seen_at_ms", BigInteger),
    UniqueConstraint("owner", "thread_id", name="ledger_threads_owner_key"),
    Index("ledger_threads_thread_idx", "upstream", "thread_id"),
    Index("ledger_threads_activity_idx", "owner", "last_activity_at_ms", "thread_id"),
    Index("ledger_threads_created_idx", "owner", "created_at_ms", "thread_id"),
    Index("ledger_threads_archived_activity_idx", "owner", "is_archived", "last_activity_at_ms", "thread_id"),
    Index("ledger_threads_archived_created_idx", "owner", "is_archived", "created_at_ms", "thread_id"),
)
"""The records of threads: one for each owner and thread. `owner` is a digest, which is of one upstream."""

RUNS = Table(
    "ledger_runs",
    METADATA,
    Column("record_id", _NUMBER, nullable=False),
    Column("run_id", StorableText, nullable=False),
    Column("owner", Text, nullable=False),
    Column("thread_id", StorableText, nullable=False),
    Column("status", StorableText, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    Column("expires_at_ms", BigInteger),
    Column("waiting_since_ms", BigInteger),
    Column("assistant_id", StorableText),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("total_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    PrimaryKeyConstraint("record_id", "run_id", name="ledger_runs_pkey"),
    ForeignKeyConstraint(
        ["record_id"], ["ledger_threads.record_id"], name="ledger_runs_record_fkey", ondelete="CASCADE"
    ),
    Index("ledger_runs_assistant_idx", "owner", "assistant_id", "record_id"),
    Index("ledger_runs_ended_idx", "owner", "ended_at_ms"),
    Index(
        "ledger_runs_waiting_idx",
        *("owner", "waiting_since_ms", "thread_id", "run_id"),
        postgresql_where=text("waiting_since_ms IS NOT NULL"),
        sqlite_where=text("waiting_since_ms IS NOT NULL"),
    ),
)
"""The records of runs. Owner and thread stand here again for the indexes."""

TEXTS = Table(
    "ledger_texts",
    METADATA,
    Column("text_id", _NUMBER, primary_key=True, autoincrement=True),
    Column("record_id", _NUMBER, nullable=False),
    Column("message_id", StorableText, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Column("words", Text().with_variant(TSVECTOR(), "postgresql"), nullable=False),
    Column("text_digest", BigInteger),
    UniqueConstraint("record_id", "message_id", name="ledger_texts_message_key"),
    ForeignKeyConstraint(
        ["record_id"], ["ledger_threads.record_id"], name="ledger_texts_record_fkey", ondelete="CASCADE"
    ),
    Index("ledger_texts_words_idx", "words", postgresql_using="gin"),
)
"""The words of titles (with an empty message id) and of messages. A `tsvector` in PostgreSQL, in SQLite a text.

`text_digest` tells whether a text is the one that the words are of. It is null for titles, and in rows of before.
"""

WORDS = Table("ledger_words", MetaData(), Column("rowid", Integer, primary_key=True), Column("words", Text))
"""SQLite's index of the words, whose rows have the numbers of `ledger_texts`."""

REMOVALS = Table(
    "ledger_removals",
    METADATA,
    Column("upstream", Text, nullable=False),
    Column("thread_id", StorableText, nullable=False),
    Column("message_id", StorableText, nullable=False),
    Column("removed_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("upstream", "thread_id", "message_id", name="ledger_removals_pkey"),
    Index("ledger_removals_removed_at_idx", "upstream", "removed_at_ms"),
)
"""The marks of threads (with an empty message id) and messages that were removed."""

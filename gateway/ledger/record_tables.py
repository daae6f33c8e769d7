"""The tables of records as this version of the program uses them. `migrations/` makes them.

Times are Unix milliseconds. `ledger_words`, which only SQLite has, follows `ledger_texts` by triggers.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, SmallInteger, Table, Text

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
)
"""The records of threads: one for each owner and thread. `owner` is a digest, which is of one upstream."""

RUNS = Table(
    "ledger_runs",
    METADATA,
    Column("record_id", _NUMBER, primary_key=True),
    Column("run_id", StorableText, primary_key=True),
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
)
"""The records of runs. Owner and thread stand here again for the indexes."""

TEXTS = Table(
    "ledger_texts",
    METADATA,
    Column("text_id", _NUMBER, primary_key=True, autoincrement=True),
    Column("record_id", _NUMBER, nullable=False),
    Column("message_id", StorableText, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Column("words", Text, nullable=False),
)
"""The words of titles (with an empty message id) and of messages. A `tsvector` in PostgreSQL, in SQLite a text."""

WORDS = Table("ledger_words", METADATA, Column("rowid", Integer, primary_key=True), Column("words", Text))
"""SQLite's index of the words, whose rows have the numbers of `ledger_texts`."""

REMOVALS = Table(
    "ledger_removals",
    METADATA,
    Column("upstream", Text, primary_key=True),
    Column("thread_id", StorableText, primary_key=True),
    Column("message_id", StorableText, primary_key=True),
    Column("removed_at_ms", BigInteger, nullable=False),
)
"""The marks of threads (with an empty message id) and messages that were removed."""

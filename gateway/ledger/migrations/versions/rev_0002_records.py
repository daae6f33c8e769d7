"""The records of threads and runs, the words to search for, the marks of what was removed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of records. Each database searches words by its own kind of index."""
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    # Lists are ordered by the code points of ids, which the order of a language may not be.
    ordered = sa.Text(collation="C") if is_postgresql else sa.Text()
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "ledger_threads",
        sa.Column("record_id", number, primary_key=True, autoincrement=True),
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("thread_id", ordered, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("last_activity_at_ms", sa.BigInteger, nullable=False),
        sa.Column("is_archived", sa.Boolean, nullable=False),
        sa.Column("given_title", sa.Text),
        sa.Column("titled_at_ms", sa.BigInteger),
        sa.Column("first_words", sa.Text),
        sa.Column("first_words_rank", sa.SmallInteger),
        sa.Column("first_words_created_at_ms", sa.BigInteger),
        sa.Column("first_words_message_id", sa.Text),
        sa.Column("first_words_seen_at_ms", sa.BigInteger),
        sa.UniqueConstraint("owner", "thread_id", name="ledger_threads_owner_key"),
    )
    for name, columns in {
        "thread": ["upstream", "thread_id"],
        "activity": ["owner", "last_activity_at_ms", "thread_id"],
        "created": ["owner", "created_at_ms", "thread_id"],
        "archived_activity": ["owner", "is_archived", "last_activity_at_ms", "thread_id"],
        "archived_created": ["owner", "is_archived", "created_at_ms", "thread_id"],
    }.items():
        op.create_index(f"ledger_threads_{name}_idx", "ledger_threads", columns)
    op.create_table(
        "ledger_runs",
        sa.Column("record_id", number, nullable=False),
        sa.Column("run_id", ordered, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("thread_id", ordered, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("expires_at_ms", sa.BigInteger),
        sa.Column("waiting_since_ms", sa.BigInteger),
        sa.Column("assistant_id", sa.Text),
        sa.Column("prompt_tokens", sa.BigInteger),
        sa.Column("completion_tokens", sa.BigInteger),
        sa.Column("total_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.PrimaryKeyConstraint("record_id", "run_id", name="ledger_runs_pkey"),
        sa.ForeignKeyConstraint(
            ["record_id"], ["ledger_threads.record_id"], name="ledger_runs_record_fkey", ondelete="CASCADE"
        ),
    )
    op.create_index("ledger_runs_assistant_idx", "ledger_runs", ["owner", "assistant_id", "record_id"])
    op.create_index("ledger_runs_ended_idx", "ledger_runs", ["owner", "ended_at_ms"])
    waiting = sa.text("waiting_since_ms IS NOT NULL")
    op.create_index(
        "ledger_runs_waiting_idx",
        "ledger_runs",
        ["owner", "waiting_since_ms", "thread_id", "run_id"],
        postgresql_where=waiting,
        sqlite_where=waiting,
    )
    op.create_table(
        "ledger_texts",
        sa.Column("text_id", number, primary_key=True, autoincrement=True),
        sa.Column("record_id", number, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger, nullable=False),
        sa.Column("words", postgresql.TSVECTOR if is_postgresql else sa.Text, nullable=False),
        sa.UniqueConstraint("record_id", "message_id", name="ledger_texts_message_key"),
        sa.ForeignKeyConstraint(
            ["record_id"], ["ledger_threads.record_id"], name="ledger_texts_record_fkey", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "ledger_removals",
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("thread_id", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("removed_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("upstream", "thread_id", "message_id", name="ledger_removals_pkey"),
    )
    op.create_index("ledger_removals_removed_at_idx", "ledger_removals", ["upstream", "removed_at_ms"])
    for statement in _POSTGRESQL_SEARCH if is_postgresql else _SQLITE_SEARCH:
        op.execute(statement)


# Without a list of pending words, which every search would walk through.
_POSTGRESQL_SEARCH = ("CREATE INDEX ledger_texts_words_idx ON ledger_texts USING gin (words) WITH (fastupdate = off)",)

# Positions are not stored, because words are found anywhere in a text. For this tokenizer, every character beyond ASCII
# is part of a word; the words are made before.
_SQLITE_SEARCH = (
    """
    CREATE VIRTUAL TABLE ledger_words USING fts5(
        words, content='ledger_texts', content_rowid='text_id', detail='none', columnsize=0, tokenize='ascii'
    )
    """,
    """
    CREATE TRIGGER ledger_texts_inserted AFTER INSERT ON ledger_texts BEGIN
        INSERT INTO ledger_words (rowid, words) VALUES (new.text_id, new.words);
    END
    """,
    """
    CREATE TRIGGER ledger_texts_deleted AFTER DELETE ON ledger_texts BEGIN
        INSERT INTO ledger_words (ledger_words, rowid, words) VALUES ('delete', old.text_id, old.words);
    END
    """,
    """
    CREATE TRIGGER ledger_texts_updated AFTER UPDATE OF words ON ledger_texts BEGIN
        INSERT INTO ledger_words (ledger_words, rowid, words) VALUES ('delete', old.text_id, old.words);
        INSERT INTO ledger_words (rowid, words) VALUES (new.text_id, new.words);
    END
    """,
)

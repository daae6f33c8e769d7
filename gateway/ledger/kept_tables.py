"""The tables of what is kept of an upstream with responses, as this version of the program uses them.

`migrations/` makes them. Times are Unix seconds.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, text

from gateway.ledger.storable_text import StorableText
from gateway.ledger.tables import METADATA

CHAINS = Table(
    "ledger_chains",
    METADATA,
    Column("upstream", Text, nullable=False),
    Column("run_id", StorableText, nullable=False),
    Column("thread_id", StorableText, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("place", BigInteger, nullable=False),
    Column("assistant_id", StorableText),
    Column("response_ids", StorableText, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("answers", StorableText, nullable=False),
    Column("status", StorableText, nullable=False),
    Column("waiting_since", Double),
    Column("ended_run", LargeBinary),
    PrimaryKeyConstraint("upstream", "run_id", name="ledger_chains_pkey"),
    Index("ledger_chains_thread_idx", "upstream", "thread_id", "created_at", "place", "run_id"),
    Index(
        "ledger_chains_waiting_idx",
        *("upstream", "waiting_since"),
        postgresql_where=text("waiting_since IS NOT NULL"),
        sqlite_where=text("waiting_since IS NOT NULL"),
    ),
)
"""Runs as chains of responses. All but ids, times, the status, and the place among those of a second is JSON."""

ITEMS = Table(
    "ledger_items",
    METADATA,
    Column("upstream", Text, nullable=False),
    Column("thread_id", StorableText, nullable=False),
    Column("item_id", StorableText, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("run_id", StorableText),
    PrimaryKeyConstraint("upstream", "thread_id", "item_id", name="ledger_items_pkey"),
)
"""The messages of conversations that were seen."""

ASSISTANTS = Table(
    "ledger_assistants",
    METADATA,
    Column("upstream", Text, nullable=False),
    Column("shelf", Text, nullable=False),
    Column("assistant_id", StorableText, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("place", BigInteger, nullable=False),
    Column("assistant", LargeBinary, nullable=False),
    PrimaryKeyConstraint("upstream", "shelf", "assistant_id", name="ledger_assistants_pkey"),
    Index("ledger_assistants_created_idx", "upstream", "shelf", "created_at", "place", "assistant_id"),
)
"""Assistants as JSON, with their place among those of a second."""

LOCKS = Table(
    "ledger_locks",
    METADATA,
    Column("upstream", Text, nullable=False),
    Column("thread_id", StorableText, nullable=False),
    Column("holder", StorableText, nullable=False),
    Column("until", Double, nullable=False),
    PrimaryKeyConstraint("upstream", "thread_id", name="ledger_locks_pkey"),
    Index("ledger_locks_until_idx", "upstream", "until"),
)
"""The leases on conversations."""

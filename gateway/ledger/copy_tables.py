"""The table of copies as this version of the program uses it. `migrations/` makes it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, PrimaryKeyConstraint, Table, Text

from gateway.ledger.storable_text import StorableText
from gateway.ledger.tables import METADATA

COPIES = Table(
    "ledger_copies",
    METADATA,
    Column("upstream", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("old_id", StorableText, nullable=False),
    Column("new_id", StorableText),
    Column("is_done", Boolean, nullable=False),
    Column("begun_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("upstream", "family", "kind", "old_id", name="ledger_copies_pkey"),
    Index("ledger_copies_new_idx", "upstream", "new_id"),
)
"""Objects that were copied to an upstream, by their ids of before. `begun_at` is in Unix seconds."""

"""The tables of the ledger as this version of the program uses them. `migrations/` makes them.

Every name starts with `ledger_`, because the database may hold other things. Times are Unix seconds. `upstream` and
`owner` are digests; an owner's digest is of one upstream.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, MetaData, PrimaryKeyConstraint, Table, Text

from gateway.ledger.storable_text import StorableText

METADATA = MetaData()

OBJECTS = Table(
    "ledger_objects",
    METADATA,
    Column("upstream", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("object_id", StorableText, nullable=False),
    Column("owner", Text, nullable=False),
    Column("issuer", StorableText, nullable=False),
    Column("subject", StorableText, nullable=False),
    Column("tenant", StorableText, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("upstream", "kind", "object_id", name="ledger_objects_pkey"),
    Index("ledger_objects_owner_idx", "owner", "kind", "object_id"),
)
"""Upstream objects that have an owner."""

INTENTS = Table(
    "ledger_intents",
    METADATA,
    Column("intent_id", Text, nullable=False),
    Column("upstream", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("intent_id", name="ledger_intents_pkey"),
    Index("ledger_intents_owner_idx", "owner"),
    Index("ledger_intents_created_at_idx", "upstream", "created_at"),
)
"""Creates that began, and whose object is not known yet."""

TOMBSTONES = Table(
    "ledger_tombstones",
    METADATA,
    Column("owner", Text, nullable=False),
    Column("upstream", Text, nullable=False),
    Column("forgotten_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("owner", name="ledger_tombstones_pkey"),
)
"""Owners who were forgotten, by nothing but their digest."""

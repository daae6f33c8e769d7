"""The owners of objects, the intents of creates, the tombstones of forgotten owners."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "ledger_objects",
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("upstream", "kind", "object_id", name="ledger_objects_pkey"),
    )
    op.create_index("ledger_objects_owner_idx", "ledger_objects", ["owner", "kind", "object_id"])
    op.create_table(
        "ledger_intents",
        sa.Column("intent_id", sa.Text, nullable=False),
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("intent_id", name="ledger_intents_pkey"),
    )
    op.create_index("ledger_intents_owner_idx", "ledger_intents", ["owner"])
    op.create_index("ledger_intents_created_at_idx", "ledger_intents", ["upstream", "created_at"])
    op.create_table(
        "ledger_tombstones",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("forgotten_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("owner", name="ledger_tombstones_pkey"),
    )

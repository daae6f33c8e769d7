"""The objects that were copied from another upstream."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "ledger_copies",
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("family", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("old_id", sa.Text, nullable=False),
        sa.Column("new_id", sa.Text),
        sa.Column("is_done", sa.Boolean, nullable=False),
        sa.Column("begun_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("upstream", "family", "kind", "old_id", name="ledger_copies_pkey"),
    )
    op.create_index("ledger_copies_new_idx", "ledger_copies", ["upstream", "new_id"])

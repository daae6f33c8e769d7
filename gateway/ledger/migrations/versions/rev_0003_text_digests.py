"""The digests of texts, so that those that did not change are neither taken apart nor loaded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. A gateway of the version before leaves it null, and a text is then written once more."""
    op.add_column("ledger_texts", sa.Column("text_digest", sa.BigInteger))

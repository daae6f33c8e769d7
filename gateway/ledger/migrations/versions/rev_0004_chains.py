"""The runs, items, assistants and locks of an upstream with responses, which has no such things itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables. A gateway of the version before knows no such upstream, and leaves them alone."""
    # Lists are ordered by the code points of ids, which the order of a language may not be.
    ordered = sa.Text(collation="C") if op.get_bind().dialect.name == "postgresql" else sa.Text()
    op.create_table(
        "ledger_chains",
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("run_id", ordered, nullable=False),
        sa.Column("thread_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("assistant_id", sa.Text),
        sa.Column("response_ids", sa.Text, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("answers", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("waiting_since", sa.Double),
        sa.Column("ended_run", sa.LargeBinary),
        sa.PrimaryKeyConstraint("upstream", "run_id", name="ledger_chains_pkey"),
    )
    by_time = ["created_at", "place"]
    op.create_index("ledger_chains_thread_idx", "ledger_chains", ["upstream", "thread_id", *by_time, "run_id"])
    waiting = sa.text("waiting_since IS NOT NULL")
    op.create_index(
        "ledger_chains_waiting_idx",
        "ledger_chains",
        ["upstream", "waiting_since"],
        postgresql_where=waiting,
        sqlite_where=waiting,
    )
    op.create_table(
        "ledger_items",
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("thread_id", sa.Text, nullable=False),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("run_id", sa.Text),
        sa.PrimaryKeyConstraint("upstream", "thread_id", "item_id", name="ledger_items_pkey"),
    )
    op.create_table(
        "ledger_assistants",
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("shelf", sa.Text, nullable=False),
        sa.Column("assistant_id", ordered, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("assistant", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("upstream", "shelf", "assistant_id", name="ledger_assistants_pkey"),
    )
    columns = ["upstream", "shelf", *by_time, "assistant_id"]
    op.create_index("ledger_assistants_created_idx", "ledger_assistants", columns)
    op.create_table(
        "ledger_locks",
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("thread_id", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("upstream", "thread_id", name="ledger_locks_pkey"),
    )
    op.create_index("ledger_locks_until_idx", "ledger_locks", ["upstream", "until"])

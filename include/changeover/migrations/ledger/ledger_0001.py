"""The first ledger: chained entries, and the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from changeover.migrations.triggers import append_only, fixed_columns

revision = "ledger_0001"
down_revision = None
branch_labels = ("ledger",)
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "ledger_entry",
        sa.Column("id", _Id, nullable=False),
        sa.Column("run", sa.String(200), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("key", sa.Text()),
        sa.Column("at", _Time, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_entry"),
        sa.UniqueConstraint("run", "seq", name="uq_ledger_entry_run_seq"),
        sa.UniqueConstraint("run", "kind", "key", name="uq_ledger_entry_run_kind_key"),
    )
    op.create_index("ix_ledger_entry_kind_at", "ledger_entry", ["kind", "at"])
    append_only("ledger_entry")
    op.create_table(
        "ledger_outbox",
        sa.Column("id", _Id, nullable=False),
        sa.Column("op_key", sa.Text(), nullable=False),
        sa.Column("run", sa.String(200), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("next_at", _Time),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("settled_at", _Time),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_outbox"),
        sa.UniqueConstraint("op_key", name="uq_ledger_outbox_op_key"),
        sa.ForeignKeyConstraint(
            ["run", "seq"], ["ledger_entry.run", "ledger_entry.seq"], name="fk_ledger_outbox_run_seq"
        ),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'dead')", name="ck_ledger_outbox_state"),
    )
    op.create_index("ix_ledger_outbox_state_id", "ledger_outbox", ["state", "id"])
    fixed_columns("ledger_outbox", "id", "op_key", "run", "seq")

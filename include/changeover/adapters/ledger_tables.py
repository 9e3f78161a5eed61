"""Tables of the ledger: one chained, append-only table of entries, and how the outbox's writes fare."""

from __future__ import annotations

import sqlalchemy as sa

from changeover.adapters.sql import NAMING, RowId, Schema, UtcDateTime
from changeover.errors import LedgerError

metadata = sa.MetaData(naming_convention=NAMING)

entry = sa.Table(
    "ledger_entry",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("run", sa.String(200), nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(30), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("key", sa.Text),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.UniqueConstraint("run", "seq"),
    sa.UniqueConstraint("run", "kind", "key"),
    sa.Index(None, "kind", "at"),
)
"""`key` is the natural key within (run, kind); entries without one may repeat. `body` is canonical JSON."""

outbox = sa.Table(
    "ledger_outbox",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("op_key", sa.Text, nullable=False, unique=True),
    sa.Column("run", sa.String(200), nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("refusals", sa.Integer, nullable=False),
    sa.Column("next_at", UtcDateTime),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("settled_at", UtcDateTime),
    sa.ForeignKeyConstraint(["run", "seq"], ["ledger_entry.run", "ledger_entry.seq"]),
    sa.CheckConstraint("state IN ('pending', 'delivered', 'dead')", name="state"),
    sa.Index(None, "state", "id"),
)

LEDGER = Schema("ledger", "ledger_0004", metadata, refused=LedgerError, unavailable=LedgerError)

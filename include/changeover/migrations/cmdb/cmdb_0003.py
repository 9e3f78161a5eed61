"""A change has a model, planned dates, a risk, and the configuration items it touches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "cmdb_0003"
down_revision = "cmdb_0001"
branch_labels = None
depends_on = None

_Json = sa.JSON().with_variant(JSONB(), "postgresql")
_Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    for column in (
        sa.Column("model", sa.String(20), nullable=False, server_default="normal"),
        sa.Column("risk", sa.String(20), nullable=False, server_default=""),
        sa.Column("affected", _Json, nullable=False, server_default="[]"),
        sa.Column("planned_start", _Time),
        sa.Column("planned_end", _Time),
    ):
        op.add_column("cmdb_change", column)

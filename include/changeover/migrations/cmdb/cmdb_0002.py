"""Incidents name their CI, and those that other systems tell keep the key they are told under."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from changeover.adapters.sql import UtcDateTime

revision = "cmdb_0002"
down_revision = "cmdb_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("environment", "host"):
        op.add_column("cmdb_incident", sa.Column(name, sa.String(63), nullable=False, server_default=""))
    op.add_column("cmdb_incident", sa.Column("told_as", sa.String(120)))
    op.add_column("cmdb_incident", sa.Column("told_at", UtcDateTime))
    op.create_index("uq_cmdb_incident_client_id_told_as", "cmdb_incident", ["client_id", "told_as"], unique=True)

"""Tables of the embedded CMDB: what exists (CIs and their relations), who takes part, and what was changed."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from changeover.adapters.sql import NAMING, RowId, Schema, UtcDateTime
from changeover.domain.change import STATE_NUMBERS
from changeover.errors import CmdbError, CmdbUnavailable

metadata = sa.MetaData(naming_convention=NAMING)
Json = sa.JSON().with_variant(JSONB(), "postgresql")
Uuid = sa.String(36)

CI_CLASSES = ("environment", "app_instance", "host", "customisation", "integration")
STATES = ", ".join(str(number) for number in sorted(STATE_NUMBERS.values()))

client = sa.Table(
    "cmdb_client",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("slug", sa.String(63), nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
)

person = sa.Table(
    "cmdb_person",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("client_id", Uuid, sa.ForeignKey("cmdb_client.id"), nullable=False),
    sa.Column("login", sa.String(63), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("side", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("retired_at", UtcDateTime),
    sa.UniqueConstraint("client_id", "login"),
)
"""`source` names the estate that brought the person: another estate of the client does not retire them."""

application = sa.Table(
    "cmdb_application",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("slug", sa.String(63), nullable=False, unique=True),
    sa.Column("vendor", sa.Text, nullable=False),
)

ci = sa.Table(
    "cmdb_ci",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("class", sa.String(20), nullable=False),
    sa.Column("client_id", Uuid, sa.ForeignKey("cmdb_client.id"), nullable=False),
    sa.Column("application_id", Uuid, sa.ForeignKey("cmdb_application.id")),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("version", sa.Text),
    sa.Column("version_run", sa.Text),
    sa.Column("version_at", UtcDateTime),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("lifecycle_stage", sa.String(40), nullable=False),
    sa.Column("lifecycle_status", sa.String(40), nullable=False),
    sa.Column("attrs", Json, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.CheckConstraint(f"class IN ({', '.join(repr(name) for name in CI_CLASSES)})", name="class"),
    sa.Index(None, "client_id", "class", "name"),
)
"""Names are not unique: other tools write CIs too, and two of one name are refused when read (C20).

An `app_instance` is one environment's application on one host; `version_run` is the run that recorded its version.
"""

ci_rel = sa.Table(
    "cmdb_ci_rel",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("parent_id", Uuid, sa.ForeignKey("cmdb_ci.id"), nullable=False),
    sa.Column("child_id", Uuid, sa.ForeignKey("cmdb_ci.id"), nullable=False),
    sa.Column("type", sa.String(60), nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Index(
        "uq_cmdb_ci_rel_live",
        "parent_id",
        "child_id",
        "type",
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    ),
    sa.Index(None, "child_id"),
)
RUNS_ON = "Runs on::Runs"
DEPENDS_ON = "Depends on::Used by"

change = sa.Table(
    "cmdb_change",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("correlation_id", sa.String(200), nullable=False, unique=True),
    sa.Column("number", sa.String(20), nullable=False, unique=True),
    sa.Column("state", sa.Integer, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("client_id", Uuid, sa.ForeignKey("cmdb_client.id"), nullable=False),
    sa.Column("application_id", Uuid, sa.ForeignKey("cmdb_application.id"), nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("environments", Json, nullable=False),
    sa.Column("close_code", sa.String(30)),
    sa.Column("close_notes", sa.Text, nullable=False),
    sa.Column("opened_at", UtcDateTime, nullable=False),
    sa.Column("model", sa.String(20), nullable=False, server_default="normal"),
    sa.Column("risk", sa.String(20), nullable=False, server_default=""),
    sa.Column("affected", Json, nullable=False, server_default="[]"),
    sa.Column("planned_start", UtcDateTime),
    sa.Column("planned_end", UtcDateTime),
    sa.CheckConstraint(f"state IN ({STATES})", name="state"),
    sa.CheckConstraint("state <> 3 OR (close_code IS NOT NULL AND close_notes <> '')", name="closed"),
)

change_transition = sa.Table(
    "cmdb_change_transition",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("change_id", Uuid, sa.ForeignKey("cmdb_change.id"), nullable=False, index=True),
    sa.Column("from_state", sa.Integer),
    sa.Column("to_state", sa.Integer, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("op_key", sa.Text, nullable=False),
)

change_note = sa.Table(
    "cmdb_change_note",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("change_id", Uuid, sa.ForeignKey("cmdb_change.id"), nullable=False, index=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("op_key", sa.Text, nullable=False, unique=True),
)

incident = sa.Table(
    "cmdb_incident",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("number", sa.String(20), nullable=False, unique=True),
    sa.Column("client_id", Uuid, sa.ForeignKey("cmdb_client.id"), nullable=False),
    sa.Column("application_id", Uuid, sa.ForeignKey("cmdb_application.id"), nullable=False),
    sa.Column("severity", sa.Integer, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("opened_at", UtcDateTime, nullable=False),
    sa.Column("closed_at", UtcDateTime),
    sa.Column("caused_by", sa.String(200), nullable=False),
    sa.CheckConstraint("severity BETWEEN 1 AND 4", name="severity"),
    sa.Index(None, "client_id", "application_id", "closed_at"),
)

upgrade_run = sa.Table(
    "cmdb_upgrade_run",
    metadata,
    sa.Column("run_key", sa.String(200), primary_key=True),
    sa.Column("outcome", sa.String(30), nullable=False),
    sa.Column("mode", sa.String(20), nullable=False),
    sa.Column("from_version", sa.Text, nullable=False),
    sa.Column("to_version", sa.Text, nullable=False),
    sa.Column("plan_digest", sa.String(80), nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("environments", Json, nullable=False),
)

operation = sa.Table(
    "cmdb_operation",
    metadata,
    sa.Column("op_key", sa.Text, primary_key=True),
    sa.Column("change", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(30), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
)
"""Every write that was taken, so that it is taken once."""

counter = sa.Table(
    "cmdb_counter",
    metadata,
    sa.Column("name", sa.String(20), primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
)
"""Numbers of changes and incidents: never used twice."""

CMDB = Schema("cmdb", "cmdb_0003", metadata, refused=CmdbError, unavailable=CmdbUnavailable)

"""The first embedded CMDB: estate, changes, incidents, upgrade runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from changeover.migrations.triggers import append_only, never_deleted

revision = "cmdb_0001"
down_revision = None
branch_labels = ("cmdb",)
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Json = sa.JSON().with_variant(JSONB(), "postgresql")
_Time = sa.DateTime(timezone=True)
_Uuid = sa.String(36)


def upgrade() -> None:
    _estate()
    _changes()
    _the_rest()
    for table in ("cmdb_change_transition", "cmdb_change_note", "cmdb_operation"):
        append_only(table)
    for table in ("cmdb_client", "cmdb_person", "cmdb_application", "cmdb_ci", "cmdb_ci_rel", "cmdb_change",
                  "cmdb_incident", "cmdb_upgrade_run"):  # fmt: skip
        never_deleted(table)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _key(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _foreign(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_{table}_{column}")


def _estate() -> None:
    op.create_table(
        "cmdb_client",
        sa.Column("id", _Uuid, nullable=False),
        _key("slug", 63),
        _text("name"),
        sa.PrimaryKeyConstraint("id", name="pk_cmdb_client"),
        sa.UniqueConstraint("slug", name="uq_cmdb_client_slug"),
    )
    op.create_table(
        "cmdb_person",
        sa.Column("id", _Uuid, nullable=False),
        sa.Column("client_id", _Uuid, nullable=False),
        _key("login", 63),
        *(_text(name) for name in ("name", "role", "side", "email", "source")),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("retired_at", _Time),
        sa.PrimaryKeyConstraint("id", name="pk_cmdb_person"),
        _foreign("cmdb_person", "client_id", "cmdb_client"),
        sa.UniqueConstraint("client_id", "login", name="uq_cmdb_person_client_id_login"),
    )
    op.create_table(
        "cmdb_application",
        sa.Column("id", _Uuid, nullable=False),
        _key("slug", 63),
        _text("vendor"),
        sa.PrimaryKeyConstraint("id", name="pk_cmdb_application"),
        sa.UniqueConstraint("slug", name="uq_cmdb_application_slug"),
    )
    op.create_table(
        "cmdb_ci",
        sa.Column("id", _Uuid, nullable=False),
        _key("class", 20),
        sa.Column("client_id", _Uuid, nullable=False),
        sa.Column("application_id", _Uuid),
        _text("name"),
        _text("kind"),
        sa.Column("version", sa.Text()),
        sa.Column("version_run", sa.Text()),
        sa.Column("version_at", _Time),
        sa.Column("position", sa.Integer(), nullable=False),
        _key("lifecycle_stage", 40),
        _key("lifecycle_status", 40),
        sa.Column("attrs", _Json, nullable=False),
        sa.Column("updated_at", _Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cmdb_ci"),
        _foreign("cmdb_ci", "client_id", "cmdb_client"),
        _foreign("cmdb_ci", "application_id", "cmdb_application"),
        sa.CheckConstraint(
            "class IN ('environment', 'app_instance', 'host', 'customisation', 'integration')", name="ck_cmdb_ci_class"
        ),
    )
    op.create_index("ix_cmdb_ci_client_id_class_name", "cmdb_ci", ["client_id", "class", "name"])
    _relations()


def _relations() -> None:
    op.create_table(
        "cmdb_ci_rel",
        sa.Column("id", _Id, nullable=False),
        sa.Column("parent_id", _Uuid, nullable=False),
        sa.Column("child_id", _Uuid, nullable=False),
        _key("type", 60),
        sa.Column("since", _Time, nullable=False),
        sa.Column("ended_at", _Time),
        sa.PrimaryKeyConstraint("id", name="pk_cmdb_ci_rel"),
        _foreign("cmdb_ci_rel", "parent_id", "cmdb_ci"),
        _foreign("cmdb_ci_rel", "child_id", "cmdb_ci"),
    )
    live = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_cmdb_ci_rel_live", "cmdb_ci_rel", ["parent_id", "child_id", "type"],
        unique=True, sqlite_where=live, postgresql_where=live,
    )  # fmt: skip
    op.create_index("ix_cmdb_ci_rel_child_id", "cmdb_ci_rel", ["child_id"])


def _changes() -> None:
    op.create_table(
        "cmdb_change",
        sa.Column("id", _Uuid, nullable=False),
        _key("correlation_id", 200),
        _key("number", 20),
        sa.Column("state", sa.Integer(), nullable=False),
        _text("title"),
        _text("description"),
        sa.Column("client_id", _Uuid, nullable=False),
        sa.Column("application_id", _Uuid, nullable=False),
        _text("requested_by"),
        _text("reference"),
        sa.Column("environments", _Json, nullable=False),
        sa.Column("close_code", sa.String(30)),
        _text("close_notes"),
        sa.Column("opened_at", _Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cmdb_change"),
        sa.UniqueConstraint("correlation_id", name="uq_cmdb_change_correlation_id"),
        sa.UniqueConstraint("number", name="uq_cmdb_change_number"),
        _foreign("cmdb_change", "client_id", "cmdb_client"),
        _foreign("cmdb_change", "application_id", "cmdb_application"),
        sa.CheckConstraint("state IN (-5, -4, -3, -2, -1, 0, 3, 4)", name="ck_cmdb_change_state"),
        sa.CheckConstraint(
            "state <> 3 OR (close_code IS NOT NULL AND close_notes <> '')", name="ck_cmdb_change_closed"
        ),
    )
    for table, columns in (
        (
            "cmdb_change_transition",
            (sa.Column("from_state", sa.Integer()), sa.Column("to_state", sa.Integer(), nullable=False)),
        ),
        ("cmdb_change_note", (_text("text"),)),
    ):
        op.create_table(
            table,
            sa.Column("id", _Id, nullable=False),
            sa.Column("change_id", _Uuid, nullable=False),
            *columns,
            sa.Column("at", _Time, nullable=False),
            _text("op_key"),
            sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
            _foreign(table, "change_id", "cmdb_change"),
            *((sa.UniqueConstraint("op_key", name=f"uq_{table}_op_key"),) if table == "cmdb_change_note" else ()),
        )
        op.create_index(f"ix_{table}_change_id", table, ["change_id"])


def _the_rest() -> None:
    op.create_table(
        "cmdb_incident",
        sa.Column("id", _Id, nullable=False),
        _key("number", 20),
        sa.Column("client_id", _Uuid, nullable=False),
        sa.Column("application_id", _Uuid, nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        _text("summary"),
        sa.Column("opened_at", _Time, nullable=False),
        sa.Column("closed_at", _Time),
        _key("caused_by", 200),
        sa.PrimaryKeyConstraint("id", name="pk_cmdb_incident"),
        sa.UniqueConstraint("number", name="uq_cmdb_incident_number"),
        _foreign("cmdb_incident", "client_id", "cmdb_client"),
        _foreign("cmdb_incident", "application_id", "cmdb_application"),
        sa.CheckConstraint("severity BETWEEN 1 AND 4", name="ck_cmdb_incident_severity"),
    )
    op.create_index(
        "ix_cmdb_incident_client_id_application_id_closed_at",
        "cmdb_incident",
        ["client_id", "application_id", "closed_at"],
    )
    op.create_table(
        "cmdb_upgrade_run",
        _key("run_key", 200),
        _key("outcome", 30),
        _key("mode", 20),
        _text("from_version"),
        _text("to_version"),
        _key("plan_digest", 80),
        sa.Column("started_at", _Time, nullable=False),
        sa.Column("ended_at", _Time),
        sa.Column("environments", _Json, nullable=False),
        sa.PrimaryKeyConstraint("run_key", name="pk_cmdb_upgrade_run"),
    )
    op.create_table(
        "cmdb_operation",
        _text("op_key"),
        _key("change", 200),
        _key("kind", 30),
        sa.Column("at", _Time, nullable=False),
        sa.PrimaryKeyConstraint("op_key", name="pk_cmdb_operation"),
    )
    op.create_table(
        "cmdb_counter",
        _key("name", 20),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_cmdb_counter"),
    )

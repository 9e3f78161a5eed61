"""Triggers that make a table's rows stay as they were written, on SQLite and on PostgreSQL."""

from __future__ import annotations

from alembic import op

_REFUSE = """
CREATE OR REPLACE FUNCTION changeover_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$
"""


def append_only(table: str) -> None:
    """No row of the table is ever changed or taken away."""
    _refuse(table, "update", "UPDATE")
    never_deleted(table)


def fixed_columns(table: str, *columns: str) -> None:
    """These columns stay as they were inserted, and no row is taken away."""
    _refuse(table, "update", f"UPDATE OF {', '.join(columns)}")
    never_deleted(table)


def never_deleted(table: str) -> None:
    _refuse(table, "delete", "DELETE")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION changeover_refuse()"
        )


def _refuse(table: str, name: str, event: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_REFUSE)
        op.execute(
            f"CREATE TRIGGER {table}_no_{name} BEFORE {event} ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION changeover_refuse()"
        )
        return
    op.execute(
        f"CREATE TRIGGER {table}_no_{name} BEFORE {event} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {name} refused'); END"
    )

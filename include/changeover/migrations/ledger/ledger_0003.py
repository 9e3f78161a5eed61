"""The wait for a decision that the hypercare watch reopened is a wait for people as well."""

from __future__ import annotations

from alembic import op

from changeover.migrations.ledger import ledger_0002 as before

revision = "ledger_0003"
down_revision = "ledger_0002"
branch_labels = None
depends_on = None

_REOPENED = "OR (a.gate = 'hypercare' AND q.kind = 'mark' AND q.name = 'hypercare_reopened')"
_MADE_ANEW = ("kpi_wait", "kpi_lost_time", "kpi_cost", "kpi_measure")
"""The view that changes, and those that stand on it, in order."""


def upgrade() -> None:
    made = views(before.dialect_of(op.get_bind().dialect.name))
    for name in reversed(_MADE_ANEW):
        op.execute(f"DROP VIEW {name}")
    for name in _MADE_ANEW:
        op.execute(f"CREATE VIEW {name} AS {made[name]}")


def views(dialect: before._Sqlite | before._Postgres) -> dict[str, str]:
    """Every view as it is from this revision on."""
    found = before.views(dialect)
    found["kpi_wait"] = found["kpi_wait"].replace(before.QUESTIONS, f"{before.QUESTIONS} {_REOPENED}")
    return found

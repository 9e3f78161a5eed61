"""KPIs that stay what they are when a task is cleared, and count on both sides of a quotient the same upgrades."""

# ruff: noqa: S608 -- every part of the queries stands in this file and the ones before it

from __future__ import annotations

from alembic import op

from changeover.migrations.ledger import ledger_0002, ledger_0003
from changeover.migrations.ledger.ledger_0002 import _Postgres, _Sqlite

revision = "ledger_0004"
down_revision = "ledger_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    dialect = ledger_0002.dialect_of(op.get_bind().dialect.name)
    made = views(dialect)
    for name in reversed(made):
        op.execute(f"DROP VIEW {name}")
    for name, query in made.items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def views(d: _Sqlite | _Postgres) -> dict[str, str]:
    """Every view with what this revision changes in it; each may use the ones before it."""
    found = ledger_0003.views(d)
    found["kpi_run"] = _changed(found["kpi_run"], _newest("''"), _first_of_the_last("''"))
    environment = _changed(found["kpi_environment"], _newest("o.environment"), _first_of_the_last("o.environment"))
    found["kpi_environment"] = _changed(
        environment, "o.second AS settled", f"coalesce({_COMMITTED}, o.second) AS settled"
    )
    found["kpi_human_answer"] = f"""{found["kpi_human_answer"]}
        AND coalesce({d.text("m.doc", "data", "decides")}, {d.true}) <> {d.false}"""
    measures = _changed(
        found["kpi_measure"], "FROM kpi_run WHERE mode = 'implement' AND ended_on IS NOT NULL", _SETTLED
    )
    found["kpi_measure"] = _changed(measures, "FROM kpi_incident\n", _OF_WATCHED)
    return found


def _changed(query: str, old: str, new: str) -> str:
    if old not in query:
        raise LookupError(f"the view is another one than this revision changes: {old}")
    return query.replace(old, new)


def _newest(environment: str) -> str:
    return ledger_0002.newest("outcome", environment)


def _first_of_the_last(environment: str) -> str:
    """Of the newest outcome the first record: a task that is cleared records it again, and nothing new happened."""
    of = f"run = r.run AND {{0}}.kind = 'outcome' AND {{0}}.environment = {environment}"
    last = f"SELECT y.name FROM ledger_entry y WHERE y.{of.format('y')} ORDER BY y.seq DESC LIMIT 1"
    other = f"SELECT max(x.seq) FROM ledger_entry x WHERE x.{of.format('x')} AND x.name <> ({last})"
    return f"(SELECT min(n.seq) FROM ledger_entry n WHERE n.{of.format('n')} AND n.seq > coalesce(({other}), -1))"


_COMMITTED = """(SELECT c.second FROM kpi_record c WHERE c.run = o.run AND c.environment = o.environment
                        AND c.kind = 'mark' AND c.name = 'committed' ORDER BY c.seq DESC LIMIT 1)"""

_SETTLED = """FROM kpi_run r WHERE mode = 'implement' AND ended_on IS NOT NULL
        AND EXISTS (SELECT 1 FROM kpi_environment e WHERE e.run = r.run)"""

_OF_WATCHED = """FROM kpi_incident i
    WHERE EXISTS (SELECT 1 FROM kpi_environment e WHERE e.run = i.run AND e.upgraded = 1)
        AND EXISTS (SELECT 1 FROM ledger_entry h
            WHERE h.run = i.run AND h.kind = 'mark' AND h.name = 'hypercare_checked')
"""

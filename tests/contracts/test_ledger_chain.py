"""The ledger's history cannot be changed unseen: the database refuses, and the chain tells."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from changeover.adapters.ledger_sql import SqlLedger
from changeover.domain.outcome import Outcome, Verdict
from changeover.errors import LedgerError
from tests.support.records import KEY, NOW, a_gate, a_mark, a_write, opened


@pytest.fixture
def ledger(sql_ledger: SqlLedger) -> SqlLedger:
    """Five entries: the run, a mark, a gate, an outcome, a write."""
    opened(sql_ledger)
    sql_ledger.mark(a_mark())
    sql_ledger.record_gate(KEY, a_gate(), NOW)
    sql_ledger.record_outcome(KEY, "production", Verdict(Outcome.UNKNOWN), NOW)
    sql_ledger.enqueue(a_write("note"))
    return sql_ledger


def change(ledger: SqlLedger, *statements: str) -> None:
    with ledger.database.writing("test") as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def forge(ledger: SqlLedger, *statements: str) -> None:
    """What somebody with the rights of the database's owner can do."""
    off = {
        "sqlite": [f"DROP TRIGGER ledger_entry_no_{event}" for event in ("update", "delete")],
        "postgresql": ["SET LOCAL session_replication_role = replica"],
    }
    change(ledger, *off[ledger.database.engine.dialect.name], *statements)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entry SET body = '{}'",
        "UPDATE ledger_entry SET at = at WHERE seq = 1",
        "DELETE FROM ledger_entry WHERE kind = 'outcome'",
        "UPDATE ledger_outbox SET op_key = 'other'",
        "UPDATE ledger_outbox SET seq = 1",
        "DELETE FROM ledger_outbox",
    ],
)
def test_the_database_refuses_to_change_history(ledger: SqlLedger, statement: str) -> None:
    with pytest.raises(LedgerError, match="append-only"):
        change(ledger, statement)
    assert ledger.verify_chain(KEY) == ()
    assert len(ledger.outbox()) == 1


def test_the_database_refuses_to_empty_the_table(ledger: SqlLedger) -> None:
    if ledger.database.engine.dialect.name == "sqlite":
        statement = "INSERT OR REPLACE INTO ledger_entry SELECT * FROM ledger_entry WHERE seq = 1"
    else:
        statement = "TRUNCATE ledger_entry CASCADE"
    with pytest.raises(LedgerError, match="append-only"):
        change(ledger, statement)


def test_a_changed_entry_is_seen(ledger: SqlLedger) -> None:
    forge(ledger, "UPDATE ledger_entry SET body = REPLACE(body, 'unknown', 'successful') WHERE kind = 'outcome'")
    assert ledger.outcomes(KEY)["production"].outcome is Outcome.SUCCESSFUL
    assert ledger.verify_chain(KEY) == ("entry 4 (outcome unknown) is not what was recorded",)


@pytest.mark.parametrize("column", ["name", "environment", "kind", "key"])
def test_every_column_is_under_the_digest(ledger: SqlLedger, column: str) -> None:
    forge(ledger, f"UPDATE ledger_entry SET {column} = 'mark' WHERE seq = 3")  # noqa: S608  # a column of the list above
    assert len(ledger.verify_chain(KEY)) == 1


def test_a_missing_entry_is_seen(ledger: SqlLedger) -> None:
    forge(ledger, "DELETE FROM ledger_entry WHERE seq IN (2, 3)")
    assert ledger.verify_chain(KEY) == ("entries 2 to 3 are missing",)


def test_an_entry_that_was_sealed_again_breaks_the_next(ledger: SqlLedger) -> None:
    """Whoever changes an entry and its digest must change every entry after it."""
    forge(ledger, "UPDATE ledger_entry SET hash = prev_hash WHERE seq = 2")
    faults = ledger.verify_chain(KEY)
    assert faults == (
        "entry 2 (mark implementing) is not what was recorded",
        "entry 3 (gate readiness) does not follow the entry before it",
    )


def test_a_cut_end_shows_in_the_head(ledger: SqlLedger) -> None:
    """The chain cannot show that its end is gone: the head that the report printed does."""
    printed = ledger.chain_head(KEY)
    ledger.mark(a_mark())
    assert ledger.chain_head(KEY) != printed
    forge(ledger, "DELETE FROM ledger_entry WHERE seq = 6")
    assert ledger.verify_chain(KEY) == ()
    assert ledger.chain_head(KEY) == printed


def test_runs_have_chains_of_their_own(ledger: SqlLedger) -> None:
    opened(ledger, "other")
    forge(ledger, "UPDATE ledger_entry SET name = 'x' WHERE run <> 'other'")
    assert ledger.verify_chain("other") == ()

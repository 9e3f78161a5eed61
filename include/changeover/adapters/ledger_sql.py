"""The ledger in a SQL database (SQLite, PostgreSQL)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from changeover.adapters import sql
from changeover.adapters.chain import Entry, EntryKind
from changeover.adapters.ledger_entries import EntryLedger, OutboxRow, utc_now
from changeover.adapters.ledger_tables import LEDGER, entry, outbox
from changeover.ports import Clock, WriteState


def migrate(url: str) -> None:
    """Make the ledger's database, or bring it up to date; harmless when it is, and when others do the same."""
    sql.migrate(url, LEDGER)


def open_store(url: str) -> SqlStore:
    """The entries themselves, for books beside the runs'; raises `LedgerError` as `SqlLedger` does."""
    return SqlStore(sql.Database(url, LEDGER))


class SqlLedger(EntryLedger):
    """Raises `LedgerError` when the database is not at the newest revision."""

    def __init__(self, url: str, *, clock: Clock = utc_now) -> None:
        self.database = sql.Database(url, LEDGER)
        super().__init__(SqlStore(self.database), clock=clock)

    def close(self) -> None:
        self.database.close()


class SqlStore:
    """Entries in a database; every transaction holds the lock of its run."""

    def __init__(self, database: sql.Database) -> None:
        self._database = database

    @contextmanager
    def writing(self, run: str) -> Iterator[SqlChain]:
        with self._database.writing(run) as connection:
            yield SqlChain(connection, run)

    def entries(
        self, run: str, *kinds: EntryKind, name: str | None = None, environment: str | None = None
    ) -> list[Entry]:
        query = sa.select(entry).where(entry.c.run == run).order_by(entry.c.seq)
        if kinds:
            query = query.where(entry.c.kind.in_([kind.value for kind in kinds]))
        if name is not None:
            query = query.where(entry.c.name == str(name))
        if environment is not None:
            query = query.where(entry.c.environment == environment)
        with self._database.reading() as connection:
            return [_entry(row) for row in connection.execute(query).mappings()]

    def newest_runs(self, limit: int, *, holding: str = "") -> list[Entry]:
        query = sa.select(entry).where(entry.c.kind == EntryKind.RUN.value)
        if holding:
            query = query.where(entry.c.body.contains(holding, autoescape=True))
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(entry.c.at.desc(), entry.c.id.desc()).limit(limit)).mappings()
            return [_entry(row) for row in rows]

    def outbox(self, *, change: str | None, states: Iterable[WriteState]) -> list[tuple[OutboxRow, Entry]]:
        same = sa.and_(entry.c.run == outbox.c.run, entry.c.seq == outbox.c.seq)
        query = sa.select(outbox, *(column.label(f"entry_{column.name}") for column in entry.c)).join(entry, same)
        query = query.where(outbox.c.state.in_([state.value for state in states])).order_by(outbox.c.id)
        if change is not None:
            query = query.where(outbox.c.run == change)
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [(_row(row), _entry({c.name: row[f"entry_{c.name}"] for c in entry.c})) for row in rows]

    def find_write(self, op_key: str) -> OutboxRow | None:
        with self._database.reading() as connection:
            return _find_write(connection, op_key)


class SqlChain:
    """One run's chain inside a transaction."""

    def __init__(self, connection: sa.Connection, run: str) -> None:
        self._connection, self._run = connection, run
        newest = sa.select(entry).where(entry.c.run == run).order_by(entry.c.seq.desc()).limit(1)
        row = connection.execute(newest).mappings().first()
        self.last = _entry(row) if row else None

    def find(self, kind: EntryKind, key: str) -> Entry | None:
        where = (entry.c.run == self._run, entry.c.kind == kind.value, entry.c.key == key)
        row = self._connection.execute(sa.select(entry).where(*where)).mappings().first()
        return _entry(row) if row else None

    def add(self, new: Entry) -> None:
        values = {c.name: getattr(new, c.name) for c in entry.c if c.name != "id"}
        self._connection.execute(sa.insert(entry).values(**{**values, "kind": new.kind.value}))
        self.last = new

    def row(self, op_key: str) -> OutboxRow | None:
        return _find_write(self._connection, op_key)

    def put_row(self, row: OutboxRow) -> None:
        fixed = {"op_key": row.op_key, "run": row.run, "seq": row.seq}
        state = {
            "state": row.state.value,
            "attempts": row.attempts,
            "refusals": row.refusals,
            "next_at": row.next_at,
            "error": row.error,
            "settled_at": row.settled_at,
        }
        changed = self._connection.execute(sa.update(outbox).where(outbox.c.op_key == row.op_key).values(**state))
        if not changed.rowcount:
            self._connection.execute(sa.insert(outbox).values(**fixed, **state))


def _find_write(connection: sa.Connection, op_key: str) -> OutboxRow | None:
    row = connection.execute(sa.select(outbox).where(outbox.c.op_key == op_key)).mappings().first()
    return _row(row) if row else None


def _entry(row: Any) -> Entry:
    fields = {column.name: row[column.name] for column in entry.c if column.name != "id"}
    return Entry(**{**fields, "kind": EntryKind(row["kind"])})


def _row(row: Any) -> OutboxRow:
    fields = {column.name: row[column.name] for column in outbox.c if column.name != "id"}
    return OutboxRow(**{**fields, "state": WriteState(row["state"])})

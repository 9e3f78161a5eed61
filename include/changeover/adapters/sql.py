"""Databases of ours, SQLite or PostgreSQL: opened, locked for writing, and brought up to date."""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)

from changeover.errors import ChangeoverError

BUSY_SECONDS = 30
"""How long a writer waits for the ones before it."""
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every column is in the name: PostgreSQL refuses two constraints of one name, SQLite does not."""
UP_TO_DATE = "run `./changeover serve` or `./changeover demo` once: both bring the database up to date"
DAMAGED = (
    "the file is damaged or is none of ours: keep it for whoever looks into it, and put the last backup in its place"
)
NEWER = "a newer Changeover made this database: run that one"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An instant. SQLite forgets the zone, so it is UTC on the way in and marked as such on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError(f"{value!r} is a time without a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


@dataclass(frozen=True)
class Schema:
    """One of our databases: its tables, its migrations and the errors it raises."""

    name: str
    """Directory of its migrations, and `<name>_revision` the table that says how far it is."""
    head: str
    metadata: sa.MetaData
    refused: type[ChangeoverError]
    """The database answered, and the answer is no."""
    unavailable: type[ChangeoverError]
    """The database did not answer."""

    @property
    def version_table(self) -> str:
        return f"{self.name}_revision"


class Database:
    """An open database at its newest revision. Safe to use from several threads and processes, and across a fork."""

    def __init__(self, url: str, schema: Schema) -> None:
        self.schema = schema
        self.url = _parsed(url, schema)
        self.where = _where(schema, self.url)
        self.engine = _engine(self.url)
        snapshot = {"isolation_level": "REPEATABLE READ"} if self.engine.dialect.name == "postgresql" else {}
        self._reader = self.engine.execution_options(**snapshot)
        self._must_be_at_head()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one moment."""
        with _guarded(self.schema, self.where), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, lock: str) -> Iterator[sa.Connection]:
        """A transaction that nobody else with the same `lock` runs at the same time; on SQLite nobody else at all."""
        with (
            _guarded(self.schema, self.where),
            self.engine.execution_options(changeover_writes=True).begin() as connection,
        ):
            take_lock(connection, f"{self.schema.name}:{lock}")
            yield connection

    def close(self) -> None:
        self.engine.dispose()

    def _must_be_at_head(self) -> None:
        schema = self.schema
        with _guarded(schema, self.where):
            found = _revision(self.engine, schema) if _exists(self.url) else None
        if found != schema.head:
            raise schema.refused(
                f"the {schema.name} database is {f'at revision {found}' if found else 'not made yet'}; "
                f"this Changeover needs {schema.head}",
                where=self.where,
                then=NEWER if found and found > schema.head else UP_TO_DATE,
            )


@contextmanager
def _guarded(schema: Schema, where: str) -> Iterator[None]:
    """The database's errors as ours."""
    try:
        yield
    except (OperationalError, InterfaceError, sa.exc.TimeoutError) as exc:
        raise schema.unavailable(
            f"the database did not answer: {_reason(exc)}", where=where, then="see that it runs and try again"
        ) from exc
    except SQLAlchemyError as exc:
        then = DAMAGED if _is_damaged(exc) else ""
        raise schema.refused(f"the database refused: {_reason(exc)}", where=where, then=then) from exc


def _is_damaged(error: SQLAlchemyError) -> bool:
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def migrate(url: str, schema: Schema) -> None:
    """Make the database, or bring it to the newest revision. Several processes may do so at once: one does the work."""
    parsed = _parsed(url, schema)
    where = _where(schema, parsed)
    if parsed.get_backend_name() == "sqlite":
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = _engine(parsed)
    try:
        with _guarded(schema, where):
            if _revision(engine, schema) != schema.head:
                _write_ahead_log(engine)
                with engine.execution_options(changeover_writes=True).begin() as connection:
                    take_lock(connection, f"{schema.name}:migrate")
                    _upgrade(connection, schema, where)
    finally:
        engine.dispose()


def take_lock(connection: sa.Connection, name: str) -> None:
    """Until the transaction ends. SQLite has its one writer already by BEGIN IMMEDIATE."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def _parsed(url: str, schema: Schema) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise schema.refused(f"this is not a database URL: {exc}", then="write it as SQLAlchemy does") from exc
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise schema.refused(
            f"{parsed.render_as_string(hide_password=True)} cannot hold the {schema.name}",
            then="use sqlite:////absolute/path.db or postgresql://…: several processes share it",
        )
    return parsed


def _engine(url: URL) -> sa.Engine:
    """Idle connections are kept: the last one to leave a SQLite file pays for folding its log (4 ms instead of 1)."""
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, pool_size=2, max_overflow=10, connect_args={"timeout": BUSY_SECONDS})
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        _close_before_fork(engine)
        return engine
    options = f"-c timezone=UTC -c lock_timeout={BUSY_SECONDS}s -c idle_in_transaction_session_timeout=120s"
    try:
        engine = sa.create_engine(
            url,
            pool_size=2,
            max_overflow=10,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10, "options": options},
        )
    except (NoSuchModuleError, ImportError) as exc:
        raise ChangeoverError(
            "PostgreSQL needs psycopg, which is not installed", then="pip install 'psycopg[binary]'"
        ) from exc
    _close_before_fork(engine)
    return engine


def _close_before_fork(engine: sa.Engine) -> None:
    """No connection may be used, or closed, by two processes (Airflow forks its tasks)."""
    reference = weakref.ref(engine)

    def close_idle() -> None:
        held = reference()
        if held is not None:
            held.dispose()

    os.register_at_fork(before=close_idle)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Transactions are begun by us; a commit is on the disk before it counts (the ledger is written ahead)."""
    connection.isolation_level = None
    for pragma in ("foreign_keys = ON", "recursive_triggers = ON", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    """A transaction that means to write takes its turn at once: one that began by reading cannot wait, it fails."""
    writes = connection.get_execution_options().get("changeover_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _write_ahead_log(engine: sa.Engine) -> None:
    """Readers and the writer do not wait for each other. The file remembers it; SQLite does not wait to switch."""
    if engine.dialect.name != "sqlite":
        return
    limit = time.monotonic() + BUSY_SECONDS
    while True:
        connection = engine.raw_connection()
        try:
            if connection.cursor().execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal":
                return
        except sqlite3.OperationalError:
            if time.monotonic() > limit:
                raise
        finally:
            connection.close()
        time.sleep(0.02)


def _exists(url: URL) -> bool:
    """Asking SQLite would make the file."""
    return url.get_backend_name() != "sqlite" or Path(str(url.database)).exists()


def _revision(engine: sa.Engine, schema: Schema) -> str | None:
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(schema.version_table):
            return None
        found = connection.execute(
            sa.select(sa.column("version_num")).select_from(sa.table(schema.version_table))
        ).scalar()
        return None if found is None else str(found)


def _upgrade(connection: sa.Connection, schema: Schema, where: str) -> None:
    """All in the caller's transaction: a migration that fails leaves the database as it was."""
    from alembic import command
    from alembic.util import CommandError

    try:
        command.upgrade(alembic_config(schema, connection), "head")
    except CommandError as exc:
        raise schema.refused(
            f"the {schema.name} database cannot be brought to revision {schema.head}: {exc}", where=where, then=NEWER
        ) from exc


def _where(schema: Schema, url: URL) -> str:
    return f"{schema.name} {url.render_as_string(hide_password=True)}"


def alembic_config(schema: Schema, connection: sa.Connection | None = None) -> Any:
    """Alembic's settings for one of our databases, made here: there is no ini file."""
    from alembic.config import Config

    migrations = Path(__file__).resolve().parents[1] / "migrations"
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(migrations / schema.name).replace("%", "%%"))
    config.attributes.update(connection=connection, schema=schema)
    return config


def _reason(exc: BaseException) -> str:
    cause = exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__

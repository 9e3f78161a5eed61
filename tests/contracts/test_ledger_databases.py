"""The databases of ledger and CMDB: made once by many, opened only when up to date, shared by processes."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from changeover.adapters import cmdb_sql, ledger_sql, sql
from changeover.adapters.cmdb_sql import SqlCmdb
from changeover.adapters.cmdb_tables import CMDB
from changeover.adapters.ledger_sql import SqlLedger
from changeover.adapters.ledger_tables import LEDGER
from changeover.errors import CmdbError, CmdbUnavailable, LedgerError
from tests.support.records import KEY, a_mark, an_estate, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.postgres import Postgres

INCLUDE = Path(sql.__file__).resolve().parents[2]
SCHEMAS = pytest.mark.parametrize("schema", [LEDGER, CMDB], ids=["ledger", "cmdb"])


def at_once(count: int, work: Callable[[int], None]) -> None:
    """Run it in so many processes, forked as Airflow forks its tasks, that start together; all must end well."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(count)

    def wait_and_work(number: int) -> None:
        start.wait(30)
        work(number)

    processes = [context.Process(target=wait_and_work, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * count


def test_a_database_that_was_not_made_is_not_opened(empty_url: str) -> None:
    for open_it, error in ((SqlLedger, LedgerError), (SqlCmdb, CmdbError)):
        with pytest.raises(error, match=r"not made yet.*Next: run `./changeover serve` or `./changeover demo`"):
            open_it(empty_url)
    if empty_url.startswith("sqlite"):
        assert not Path(empty_url.removeprefix("sqlite:///")).exists()


@SCHEMAS
def test_a_database_of_another_revision_is_not_opened(empty_url: str, schema: sql.Schema) -> None:
    sql.migrate(empty_url, schema)
    database = sql.Database(empty_url, schema)
    with database.writing("test") as connection:
        version = sa.table(schema.version_table, sa.column("version_num"))
        connection.execute(sa.update(version).values(version_num="zzzz_from_the_future"))
    with pytest.raises(
        schema.refused, match=f"at revision zzzz_from_the_future; this Changeover needs {schema.head}.*newer"
    ):
        sql.Database(empty_url, schema)
    with pytest.raises(schema.refused, match="cannot be brought to revision"):
        sql.migrate(empty_url, schema)


@SCHEMAS
def test_migrations_make_the_tables_the_code_uses(empty_url: str, schema: sql.Schema) -> None:
    sql.migrate(empty_url, schema)
    sql.migrate(empty_url, schema)
    database = sql.Database(empty_url, schema)
    with database.reading() as connection:
        ours = {"version_table": schema.version_table, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=ours), schema.metadata) == []
    database.close()


@SCHEMAS
def test_the_head_in_the_code_is_the_newest_migration(schema: sql.Schema) -> None:
    assert ScriptDirectory.from_config(sql.alembic_config(schema)).get_heads() == [schema.head]


def test_ledger_and_cmdb_may_share_a_database(empty_url: str) -> None:
    ledger_sql.migrate(empty_url)
    cmdb_sql.migrate(empty_url)
    ledger, cmdb = SqlLedger(empty_url), SqlCmdb(empty_url)
    opened(ledger)
    cmdb.import_estate(an_estate())
    assert ledger.run(KEY) is not None
    assert len(cmdb.people("nordwind")) == 2
    ledger.close()
    cmdb.close()


def test_many_may_make_a_database_at_once(empty_url: str) -> None:
    """Airflow's processes and the command line all begin with it on a fresh machine."""

    def make_and_open(_number: int) -> None:
        ledger_sql.migrate(empty_url)
        assert SqlLedger(empty_url).runs() == ()

    at_once(6, make_and_open)


WRITERS, MARKS = 8, 40


def test_eight_processes_write_and_none_is_lost(ledger_url: str) -> None:
    """On SQLite each waits its turn: no "database is locked"; on PostgreSQL the run's chain is locked."""
    ledger = SqlLedger(ledger_url)
    opened(ledger)

    def write(number: int) -> None:
        """Half of the marks are the writer's own, half are the same from all writers."""
        own = SqlLedger(ledger_url)
        for n in range(MARKS):
            own.mark(a_mark(host=f"host-{number}", key=f"shared-{n}" if n % 2 else f"{number}-{n}"))

    at_once(WRITERS, write)
    keys = [mark.key for mark in ledger.marks(KEY)]
    assert len(keys) == len(set(keys)) == (WRITERS + 1) * MARKS // 2
    assert ledger.verify_chain(KEY) == ()
    ledger.close()


def test_readers_do_not_wait_for_a_writer(ledger_url: str) -> None:
    ledger = SqlLedger(ledger_url)
    opened(ledger)
    with ledger.database.writing(KEY):
        assert ledger.run(KEY) is not None
    ledger.close()


def test_a_forked_child_uses_a_connection_of_its_own(ledger_url: str) -> None:
    """A child that shared its parent's connection would break both."""
    ledger = SqlLedger(ledger_url)
    opened(ledger)

    def both(number: int) -> None:
        for _ in range(10):
            ledger.mark(a_mark(host=f"child-{number}"))

    at_once(2, both)
    ledger.mark(a_mark(host="parent"))
    assert [mark.host for mark in ledger.marks(KEY)][-1] == "parent"
    assert len(ledger.marks(KEY)) == 21
    assert ledger.verify_chain(KEY) == ()
    ledger.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://h/d", "not a url"])
def test_only_databases_that_processes_can_share_are_taken(url: str) -> None:
    with pytest.raises(LedgerError):
        SqlLedger(url)
    with pytest.raises(LedgerError):
        ledger_sql.migrate(url)


def test_an_outage_is_told_from_a_refusal(tmp_path: Path) -> None:
    nowhere = f"postgresql://somebody:hidden@/nothing?host={tmp_path}"
    with pytest.raises(CmdbUnavailable, match="did not answer") as failure:
        SqlCmdb(nowhere)
    assert "hidden" not in str(failure.value)


@pytest.mark.postgres
def test_plain_postgresql_urls_are_taken(postgres_server: Postgres) -> None:
    url = postgres_server.url(postgres_server.create_database()).replace("postgresql+psycopg", "postgresql")
    ledger_sql.migrate(url)
    assert SqlLedger(url).runs() == ()


def test_the_adapters_load_neither_airflow_nor_alembic() -> None:
    code = (
        "import sys, changeover.adapters.ledger_sql, changeover.adapters.cmdb_sql, changeover.adapters.memory;"
        "print([m for m in ('airflow', 'alembic', 'psycopg', 'great_expectations', 'pandas') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(INCLUDE)}, capture_output=True, check=True
    )
    assert ran.stdout.decode().strip() == "[]"


@pytest.mark.parametrize("content", [b"not a database" * 400, b""], ids=["no-database", "torn"])
@SCHEMAS
def test_a_damaged_file_is_told_with_what_to_do_next(schema: sql.Schema, content: bytes, tmp_path: Path) -> None:
    """Whoever asks for a status learns that it is the file, and that a backup is needed."""
    file = tmp_path / "store.db"
    url = f"sqlite:///{file}"
    sql.migrate(url, schema)
    whole = file.read_bytes()
    file.write_bytes(content or whole[:100] + b"\xff" * (len(whole) - 100))
    with pytest.raises(schema.refused, match="put the last backup in its place"):
        sql.Database(url, schema)

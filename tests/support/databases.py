"""Ledgers and CMDBs for contract tests: one of each kind, empty, made from a template migrated once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from changeover.adapters import sql
from changeover.adapters.cmdb_sql import SqlCmdb
from changeover.adapters.cmdb_tables import CMDB
from changeover.adapters.ledger_sql import SqlLedger
from changeover.adapters.ledger_tables import LEDGER
from changeover.adapters.memory import MemoryCmdb, MemoryLedger
from tests.support.postgres import Postgres

ON_POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
DATABASES = ("sqlite", ON_POSTGRES)
KINDS = ("memory", *DATABASES)


class Templates:
    """Migrated databases, made when first asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._made = directory, dict[str, str]()

    def sqlite(self, schema: sql.Schema, target: Path) -> str:
        """URL of a migrated copy."""
        source = self._directory / f"{schema.name}.db"
        if not source.exists():
            sql.migrate(f"sqlite:///{source}", schema)
        shutil.copyfile(source, target)
        return f"sqlite:///{target}"

    def postgres(self, schema: sql.Schema, server: Postgres) -> str:
        """URL of the one migrated database of the schema, emptied."""
        if schema.name not in self._made:
            self._made[schema.name] = server.create_database()
            sql.migrate(server.url(self._made[schema.name]), schema)
        name = self._made[schema.name]
        tables = ", ".join(schema.metadata.tables)
        server.execute(
            f"SET session_replication_role = replica; TRUNCATE {tables} RESTART IDENTITY CASCADE", database=name
        )
        return server.url(name)


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(tmp_path_factory.mktemp("templates"))


def _url(request: pytest.FixtureRequest, schema: sql.Schema, kind: str) -> str:
    templates: Templates = request.getfixturevalue("templates")
    if kind == "sqlite":
        directory: Path = request.getfixturevalue("tmp_path")
        return templates.sqlite(schema, directory / f"{schema.name}.db")
    return templates.postgres(schema, request.getfixturevalue("postgres_server"))


@pytest.fixture(params=DATABASES)
def ledger_url(request: pytest.FixtureRequest) -> str:
    return _url(request, LEDGER, request.param)


@pytest.fixture(params=DATABASES)
def cmdb_url(request: pytest.FixtureRequest) -> str:
    return _url(request, CMDB, request.param)


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database nobody migrated yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/directory/new.db"
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.url(server.create_database())


@pytest.fixture
def sql_ledger(ledger_url: str) -> Iterator[SqlLedger]:
    ledger = SqlLedger(ledger_url)
    yield ledger
    ledger.close()


@pytest.fixture
def sql_cmdb(cmdb_url: str) -> Iterator[SqlCmdb]:
    cmdb = SqlCmdb(cmdb_url)
    yield cmdb
    cmdb.close()


@pytest.fixture(params=KINDS)
def ledger(request: pytest.FixtureRequest) -> Iterator[MemoryLedger | SqlLedger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    opened = SqlLedger(_url(request, LEDGER, request.param))
    yield opened
    opened.close()


@pytest.fixture(params=KINDS)
def cmdb(request: pytest.FixtureRequest) -> Iterator[MemoryCmdb | SqlCmdb]:
    if request.param == "memory":
        yield MemoryCmdb()
        return
    opened = SqlCmdb(_url(request, CMDB, request.param))
    yield opened
    opened.close()

"""Makes the databases ready and puts connections into Airflow; run by the keeper, or by itself before Airflow."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from changeover.adapters import cmdb_sql, ledger_sql
from changeover.errors import ChangeoverError
from changeover.settings import Settings, load


def prepare(settings: Settings, *, secrets: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Repeatable: ledger, CMDB and Airflow's database at their newest schema, and these connections in Airflow."""
    settings.home.mkdir(parents=True, exist_ok=True)
    ledger_sql.migrate(settings.ledger_url)
    cmdb_sql.migrate(settings.cmdb_url)
    migrate_airflow(settings)
    if secrets:
        store_connections(secrets)


def migrate_airflow(settings: Settings) -> None:
    """Bring Airflow's database to the installed version; a new SQLite file is copied from one made before."""
    from airflow import __version__ as version
    from airflow.configuration import conf

    url = conf.get_mandatory_value("database", "sql_alchemy_conn")
    if not url.startswith("sqlite:///"):
        _migrate()
        return
    database = Path(url.removeprefix("sqlite:///"))
    template = settings.project / ".changeover" / "cache" / f"airflow-{version}.db"
    seal = database.with_suffix(".schema")  # which version this file was brought to
    if database.exists() and seal.exists() and seal.read_text() == version:
        return
    if not database.exists() and template.exists():
        _copy_sqlite(template, database)
    else:
        existed = database.exists()
        _migrate()
        if not existed:
            with contextlib.suppress(OSError, sqlite3.Error):  # only a saving for the next new database
                template.parent.mkdir(parents=True, exist_ok=True)
                _copy_sqlite(database, template)
    seal.write_text(version)


def store_connections(secrets: Mapping[str, Mapping[str, Any]]) -> None:
    """Write connections (id → conn_type, host, login, password, extra) into Airflow's database, encrypted there."""
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_id.in_(list(secrets))))
        for name, fields in secrets.items():
            session.add(Connection(conn_id=name, **fields))


def _migrate() -> None:
    from airflow.utils import db

    db.initdb()


def _copy_sqlite(source: Path, target: Path) -> None:
    """A consistent copy that appears whole or not at all; by SQLite, since a journal may lie beside the file."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name)
    os.close(handle)
    with (
        contextlib.closing(sqlite3.connect(source)) as old,
        contextlib.closing(sqlite3.connect(name)) as new,
    ):
        old.backup(new)
        new.execute("PRAGMA journal_mode=WAL")
    Path(name).replace(target)


def main() -> int:
    """Secrets come as JSON on standard input, or from the file that is named; never on the command line."""
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        if path.stat().st_mode & 0o077:
            raise ChangeoverError(f"{path} holds secrets and others can read it", then=f"chmod 600 {path}")
        text = path.read_text()
    else:
        text = "" if sys.stdin.isatty() else sys.stdin.read()
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    prepare(load(), secrets=json.loads(text) if text.strip() else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Makes the databases ready and puts connections into Airflow; run by the keeper, or by itself before Airflow."""

from __future__ import annotations

import json
import os
import sys
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
    migrate_airflow()
    if secrets:
        store_connections(secrets)


def migrate_airflow() -> None:
    """Bring Airflow's database to the installed version."""
    from airflow.utils import db

    db.initdb()


def store_connections(secrets: Mapping[str, Mapping[str, Any]]) -> None:
    """Write connections (id → conn_type, host, login, password, extra) into Airflow's database, encrypted there."""
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_id.in_(list(secrets))))
        for name, fields in secrets.items():
            session.add(Connection(conn_id=name, **fields))


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

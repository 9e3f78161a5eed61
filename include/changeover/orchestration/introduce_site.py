"""Tells the product about a client's estate: hosts to the CMDB, connections to Airflow, people as logins."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from changeover.errors import ChangeoverError
from changeover.settings import Settings

if TYPE_CHECKING:
    from changeover.domain.plan import Plan
    from changeover.orchestration.airflow_client import AirflowClient


def import_estate(settings: Settings, path: Path, *, reset: bool = False) -> None:
    """Make the CMDB hold the estate of this file; with `reset` also the versions it says, whatever runs recorded."""
    from changeover.adapters.cmdb_sql import SqlCmdb
    from changeover.adapters.document_files import demand
    from changeover.adapters.estate_files import THEN, read_estate

    estate = demand(read_estate(path), then=THEN)
    cmdb = SqlCmdb(settings.cmdb_url)
    try:
        cmdb.import_estate(estate, reset=reset)
    finally:
        cmdb.close()


def store_connections(client: AirflowClient, path: Path) -> tuple[str, ...]:
    """Put the connections of a secrets file (0600 JSON: id → fields) into Airflow; the answer names them."""
    if path.stat().st_mode & 0o077:
        raise ChangeoverError("A file of secrets can be read by others", where=str(path), then=f"chmod 600 {path}")
    connections = json.loads(path.read_text())
    for name, fields in connections.items():
        client.put_connection(name, fields)
    return tuple(connections)


def logins(plans: Iterable[Plan]) -> dict[str, str]:
    """Everybody whom the plans name → role: the client's people may answer, the provider's also run and repair."""
    return {person.id: "op" if person.side == "provider" else "user" for plan in plans for person in plan.participants}

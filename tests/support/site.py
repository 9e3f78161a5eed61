"""A client's project on disk with one host an environment, all of them one SSH server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from changeover.adapters import cmdb_sql, ledger_sql
from changeover.adapters.plan_files import load_plan
from changeover.domain.estate import Estate
from tests.support.content import make, plan_with, put

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from changeover.settings import Settings
    from tests.support.sshd import Sshd


def make_site(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The client acme with the plan acme/app-2.yaml; the command line is told by its environment."""
    settings = make(tmp_path)
    settings.home.mkdir()
    for name in ("plans", "releases", "acceptance", "expectations", "playbooks", "home"):
        monkeypatch.setenv(f"CHANGEOVER_{name.upper()}", str(tmp_path / name))
    for name in ("LEDGER_URL", "CMDB_URL", "CONNECTIONS"):
        monkeypatch.delenv(f"CHANGEOVER_{name}", raising=False)
    extra = {"private_key": server.key}
    monkeypatch.setenv("AIRFLOW_CONN_SSH_ACME", json.dumps({"conn_type": "ssh", "extra": extra}))
    put(tmp_path / "plans/acme/app-2.yaml", plan_with())
    plan = load_plan(tmp_path / "plans/acme/app-2.yaml")
    ledger_sql.migrate(settings.ledger_url)
    cmdb_sql.migrate(settings.cmdb_url)
    estate = {
        "client": {"slug": "acme", "name": "Acme"},
        "applications": [{"slug": plan.application}],
        "environments": [
            {
                "name": environment.name,
                "kind": environment.kind,
                "application": plan.application,
                "hosts": [
                    {
                        "name": f"{environment.name}-1",
                        "address": server.address,
                        "port": server.port,
                        "user": server.user,
                        "connection": "ssh_acme",
                        "host_keys": [server.known_hosts],
                        "variables": {"host_state_dir": str(tmp_path / "state" / environment.name)},
                    }
                ],
            }
            for environment in plan.environments
        ],
    }
    cmdb = cmdb_sql.SqlCmdb(settings.cmdb_url)
    cmdb.import_estate(Estate.model_validate(estate))
    cmdb.close()
    return settings

"""Credentials for commands that speak with hosts themselves: Airflow gives its own to nobody but its tasks."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from changeover.errors import ChangeoverError

if TYPE_CHECKING:
    from changeover.adapters.environment_vault import EnvironmentVault
    from changeover.lab import LabState
    from changeover.settings import Settings


def around(
    client: str, application: str, settings: Settings, *, hosts: bool = False
) -> tuple[Settings, EnvironmentVault]:
    """AIRFLOW_CONN_* or the file of CHANGEOVER_CONNECTIONS; of a client whose lab is here, the lab's own keys.

    With `hosts`, the lab has to run, and its hosts are put into the CMDB as well.
    """
    from changeover.adapters.environment_vault import EnvironmentVault

    named = os.environ.get("CHANGEOVER_CONNECTIONS")
    vault = EnvironmentVault(os.environ, (Path(named),) if named else ())
    state = None if named else lab_of(client, application, vault, running=hosts)
    if state is None:
        return settings, vault
    if hosts:
        from changeover.orchestration.introduce_site import import_estate

        typer.echo(f"the lab's site {state.site} is {client}'s and runs here: its hosts and keys are taken", err=True)
        import_estate(settings, state.estate_path)
    else:
        typer.echo(f"the lab's site {state.site} is {client}'s: its keys are taken", err=True)
    if not os.environ.get("CHANGEOVER_ARTEFACTS"):
        settings = replace(settings, artefacts=state.artefacts_path)
    return settings, EnvironmentVault(os.environ, (state.secrets_path,))


def lab_of(client: str, application: str, vault: EnvironmentVault, *, running: bool = False) -> LabState | None:
    """The site whose estate is this client's, unless the environment gives the connections; `running`: only when up.

    Otherwise whether its hosts are up or not: that may be what is to be found out.
    """
    import yaml

    from changeover import lab

    for site in lab.SITES:
        found = None
        with suppress(ChangeoverError):
            found = lab.status(site)
        if found is None or (running and not found.running):
            continue
        if not (found.state.estate_path.is_file() and found.state.secrets_path.is_file()):
            continue
        estate = yaml.safe_load(found.state.estate_path.read_text(encoding="utf-8"))
        hosts = [host for environment in estate["environments"] for host in environment["hosts"]]
        mine = estate["client"]["slug"] == client and application in {a["slug"] for a in estate["applications"]}
        if mine and not all(vault.names(host["connection"]) for host in hosts):
            return found.state
    return None

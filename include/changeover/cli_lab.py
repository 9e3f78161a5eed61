"""The commands `lab up`, `lab down`, `lab reset` and `lab status`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from changeover.lab import LabState, LabStatus


def up(site: str) -> int:
    from changeover import lab

    typer.echo(f"starting the lab's site {site}; the first time it is built and seeded, which takes a while", err=True)
    _print_state(lab.up(site))
    return 0


def down(site: str, *, remove: bool) -> int:
    from changeover import lab

    lab.down(site, remove=remove)
    typer.echo(f"{site} is down{' and its files are removed' if remove else ''}")
    return 0


def reset(site: str) -> int:
    from changeover import lab

    _print_state(lab.reset(site))
    typer.echo("every host is back at the seeded old release")
    return 0


def keep_data(site: str) -> int:
    from changeover import lab

    typer.echo(f"making the data of {site} anew, which takes a minute or two", err=True)
    typer.echo(f"kept in {lab.keep_data(site)}")
    return 0


def status(site: str, *, as_json: bool) -> int:
    from changeover import lab

    found = lab.status(site)
    if as_json:
        typer.echo(json.dumps(_as_json(site, found), indent=2))
    elif found is None:
        typer.echo(f"{site} was never made here; `changeover lab up --site {site}` makes it")
    else:
        for host in found.hosts:
            services = ", ".join(f"{name} {state}" for name, state in sorted(host.services.items()))
            answer = "answers" if host.answers else "does not answer"
            typer.echo(f"{host.host.name:<14} {host.host.address}:{host.host.port}  {answer}  {services}")
        if found.postgres is not None:
            typer.echo(f"PostgreSQL     {'runs' if found.postgres else 'does not run'}")
    return 0 if found is not None and found.running else 1


def _as_json(site: str, found: LabStatus | None) -> dict[str, object]:
    return {
        "schema_version": 1,
        "site": site,
        "made": found is not None,
        "running": found is not None and found.running,
        "root": str(found.state.root) if found else None,
        "postgres": found.postgres if found else None,
        "hosts": [
            {
                "name": host.host.name,
                "address": host.host.address,
                "port": host.host.port,
                "answers": host.answers,
                "services": dict(host.services),
            }
            for host in (found.hosts if found else ())
        ],
    }


def _print_state(state: LabState) -> None:
    for host in state.hosts:
        typer.echo(f"{host.name:<14} {host.address}:{host.port}  {host.root}")
    typer.echo(f"as {state.user}, key {state.key_path}, known hosts {state.known_hosts_path}")

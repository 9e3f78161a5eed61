"""The commands `lab up`, `lab down`, `lab reset` and `lab status`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from changeover.lab import LabState, LabStatus


MACHINES = "machines"
"""Hosts with a systemd of their own: started beside the sites, by root."""


def up(site: str) -> int:
    if site == MACHINES:
        return _boot(anew=False)
    from changeover import lab

    typer.echo(f"starting the lab's site {site}; the first time it is built and seeded, which takes a while", err=True)
    _print_state(lab.up(site))
    return 0


def down(site: str, *, remove: bool) -> int:
    from changeover import lab
    from changeover.lab import machines

    if site == MACHINES:
        machines.down(remove=remove)
    else:
        lab.down(site, remove=remove)
    typer.echo(f"{site} is down{' and its files are removed' if remove else ''}")
    return 0


def reset(site: str) -> int:
    if site == MACHINES:
        return _boot(anew=True)
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
    if site == MACHINES:
        return _status_of_machines(as_json=as_json)
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


def _boot(*, anew: bool) -> int:
    from changeover.lab import machines

    typer.echo(
        "booting hosts with a systemd of their own; the first time their base is made, which takes a while", err=True
    )
    for one in machines.reset() if anew else machines.up():
        typer.echo(f"{one.name:<14} {one.address}:22  {one.root}")
    root = machines.default_root()
    typer.echo(f"as {machines.USER}, key {root / 'operator'}, known hosts {root / 'known_hosts'}")
    return 0


def _status_of_machines(*, as_json: bool) -> int:
    from changeover.lab import machines

    found = machines.status()
    if as_json:
        hosts = [{"name": name, "answers": answers} for name, answers in found.items()]
        document = {"schema_version": 1, "site": MACHINES, "running": all(found.values()), "hosts": hosts}
        typer.echo(json.dumps(document, indent=2))
    for name, answers in () if as_json else found.items():
        typer.echo(f"{name:<14} {'answers' if answers else 'does not answer'}")
    return 0 if all(found.values()) else 1

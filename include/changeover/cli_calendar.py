"""The command `calendar`: every plan's coming nights, and what clashes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer

from changeover import wiring
from changeover.domain.cap import Caps, Claim
from changeover.errors import PlanError
from changeover.settings import Settings


def show(paths: Sequence[Path] | None, *, at_most: int | None, as_json: bool) -> int:
    """1 when something clashes, or a plan or a client's freezes cannot be read: a calendar with holes is no answer."""
    from changeover.cli_plan import known_cmdb
    from changeover.usecases.fleet import fleet

    settings = wiring.load_settings()
    shelf = wiring.shelf(settings)
    readings = shelf.plans(list(paths) if paths else [settings.plans])
    plans = [reading.document for reading in readings if reading.document]
    calendars = {plan.client: shelf.freezes(plan.client) for plan in plans}
    faults = [str(fault) for reading in readings for fault in reading.faults]
    faults += [str(fault) for reading in calendars.values() for fault in reading.faults]
    cmdb = known_cmdb(settings)
    freezes = {client: reading.document.freezes for client, reading in calendars.items() if reading.document}
    caps, at_work = _shared(settings, faults)
    found = fleet(
        plans,
        freezes,
        None if isinstance(cmdb, str) else cmdb,
        now=wiring.now(),
        at_most=at_most,
        caps=caps,
        at_work=at_work,
    )
    for fault in faults:
        typer.echo(f"changeover: left out: {fault}", err=True)
    if isinstance(cmdb, str):
        typer.echo(f"changeover: hosts are not compared: {cmdb}", err=True)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        for work in found.works:
            typer.echo(f"{work.night.told()}\n    {work.name}  needs {', '.join(sorted(work.people))}")
        for claim in found.at_work:
            typer.secho(f"at work: {claim.told}", fg="green")
        for line in found.unplanned:
            typer.echo(f"not planned: {line}")
        for each in found.conflicts:
            typer.secho("clash ", fg="red", nl=False)
            typer.echo(each.told())
        typer.echo(
            f"{len(found.works)} nights, {len(found.conflicts) or 'no'} clash{'es' * (len(found.conflicts) != 1)}"
        )
    return 1 if found.conflicts or faults else 0


def _shared(settings: Settings, faults: list[str]) -> tuple[Caps, tuple[Claim, ...]]:
    """Caps, and who is at work now; caps that cannot be read are a fault of the calendar."""
    from changeover.adapters.cap_files import load_caps

    at_work = wiring.fleet(settings).held() if wiring.is_made(settings.ledger_url) else ()
    try:
        return load_caps(settings.caps), at_work
    except PlanError as exc:
        faults.append(str(exc))
        return Caps(), at_work

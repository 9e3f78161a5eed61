"""The commands `cmdb import` and `cmdb export`: clients' estates into the embedded CMDB, and out of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from changeover import wiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changeover.usecases.import_estates import ImportedEstate


def import_files(files: Sequence[Path], *, check: bool, reset: bool, as_json: bool) -> int:
    from changeover.adapters.estate_files import read_estate
    from changeover.usecases.import_estates import check_estates, import_estates

    readings = [read_estate(file) for file in files]
    report = check_estates(readings)
    if report.ok and not check:
        settings = wiring.load_settings()
        wiring.make_own_databases(settings)
        report = import_estates(readings, wiring.cmdb(settings), reset=reset)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
        return 0 if report.ok else 1
    for estate in report.estates:
        _print(estate, checked=check)
    if not report.ok and not any(estate.taken for estate in report.estates):
        typer.echo("nothing was imported")
    return 0 if report.ok else 1


def _print(estate: ImportedEstate, *, checked: bool) -> None:
    from changeover.domain.estate_change import Fate

    if estate.faults:
        count = len(estate.faults)
        typer.secho("no ", fg="red", nl=False)
        typer.echo(f"{estate.file}  {count} fault{'s' if count != 1 else ''}")
        for fault in estate.faults:
            typer.echo(f"   {fault}")
        return
    typer.secho("ok ", fg="green", nl=False)
    typer.echo(f"{estate.file}  {estate.client}" + ("  in order, nothing was written" if checked else ""))
    for fate in (Fate.ADDED, Fate.CHANGED, Fate.RETIRED):
        for one in estate.of(fate):
            typer.echo(f"   {fate} {one}")
    if left := estate.of(Fate.LEFT):
        typer.echo(f"   {len(left)} left as {'they were' if len(left) > 1 else 'it was'}")
    for note in estate.notes:
        typer.echo(f"   note: {note}")


def export(client: str, *, out: Path | None) -> int:
    from changeover.adapters.estate_files import estate_text

    settings = wiring.load_settings()
    estate = wiring.cmdb(settings).estate(client) if wiring.is_made(settings.cmdb_url) else None
    if estate is None:
        typer.echo(f"changeover: the CMDB knows no client {client}; `changeover cmdb import FILE` brings one", err=True)
        return 1
    if out is None:
        typer.echo(estate_text(estate), nl=False)
        return 0
    out.write_text(estate_text(estate), encoding="utf-8")
    typer.echo(f"wrote {out}")
    return 0

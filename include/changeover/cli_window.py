"""The commands `window show`, `window resolve`, `window import` and `window export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from changeover import wiring

if TYPE_CHECKING:
    from changeover.domain.freeze import FreezeCalendar
    from changeover.domain.plan import Plan
    from changeover.usecases.show_windows import Asked


def resolve(asked: Asked, *, as_json: bool) -> int:
    from changeover.usecases.show_windows import resolve_window

    shown, faults = resolve_window(asked)
    if faults:
        for fault in faults:
            typer.echo(f"changeover: {fault}", err=True)
        return 2
    nights = [night for night in shown if not night.why_not]
    if as_json:
        typer.echo(json.dumps([night.as_json() for night in nights], indent=2))
    else:
        typer.echo(_zone_data())
        for night in nights:
            typer.echo(night.told())
    for night in shown:
        if night.why_not:
            typer.echo(f"changeover: no window on {night.night.day}: {night.why_not}", err=True)
    if not shown:
        typer.echo("changeover: the rule gives no day from that date on", err=True)
    return 0 if shown and len(nights) == len(shown) else 1


def _zone_data() -> str:
    from changeover.domain.zones import release, system_release

    machine = system_release()
    return f"zone data: {release()}{f'; this machine has {machine}' if machine else ''}"


def show(path: Path, *, count: int, as_json: bool) -> int:
    from changeover.domain.zones import release
    from changeover.usecases.show_windows import show_windows

    read = _plan_and_freezes(path)
    if read is None:
        return 1
    plan, calendar = read
    windows = show_windows(plan, calendar.freezes, now=wiring.now(), count=count)
    if as_json:
        document = {"schema_version": 1, "zone_data": release(), "windows": [each.as_json() for each in windows]}
        typer.echo(json.dumps(document, indent=2))
    else:
        typer.echo(_zone_data())
        for window in windows:
            typer.echo(f"{window.environment}: {window.described}")
            for night in window.nights:
                typer.echo("\n".join(f"  {line}" for line in night.told().splitlines()))
    for window in windows:
        if window.refused:
            typer.echo(f"changeover: {window.environment}: refused: {window.refused}", err=True)
    return 1 if any(window.refused for window in windows) else 0


def _plan_and_freezes(path: Path) -> tuple[Plan, FreezeCalendar] | None:
    """Both, or None with every fault told."""
    from changeover.cli_plan import print_checked
    from changeover.usecases.check_plans import CheckedPlan

    shelf = wiring.shelf(wiring.load_settings())
    readings = shelf.plans([path])
    if len(readings) > 1:
        typer.echo(f"{path} holds {len(readings)} plans; name one of them", err=True)
        return None
    (reading,) = readings
    if reading.document is None:
        print_checked(CheckedPlan(reading.file, reading.digest, None, reading.faults), err=True)
        return None
    calendar = shelf.freezes(reading.document.client)
    if calendar.document is None:
        for fault in calendar.faults:
            typer.echo(f"   {fault}", err=True)
        return None
    return reading.document, calendar.document


def export(path: Path, *, out: Path | None) -> int:
    from changeover.adapters.icalendar_files import calendar_text

    read = _plan_and_freezes(path)
    if read is None:
        return 1
    plan, calendar = read
    text = calendar_text(plan, calendar.freezes, now=wiring.now())
    if out is None:
        typer.echo(text.decode(), nl=False)
    else:
        out.write_bytes(text)
        typer.echo(f"wrote {out}")
    return 0


def import_file(path: Path, *, client: str | None, zone: str | None) -> int:
    """Windows are printed, to be pasted into plans; freezes as well, or put into the client's file."""
    from changeover.adapters.icalendar_files import windows_text
    from changeover.adapters.icalendar_import import read_calendar

    found = read_calendar(path, zone=zone)
    for told in (*found.faults, *found.notes):
        typer.echo(f"changeover: {path}: {told}", err=True)
    if found.faults:
        return 1
    if client is None:
        typer.echo(windows_text(found.windows, found.freezes), nl=False)
        return 0
    from changeover.adapters.freeze_files import add_freezes

    written, faults = add_freezes(client, found.freezes, freezes=wiring.load_settings().freezes)
    for fault in faults:
        typer.echo(f"changeover: {fault}", err=True)
    if faults:
        return 1
    typer.echo(windows_text(found.windows, ()), nl=False)
    typer.echo(f"# {len(found.freezes)} freezes put into {written}")
    return 0

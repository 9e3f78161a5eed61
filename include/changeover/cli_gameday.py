"""The command `gameday`: real upgrades, broken on purpose, and whether what was recorded is so."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from changeover import wiring
from changeover.errors import ChangeoverError
from changeover.interrupts import ended_as_by_ctrl_c

DEFAULT_PLAN = "lindgren/roundup-2.6.yaml"


def gameday(
    plan: Path | None, *, faults: tuple[str, ...], phases: tuple[str, ...], short: bool, as_json: bool, quiet: bool
) -> int:
    """0 only when every outcome was true; 1 when one was not, or nothing could be played; 2 a faulty request."""
    from changeover.domain.gameday import Phase
    from changeover.gameday.ground import read_plan
    from changeover.gameday.matrix import chosen, play

    settings = wiring.load_settings()
    path = plan or settings.plans / DEFAULT_PLAN
    try:
        cells = chosen(faults, [Phase[name.replace("-", "_").upper()] for name in phases], short=short)
        read_plan(path)
    except ChangeoverError as exc:
        typer.echo(str(exc), err=True)
        return 2
    with ended_as_by_ctrl_c():  # whoever ends it wants what it has found so far, and nothing left running
        matrix = play(
            cells,
            plan=path,
            home=settings.home / "gameday",
            tell=(lambda text: None) if quiet else (lambda text: typer.echo(text, err=True)),
        )
    if as_json:
        typer.echo(json.dumps(matrix.as_json(), indent=2))
        return 0 if matrix.true else 1
    typer.echo(matrix.markdown())
    for cell in matrix.cells:
        for what in (*cell.lies, *cell.leaks, *cell.orphans, *((cell.broken,) if cell.broken else ())):
            typer.echo(f"!! {cell.fault}, {cell.phase}: {what}")
    for why in dict.fromkeys(cell.left_out for cell in matrix.cells if cell.left_out):
        typer.echo(f"!! NOT RUN: {why}")
    typer.echo(matrix.totals())
    return 0 if matrix.true else 1

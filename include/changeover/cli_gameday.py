"""The command `gameday`: real upgrades, broken on purpose, and whether what was recorded is so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from changeover import wiring
from changeover.errors import ChangeoverError
from changeover.interrupts import ended_as_by_ctrl_c

if TYPE_CHECKING:
    from changeover.domain.gameday import Matrix

DEFAULT_PLAN = "lindgren/roundup-2.6.yaml"


def gameday(
    plan: Path | None,
    *,
    faults: tuple[str, ...],
    phases: tuple[str, ...],
    short: bool,
    allow_missing: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """0 only when every cell was played and its outcome true (`allow_missing`: every cell that could be played here).

    1 when not, 2 for a faulty request.
    """
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
        return _code(matrix, allow_missing)
    typer.echo(matrix.markdown())
    for cell in matrix.cells:
        for what in (*cell.lies, *cell.leaks, *cell.orphans, *((cell.broken,) if cell.broken else ())):
            typer.echo(f"!! {cell.fault}, {cell.phase}: {what}")
    for why in dict.fromkeys(cell.left_out for cell in matrix.cells if cell.left_out):
        typer.echo(f"!! NOT RUN: {why}")
    if matrix.missing and not allow_missing:
        typer.echo("!! what was not run is not known to be true: play it where that can be, or give --allow-missing")
    typer.echo(matrix.totals())
    return _code(matrix, allow_missing)


def _code(matrix: Matrix, allow_missing: bool) -> int:
    return 0 if matrix.true and (allow_missing or not matrix.missing) else 1

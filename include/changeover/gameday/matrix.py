"""Which cells are played, one after the other; a cell that cannot be played here is told with its reason."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from changeover import lab
from changeover.domain.gameday import Cell, Matrix, Phase
from changeover.errors import ChangeoverError
from changeover.gameday.faults import FAULTS, Fault
from changeover.gameday.ground import SITE
from changeover.lab import machines

SHORT = {
    "roundup": (("kill-host", Phase.BEFORE), ("kill-host", Phase.MID), ("slow-host", Phase.MID)),
    "machines": (("kill-host", Phase.MID),),
}
"""Of `changeover test`, within four minutes: nothing changed, half of it changed, all of it in the end."""
MACHINES = "machines"


def faults_on(hosts: str) -> tuple[Fault, ...]:
    """`hosts`: roundup, the rootless site; or machines, hosts with a systemd of their own."""
    from changeover.gameday import packages

    return packages.FAULTS if hosts == MACHINES else FAULTS


def chosen(
    faults: Iterable[str], phases: Iterable[Phase], *, short: bool, hosts: str = SITE
) -> tuple[tuple[Fault, Phase], ...]:
    """The cells that were asked for, faults down and phases across."""
    wanted, when, known = set(faults), set(phases), faults_on(hosts)
    if unknown := wanted - {fault.key for fault in known}:
        raise ChangeoverError(
            f"there is no fault {', '.join(sorted(unknown))} on {hosts}",
            then=f"choose of: {', '.join(fault.key for fault in known)}",
        )
    return tuple(
        (fault, phase)
        for fault in known
        for phase in Phase
        if (not wanted or fault.key in wanted)
        and (not when or phase in when)
        and (not short or (fault.key, phase) in SHORT[hosts])
    )


def play(
    cells: Iterable[tuple[Fault, Phase]],
    *,
    plan: Path,
    home: Path,
    tell: Callable[[str], None],
    hosts: str = SITE,
    root: Path | None = None,
) -> Matrix:
    """Everything of a cell is removed when it was true, and kept below `home` when not."""
    place = root or Path(f"{machines.default_root() if hosts == MACHINES else lab.default_root()}-gd")
    played: list[Cell] = []
    whole = True
    try:
        for fault, phase in cells:
            tell(f"{fault.title}, {phase}")
            own = home / f"{hosts}-{fault.key}-{phase.name.lower()}"
            cell = _play(fault, phase, hosts=hosts, root=place, home=own, plan=plan, tell=tell)
            tell(f"{fault.title}, {phase}: {cell.in_words()} ({cell.seconds:.0f} s)")
            played.append(cell)
    except KeyboardInterrupt:
        tell("ended early: the cell that was being played is not counted")
        whole = False
    finally:
        if hosts == MACHINES:
            machines.down(place, remove=True)
        else:
            lab.down(SITE, root=place)
    return Matrix(tuple(played), whole)


def _play(
    fault: Fault, phase: Phase, *, hosts: str, root: Path, home: Path, plan: Path, tell: Callable[[str], None]
) -> Cell:
    from changeover.gameday import cell, packages, with_airflow

    if why := fault.absent():
        return Cell(fault.title, phase, left_out=why)
    shutil.rmtree(home, ignore_errors=True)

    def more(text: str) -> None:
        tell(f"    {text}")

    try:
        if hosts == MACHINES:
            played = packages.play(fault, phase, root=root, home=home, tell=more)
        else:
            play_one = with_airflow.play if fault.airflow else cell.play
            played = play_one(fault, phase, root=root, home=home, plan=plan, tell=more)
    except Exception as exc:  # noqa: BLE001 -- one cell that breaks must not end the day
        return Cell(fault.title, phase, broken=f"{type(exc).__name__}: {exc}")
    if not played.true:
        return replace(played, broken=played.broken and f"{played.broken} (kept: {home})")
    shutil.rmtree(home, ignore_errors=True)
    return played

"""The commands `plan check`, `plan show` and `plan schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from changeover import wiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.tree import Tree

    from changeover.ports import Cmdb
    from changeover.settings import Settings
    from changeover.usecases.check_plans import CheckedPlan, CheckReport
    from changeover.usecases.tree import Branch


def check(paths: Sequence[Path], *, as_json: bool) -> int:
    from changeover.usecases.check_plans import check_plans

    report = check_plans(paths, wiring.shelf(wiring.load_settings()), now=wiring.now())
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        _print_report(report)
    return 0 if report.ok else 1


def _print_report(report: CheckReport) -> None:
    for checked in report.plans:
        print_checked(checked)
    bad = sum(not checked.ok for checked in report.plans)
    count = len(report.plans)
    plans = "1 plan" if count == 1 else f"{count} plans"
    typer.echo(f"{plans} checked, {'all in order' if not bad else f'{bad} with faults'}")


def print_checked(checked: CheckedPlan, *, err: bool = False) -> None:
    """One plan, its faults and its notes, each beginning with a place that an editor can jump to."""
    if checked.ok:
        typer.secho("ok ", fg="green", nl=False, err=err)
        typer.echo(f"{checked.file}  sha256 {checked.digest[:16]}", err=err)
    else:
        typer.secho("no ", fg="red", nl=False, err=err)
        count = len(checked.faults)
        typer.echo(f"{checked.file}  {count} fault{'s' if count != 1 else ''}", err=err)
    for fault in checked.faults:
        typer.echo(f"   {fault}", err=err)
    for note in checked.notes:
        typer.echo(f"   note: {note}", err=err)


def show(path: Path) -> int:
    from changeover.usecases.check_plans import CheckedPlan
    from changeover.usecases.show_plan import gather, show_plan

    settings = wiring.load_settings()
    shelf = wiring.shelf(settings)
    (reading, *others) = shelf.plans([path])
    if reading.document is None or others:
        if others:
            typer.echo(f"{path} holds {len(others) + 1} plans; name one of them", err=True)
        else:
            print_checked(CheckedPlan(reading.file, reading.digest, None, reading.faults), err=True)
        return 1
    plan = reading.document
    release, role = shelf.release(plan.release), shelf.role(plan.application)
    product = shelf.product(plan.release.partition("/")[0])
    times = wiring.step_times(settings, plan)
    around = gather(plan, release=release, role=role, cmdb=known_cmdb(settings), product=product, times=times)
    tree = show_plan(plan, reading.digest, around)
    _print_tree(tree)
    return 0


def known_cmdb(settings: Settings) -> Cmdb | str:
    from changeover.domain.estate import IMPORT
    from changeover.errors import CmdbError

    if not wiring.is_made(settings.cmdb_url):
        return f"there is no CMDB yet; `changeover demo` makes one, or {IMPORT}"
    try:
        return wiring.cmdb(settings)
    except CmdbError as exc:
        return exc.what


def _print_tree(branch: Branch) -> None:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    def label(part: Branch) -> Text:
        text = Text(part.label, style="bold")
        return text.append(f"  {part.detail}", style="not bold") if part.detail else text

    def grow(tree: Tree, part: Branch) -> None:
        for child in part.children:
            grow(tree.add(label(child)), child)

    tree = Tree(label(branch), guide_style="dim")
    grow(tree, branch)
    console = Console()
    if not console.is_terminal:
        console.width = 400  # whoever reads it from a file or pipe folds lines as they like
    console.print(tree)


def schema(*, reference: bool, write: bool) -> int:
    from changeover.adapters.plan_schema import (
        estate_reference,
        estate_schema_text,
        freeze_reference,
        freeze_schema_text,
        plan_reference,
        plan_schema_text,
    )

    if not write:
        typer.echo(plan_reference() if reference else plan_schema_text(), nl=False)
        return 0
    settings = wiring.load_settings()
    for path, text in (
        (settings.plans / "plan.schema.json", plan_schema_text()),
        (settings.project / "docs" / "plan-reference.md", plan_reference()),
        (settings.freezes / "freeze.schema.json", freeze_schema_text()),
        (settings.project / "docs" / "freeze-reference.md", freeze_reference()),
        (settings.project / "include" / "estates" / "estate.schema.json", estate_schema_text()),
        (settings.project / "docs" / "estate-reference.md", estate_reference()),
    ):
        path.write_text(text, encoding="utf-8")
        typer.echo(f"wrote {path}")
    return 0

"""The command `documents`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from changeover import wiring
from changeover.errors import DocumentRefused

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from changeover.adapters.brand_files import BrandSet
    from changeover.domain.fault import Fault
    from changeover.domain.record import Run
    from changeover.ports import Ledger
    from changeover.settings import Settings
    from changeover.usecases.documents.subject import Given


@dataclass(frozen=True)
class Asked:
    """What the options say."""

    only: tuple[str, ...] = ()
    brand: str = "default"
    run: str = ""
    planned: bool = False
    start: date | None = None
    replace: bool = False


def write(plan: Path, out: Path, asked: Asked) -> int:
    from changeover.adapters.document_folder import objections, write_documents
    from changeover.usecases.documents.catalogue import NAMES
    from changeover.usecases.documents.subject import gather

    if unknown := [name for name in asked.only if name not in NAMES]:
        raise typer.BadParameter(f"{', '.join(unknown)}: no such document; there are {', '.join(NAMES)}")
    settings = wiring.load_settings()
    given = _given(plan, asked, settings)
    if isinstance(given, int):
        return given
    told, brand = given
    chosen = _run(told, asked, settings)
    if isinstance(chosen, str):
        typer.echo(chosen, err=True)
        return 1
    ledger, run = chosen
    subject = gather(told, ledger, run=run, start=asked.start)
    try:
        names = [name for name in NAMES if name in (asked.only or NAMES)]
        files = wiring.document_files(subject, names, brand, settings)
    except DocumentRefused as exc:
        typer.echo(f"nothing was written: {exc}", err=True)
        return 1
    if against := objections(out, files, replace=asked.replace):
        typer.echo("nothing was written:\n" + "\n".join(f"  {reason}" for reason in against), err=True)
        return 1
    write_documents(out, files, about={"plan": told.plan.dag_id, "plan_digest": told.digest})
    values = f"actual values of {run.key}" if run else "planned values"
    typer.echo(f"wrote {len(files)} files to {out} ({values})")
    return 0


def _given(path: Path, asked: Asked, settings: Settings) -> tuple[Given, BrandSet] | int:
    """What lies on disk; or the exit code, once every fault of the plan and what it names is told."""
    from changeover.adapters.brand_files import load_brand
    from changeover.adapters.check_files import load_catalogue
    from changeover.domain.blueprint import Words
    from changeover.orchestration import texts
    from changeover.usecases.documents.subject import Given

    shelf = wiring.shelf(settings)
    readings = shelf.plans([path])
    plan = readings[0].document
    if len(readings) != 1 or plan is None:
        if len(readings) != 1:
            typer.echo(f"{path} holds {len(readings)} plans; name one of them", err=True)
        else:
            _tell(readings[0].faults)
        return 1
    release, role = shelf.release(plan.release), shelf.role(plan.application)
    if release.document is None or role.document is None:
        _tell((*release.faults, *role.faults))
        return 1
    brand = load_brand(asked.brand, branding=settings.branding)
    given = Given(
        plan, readings[0].digest, release.document, role.document.description, load_catalogue(settings.checks),
        brand.brand, Words(texts.TITLES, texts.TASKS),
    )  # fmt: skip
    return given, brand


def _tell(faults: tuple[Fault, ...]) -> None:
    for fault in faults:
        typer.echo(str(fault), err=True)


def _run(given: Given, asked: Asked, settings: Settings) -> tuple[Ledger | None, Run | None] | str:
    """The ledger and the run to take actual values from, or why there is none where one was named."""
    from changeover.usecases.documents.subject import run_of
    from changeover.usecases.show_status import NoSuchRun, find_run

    if asked.planned or not wiring.is_made(settings.ledger_url):
        return "there is no run in the ledger yet" if asked.run and not asked.planned else (None, None)
    ledger = wiring.ledger(settings)
    if not asked.run:
        return ledger, run_of(ledger, given.plan, given.digest)
    try:
        run = find_run(ledger, asked.run)
    except NoSuchRun as exc:
        return str(exc)
    if run.dag_id != given.plan.dag_id:
        return f"{run.key} is a run of {run.dag_id}, not of {given.plan.dag_id}"
    return ledger, run

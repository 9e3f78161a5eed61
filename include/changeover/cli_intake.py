"""The command `plan new`: an intake becomes a plan that `plan check` passes, or a list of what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from changeover import wiring

if TYPE_CHECKING:
    from changeover.domain.intake import Intake
    from changeover.settings import Settings

ASKED = {
    "client": "client", "application": "application", "upgrade": "upgrade", "title": "title",
    "from_version": "from_version", "to_version": "to_version", "release": "release", "trigger.kind": "trigger.kind",
    "trigger.reference": "trigger.reference", "trigger.dated": "trigger.dated", "trigger.reason": "trigger.reason",
    "statement_of_work.id": "statement_of_work.id", "statement_of_work.signed_on": "statement_of_work.signed_on",
    "statement_of_work.valid_from": "statement_of_work.valid_from",
    "statement_of_work.valid_until": "statement_of_work.valid_until",
    "support_contract.id": "support_contract.id", "support_contract.valid_from": "support_contract.valid_from",
    "support_contract.valid_until": "support_contract.valid_until", "requested_by": "requested_by",
    "approval.by": "approvers", "support.accepted_by.by": "support", "environments": "environments",
}  # fmt: skip
"""Path in the plan → key of the intake, of what can be asked for in one line."""
LISTS = ("approvers", "support", "environments")


def new(source: Path | None, options: Mapping[str, Any], *, out: Path | None, ask: bool) -> int:
    """`options`: the intake's keys that were given; each goes before the file's."""
    from changeover.domain.intake import plan_document

    settings, given = wiring.load_settings(), dict(options)
    while True:
        intake = _read(source, given)
        if intake is None:
            return 1
        document, missing = plan_document(intake, _known(intake, settings))
        answers = _ask(missing, given) if ask else {}
        if not answers:
            break
        given |= answers
    if missing:
        typer.echo(f"changeover: {len(missing)} missing, and nothing was written:", err=True)
        for line in missing:
            typer.echo(f"   {line}", err=True)
        return 1
    return _write(document, settings, out)


def _read(source: Path | None, given: Mapping[str, Any]) -> Intake | None:
    from changeover.adapters.intake_files import read_intake

    reading = read_intake(source, given)
    for fault in reading.faults:
        typer.echo(f"   {fault}", err=True)
    return reading.document


def _known(intake: Intake, settings: Settings) -> Any:
    from changeover.cli_plan import known_cmdb
    from changeover.usecases.new_plan import look_up

    product = wiring.shelf(settings).product(intake.application) if intake.application else None
    return look_up(intake, known_cmdb(settings), product)


def _ask(missing: tuple[str, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """One line for everything that can be said in one; what stays empty is asked once."""
    answers: dict[str, Any] = {}
    for line in missing:
        path, _, wanted = line.partition(": ")
        key = ASKED.get(path)
        if key is None or key in given:
            continue
        said = typer.prompt(wanted, default="", show_default=False)
        answers[key] = [word.strip() for word in said.split(",") if word.strip()] if key in LISTS else said or None
    return answers


def _write(document: dict[str, Any], settings: Settings, out: Path | None) -> int:
    from changeover.adapters.intake_files import plan_text, read_as_plan, write_new
    from changeover.usecases.check_plans import check_plan

    text = plan_text(document)
    path = out or settings.plans / document["client"] / f"{document['upgrade']}.yaml"
    reading = read_as_plan(text, document["client"], document["upgrade"])
    checked = check_plan(reading, wiring.shelf(settings), now=wiring.now())
    if not checked.ok:
        count = len(checked.faults)
        typer.echo(
            f"changeover: the plan would have {count} fault{'s' if count > 1 else ''}; nothing was written:", err=True
        )
        for fault in checked.faults:
            typer.echo(f"   {fault.path}: {fault.message}", err=True)
        return 1
    if not write_new(path, text):
        typer.echo(
            f"changeover: {path} is there already and is never overwritten; name another with --upgrade", err=True
        )
        return 1
    typer.echo(f"wrote {path}; `changeover plan check {path}` passes, `changeover plan show {path}` shows it")
    return 0

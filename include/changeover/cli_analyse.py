"""The command `analyse`: what stands in the way of an upgrade, and what it touches of what the client has."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from changeover import wiring
from changeover.errors import ChangeoverError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changeover.domain.analysis_report import AnalysisReport
    from changeover.settings import Settings
    from changeover.usecases.check_plans import CheckedPlan

BROKEN = 3


@dataclass(frozen=True)
class Wanted:
    """How an analysis is asked for."""

    environments: tuple[str, ...] = ()
    form: str = "table"
    local: bool = False
    login: str = ""
    out: Path | None = None


def analyse(paths: Sequence[Path], wanted: Wanted) -> int:
    """Every plan that is named; 0 when nothing inhibits any of them, 1 when something does, 3 when a tool broke."""
    settings = wiring.load_settings()
    checked = _plans(paths, wanted, settings)
    if isinstance(checked, int):
        return checked
    reports: list[AnalysisReport] = []
    broken: dict[str, str] = {}
    for plan in checked:
        try:
            reports.append(_one(plan, wanted, settings))
        except ChangeoverError as exc:
            if len(checked) == 1:
                raise
            broken[plan.file] = str(exc)
    _print(reports, broken, wanted)
    if broken:
        return BROKEN
    return 1 if any(report.inhibited for report in reports) else 0


def _plans(paths: Sequence[Path], wanted: Wanted, settings: Settings) -> tuple[CheckedPlan, ...] | int:
    """The plans, or the exit code of what is wrong with them or with the request."""
    from changeover.cli_plan import print_checked
    from changeover.usecases.check_plans import check_plans
    from changeover.usecases.open_run import request_faults

    report = check_plans(paths, wiring.shelf(settings), now=wiring.now())
    faulty = [checked for checked in report.plans if not checked.ok or checked.plan is None]
    for checked in faulty:
        print_checked(checked, err=True)
    if faulty or not report.plans:
        return 1
    asked = {"mode": "analyse", **({"environments": list(wanted.environments)} if wanted.environments else {})}
    faults = [
        f"{checked.file}: {fault}"
        for checked in report.plans
        if checked.plan
        for fault in request_faults(checked.plan, asked)
    ]
    for fault in faults:
        typer.echo(fault, err=True)
    return 2 if faults else report.plans


def _one(checked: CheckedPlan, wanted: Wanted, settings: Settings) -> AnalysisReport:
    if wanted.local:
        return _here(checked, wanted, settings)
    from changeover.cli_run import Asked, run_in_airflow

    key = run_in_airflow(
        settings,
        f"{checked.plan.client}.{checked.plan.upgrade}" if checked.plan else "",
        Asked("analyse", wanted.environments, "analysis from the command line"),
        digest=checked.digest,
        login=wanted.login,
    )
    return _report(settings, key)


def _here(checked: CheckedPlan, wanted: Wanted, settings: Settings) -> AnalysisReport:
    from changeover.adapters.plan_files import parse_plan, plan_digest
    from changeover.cli_credentials import around
    from changeover.usecases.analyse_local import analyse_here
    from changeover.usecases.open_run import requested_run

    wiring.make_own_databases(settings)
    raw = Path(checked.file).read_bytes()
    plan = parse_plan(raw, name=checked.file)
    settings, vault = around(plan.client, plan.application, settings, hosts=True)
    tools = wiring.tools(vault=vault, tell=_tell, settings=settings)
    named = {"environments": list(wanted.environments)} if wanted.environments else {}
    asked = {"mode": "analyse", **named, "reason": "analysis from the command line"}
    run = requested_run(
        plan,
        plan_digest=plan_digest(raw),
        plan_text=raw.decode("utf-8"),
        dag_run_id=f"local__{tools.clock():%Y-%m-%dT%H:%M:%S.%f}",
        requested_by=plan.requested_by,
        asked=asked,
        at=tools.clock(),
    )
    return _report(settings, analyse_here(wiring.upgrade_of(settings, run, plan), tools).key)


def _tell(line: str) -> None:
    """Each playbook's start and end and what goes wrong, and not every task that went well."""
    if " | ok | " not in line:
        typer.echo(line, err=True)


def _report(settings: Settings, key: str) -> AnalysisReport:
    report = wiring.analysis(wiring.ledger(settings), key)
    if report is None:
        raise LedgerError(
            f"the run came to no analysis: {_why(settings, key)}",
            where=key,
            then="see `changeover status` for its gates",
        )
    return report


def _why(settings: Settings, key: str) -> str:
    gates = wiring.ledger(settings).gates(key)
    return "; ".join(reason for _, gate in gates for reason in gate.reasons()) or "it said nothing"


def _print(reports: Sequence[AnalysisReport], broken: dict[str, str], wanted: Wanted) -> None:
    from changeover.adapters.whole_file import write_whole

    if wanted.form == "table":
        from changeover.cli_analyse_view import print_analyses

        print_analyses(reports, broken)
        return
    if wanted.form == "json":
        from changeover.domain.analysis_report import rollup_json

        single = len(reports) == 1 and not broken
        text = json.dumps(
            reports[0].as_json() if single else rollup_json(reports, broken), indent=2, ensure_ascii=False
        )
        text += "\n"
    else:
        from changeover.adapters.analysis_html import analysis_html

        text = analysis_html(reports, broken)
    if wanted.out is None:
        sys.stdout.write(text)
    else:
        write_whole(wanted.out, text)
        typer.echo(str(wanted.out), err=True)

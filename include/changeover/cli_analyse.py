"""The command `analyse`: what stands in the way of an upgrade, and what it touches of what the client has."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from changeover import wiring
from changeover.errors import ChangeoverError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changeover.adapters.environment_vault import EnvironmentVault
    from changeover.domain.analysis_report import AnalysisReport
    from changeover.lab import LabState
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
    from changeover.adapters.release_files import load_release, read_product
    from changeover.usecases.analyse_local import analyse_here
    from changeover.usecases.open_run import requested_run
    from changeover.usecases.tools import Upgrade

    wiring.make_own_databases(settings)
    raw = Path(checked.file).read_bytes()
    plan = parse_plan(raw, name=checked.file)
    settings, vault = _around(plan.client, plan.application, settings)
    tools = wiring.tools(vault=vault, tell=_tell, settings=settings)
    asked = {"mode": "analyse", "environments": list(wanted.environments), "reason": "analysis from the command line"}
    run = requested_run(
        plan,
        plan_digest=plan_digest(raw),
        plan_text=raw.decode("utf-8"),
        dag_run_id=f"local__{tools.clock():%Y-%m-%dT%H:%M:%S.%f}",
        requested_by=plan.requested_by,
        asked=asked,
        at=tools.clock(),
    )
    release = load_release(plan.release, releases=settings.releases)
    upgrade = Upgrade(run, plan, release, read_product(release.product, releases=settings.releases))
    return _report(settings, analyse_here(upgrade, tools).key)


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


def _around(client: str, application: str, settings: Settings) -> tuple[Settings, EnvironmentVault]:
    """Credentials from the environment; of a client whose lab runs here, from the lab, with its hosts and artefacts."""
    from changeover.adapters.environment_vault import EnvironmentVault

    named = os.environ.get("CHANGEOVER_CONNECTIONS")
    files = (Path(named),) if named else ()
    vault = EnvironmentVault(os.environ, files)
    state = None if named else _lab_of(client, application, vault)
    if state is None:
        return settings, vault
    from changeover.orchestration.introduce_site import import_estate

    typer.echo(f"the lab's site {state.site} is {client}'s and runs here: its hosts and keys are taken", err=True)
    import_estate(settings, state.estate_path)
    if not os.environ.get("CHANGEOVER_ARTEFACTS"):
        settings = replace(settings, artefacts=state.artefacts_path)
    return settings, EnvironmentVault(os.environ, (state.secrets_path,))


def _lab_of(client: str, application: str, vault: EnvironmentVault) -> LabState | None:
    """The running site of the lab whose estate is this client's, unless the environment gives the connections."""
    import yaml

    from changeover import lab

    for site in lab.SITES:
        found = None
        with suppress(ChangeoverError):
            found = lab.status(site)
        if found is None or not found.running:
            continue
        estate = yaml.safe_load(found.state.estate_path.read_text(encoding="utf-8"))
        hosts = [host for environment in estate["environments"] for host in environment["hosts"]]
        mine = estate["client"]["slug"] == client and application in {a["slug"] for a in estate["applications"]}
        if mine and not all(vault.names(host["connection"]) for host in hosts):
            return found.state
    return None


def _print(reports: Sequence[AnalysisReport], broken: dict[str, str], wanted: Wanted) -> None:
    from changeover.adapters.report_files import write_whole

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

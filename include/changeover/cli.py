"""The command line. Commands import what they need when they run: `--help` has to be quick.

Exit codes: 0 success, 1 the answer is no, 2 wrong usage, 3 a tool is broken.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(
    name="changeover",
    help=(
        "Takes a client's application from one vendor release to the next, and can always say what is true.\n\n"
        "Exit codes: 0 success, 1 the answer is no, 2 wrong usage, 3 a tool is broken."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich costs a quarter of a second, and help is plain text
    pretty_exceptions_enable=False,
)
plan_app = typer.Typer(help="Check and show upgrade plans.", no_args_is_help=True)
release_app = typer.Typer(help="Check release records, and find the way between releases.", no_args_is_help=True)
cmdb_app = typer.Typer(help="The clients' estates in the embedded CMDB.", no_args_is_help=True)
host_app = typer.Typer(help="What the hosts themselves say.", no_args_is_help=True)
lab_app = typer.Typer(help="The rootless lab: real SSH hosts on loopback.", no_args_is_help=True)
version_app = typer.Typer(help="Compare versions as their vendors do, and look for fixes.", no_args_is_help=True)
window_app = typer.Typer(help="Maintenance windows and freezes, in local time and UTC.", no_args_is_help=True)
app.add_typer(plan_app, name="plan")
app.add_typer(cmdb_app, name="cmdb")
app.add_typer(host_app, name="host")
app.add_typer(window_app, name="window")
app.add_typer(release_app, name="release")
app.add_typer(lab_app, name="lab")
app.add_typer(version_app, name="version")
effort_app = typer.Typer(help="Time sheets and rate cards, for the cost of non-billable time.", no_args_is_help=True)
app.add_typer(effort_app, name="effort")


class ModeName(StrEnum):
    """How far a run goes; the same words as `domain.plan.Mode`, which is slow to import."""

    ANALYSE = "analyse"
    REHEARSE = "rehearse"
    IMPLEMENT = "implement"
    BACK_OUT = "back-out"
    FIX = "fix"


class SiteName(StrEnum):
    """Sites of the lab; the same as `lab.SITES`."""

    ROUNDUP = "roundup"
    TRYTON = "tryton"


class LabName(StrEnum):
    """What the lab's commands start: its sites, and hosts with a systemd of their own."""

    ROUNDUP = "roundup"
    TRYTON = "tryton"
    MACHINES = "machines"


class FaultName(StrEnum):
    """Faults that the demonstration can make."""

    INTEGRATION = "integration"
    MODULE = "module"
    KILL = "kill"


class GamedayHosts(StrEnum):
    """On which hosts of the lab a game day is played."""

    ROUNDUP = "roundup"
    MACHINES = "machines"


class PhaseName(StrEnum):
    """Where in a lane a game day makes its fault; the same as `domain.gameday.Phase`."""

    BEFORE = "before"
    MID = "mid"
    ACCEPTANCE = "acceptance"
    BACK_OUT = "back-out"


class WayName(StrEnum):
    """What a person may do with a run that stopped; the same words as `domain.settlement.Way`."""

    RESUME = "resume"
    BACK_OUT = "back-out"
    CLOSE = "close"


class Ring(StrEnum):
    """How much is tested; the same as `testing.rings.RINGS`."""

    LINT = "lint"
    QUICK = "quick"
    DEFAULT = "default"
    ALL = "all"


class Form(StrEnum):
    """Forms of a report."""

    HTML = "html"
    JSON = "json"


class AnalysisForm(StrEnum):
    """Forms of an analysis."""

    TABLE = "table"
    JSON = "json"
    HTML = "html"


class KpiForm(StrEnum):
    """Forms of the KPIs."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PNG = "png"


class KpiBy(StrEnum):
    """What KPIs are told by; the same as `domain.kpi.By`, which is slow to import."""

    CLIENT = "client"
    APPLICATION = "application"
    TEAM = "team"
    MONTH = "month"


PlanPath = Annotated[Path, typer.Argument(help="Plan file, include/plans/<client>/<upgrade>.yaml.")]
RunKey = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="How the run's key or Airflow id begins; the newest when left out."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Site = Annotated[SiteName, typer.Option(help="Which client's estate.")]
AnyLab = Annotated[LabName, typer.Option("--site", help="Which client's estate; machines: systemd hosts, as root.")]
VersionScheme = Annotated[str, typer.Argument(metavar="SCHEME", help="debian, rpm, pep440…: see docs/versions.md.")]
OpenRun = Annotated[
    str | None, typer.Argument(metavar="RUN", help="How the run's key or Airflow id begins, or the plan's DAG id.")
]
OpenGate = Annotated[str | None, typer.Argument(metavar="GATE", help="plan, go-no-go, sign-off or support.")]
OfEnvironment = Annotated[str, typer.Option(help="Environment, where the gate is one of several's.")]
Comment = Annotated[str, typer.Option(help="Kept in the record with the answer.")]
Answerer = Annotated[
    str,
    typer.Option(
        "--as", metavar="LOGIN", help="Who answers, if it is not the session's own user; their password is asked."
    ),
]
AS_THEY_COME = {"ignore_unknown_options": True}
"""A version may begin with '-': then it is refused as a version, not taken for an option."""


@app.callback()
def main_options(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a broken tool's traceback (or set CHANGEOVER_DEBUG).")
    ] = False,
) -> None:
    if debug:
        os.environ["CHANGEOVER_DEBUG"] = "1"


@app.command()
def demo(
    fault: Annotated[FaultName | None, typer.Option(help="Make this fault in the lab, and see it handled.")] = None,
    *,
    keep: Annotated[
        bool | None, typer.Option("--keep/--no-keep", help="Leave the pages up until Ctrl-C; by default on a terminal.")
    ] = None,
) -> None:
    """Upgrade a real application in the lab.

    Tryton 7.0 to 8.0 on four SSH hosts under Airflow, from an empty directory; ends with the outcome and the report.
    """
    from changeover.demo import demo as play

    raise typer.Exit(play(fault=str(fault) if fault else None, keep=keep))


@app.command("test")
def run_tests(
    ring: Annotated[
        Ring, typer.Argument(help="lint; quick: what a developer waits for; default: what CI runs; all: everything.")
    ] = Ring.DEFAULT,
) -> None:
    """Run Changeover's tests and checks."""
    from changeover.testing.runner import run as run_ring

    raise typer.Exit(run_ring(str(ring)))


@app.command()
def gameday(
    plan: Annotated[
        Path | None, typer.Option(help="A plan of the lab's site roundup; by default its own.", exists=True)
    ] = None,
    *,
    hosts: Annotated[
        GamedayHosts, typer.Option("--lab", help="The rootless site, or hosts with a systemd of their own (root).")
    ] = GamedayHosts.ROUNDUP,
    fault: Annotated[list[str] | None, typer.Option(help="Only this fault; may be repeated.")] = None,
    phase: Annotated[list[PhaseName] | None, typer.Option(help="Only this phase; may be repeated.")] = None,
    short: Annotated[bool, typer.Option("--short", help="The few cells of `changeover test`.")] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Cells that cannot be played on this machine are no failure.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Tell nothing on the way.")] = False,
    as_json: AsJson = False,
) -> None:
    """Break real upgrades on purpose, and see whether what is recorded is true.

    Every fault in every phase, on the lab's hosts; prints the matrix, and the totals on its last line. Exit code 1 when
    one outcome was not true, or a cell could not be played.
    """
    from changeover.cli_gameday import gameday as play

    phases = tuple(str(one) for one in phase or ())
    code = play(
        plan,
        hosts=str(hosts),
        faults=tuple(fault or ()),
        phases=phases,
        short=short,
        allow_missing=allow_missing,
        as_json=as_json,
        quiet=quiet,
    )
    raise typer.Exit(code)


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 8080,
    site: Annotated[
        list[SiteName] | None, typer.Option("--lab", help="Start this site of the lab as well; may be repeated.")
    ] = None,
) -> None:
    """Start Airflow here, until Ctrl-C.

    With every person whom a plan names as a login. With --lab, the site's estate is put into the CMDB and its keys into
    Airflow's connections, so that its plan can be run.
    """
    from changeover.cli_run import serve as start

    raise typer.Exit(start(port=port, sites=tuple(map(str, site or ()))))


@plan_app.command("check")
def plan_check(
    path: Annotated[list[Path], typer.Argument(help="Plan files, or directories of them.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Check plans: every fault at once.

    Each with its file, line and path. Exit code 1 when there is one.
    """
    from changeover.cli_plan import check

    raise typer.Exit(check(path, as_json=as_json))


@plan_app.command("show")
def plan_show(plan: PlanPath) -> None:
    """Show what a plan will do.

    Sub-processes, hosts, windows in local time and UTC, and the back-out of every step.
    """
    from changeover.cli_plan import show

    raise typer.Exit(show(plan))


@plan_app.command("new")
def plan_new(  # noqa: PLR0913 -- an intake has as many parts
    *,
    source: Annotated[Path | None, typer.Option("--from", metavar="FILE", help="Intake as YAML.")] = None,
    client: Annotated[str, typer.Option(help="Client, as the CMDB knows it.")] = "",
    application: Annotated[str, typer.Option(help="Application.")] = "",
    upgrade: Annotated[str, typer.Option(help="Name of the upgrade; made when left out.")] = "",
    title: Annotated[str, typer.Option(help="One line for people; made when left out.")] = "",
    from_version: Annotated[str, typer.Option(help="Exact version that runs; the CMDB's when left out.")] = "",
    to_version: Annotated[str, typer.Option(help="Exact version that is wanted.")] = "",
    release: Annotated[str, typer.Option(help="Release record; the one of that version when left out.")] = "",
    environment: Annotated[list[str] | None, typer.Option(help="Environment; repeated, in their order.")] = None,
    any_time: Annotated[str, typer.Option(metavar="REASON", help="Why no window was agreed.")] = "",
    trigger: Annotated[str, typer.Option(help="client_request or recommendation.")] = "",
    reference: Annotated[str, typer.Option(help="Its number.")] = "",
    dated: Annotated[str, typer.Option(help="Its day.")] = "",
    reason: Annotated[str, typer.Option(help="What the client gains.")] = "",
    sow: Annotated[str, typer.Option(help="Number of the statement of work.")] = "",
    signed_on: Annotated[str, typer.Option(help="Day it was signed.")] = "",
    valid_from: Annotated[str, typer.Option(help="First day it covers.")] = "",
    valid_until: Annotated[str, typer.Option(help="Last day it covers.")] = "",
    contract: Annotated[str, typer.Option(help="Number of the support contract.")] = "",
    contract_from: Annotated[str, typer.Option(help="First day of the contract.")] = "",
    contract_until: Annotated[str, typer.Option(help="Last day of the contract.")] = "",
    requester: Annotated[str, typer.Option(help="Who asks for it, by login.")] = "",
    approver: Annotated[list[str] | None, typer.Option(help="Who approves, by login; may be repeated.")] = None,
    support: Annotated[list[str] | None, typer.Option(help="Who takes it over, by login; may be repeated.")] = None,
    out: Annotated[Path | None, typer.Option(help="File; its place under include/plans when left out.")] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask for what is missing.")] = False,
) -> None:
    """Make a plan from an intake.

    Hosts' environments, people and the running version come from the CMDB. What is missing is listed, with exit code 1;
    nothing is written then, and a file that is there is never overwritten.
    """
    from changeover.cli_intake import new

    given = {
        "client": client, "application": application, "upgrade": upgrade, "title": title,
        "from_version": from_version, "to_version": to_version, "release": release, "any_time": any_time,
        "trigger.kind": trigger, "trigger.reference": reference, "trigger.dated": dated, "trigger.reason": reason,
        "statement_of_work.id": sow, "statement_of_work.signed_on": signed_on,
        "statement_of_work.valid_from": valid_from, "statement_of_work.valid_until": valid_until,
        "support_contract.id": contract, "support_contract.valid_from": contract_from,
        "support_contract.valid_until": contract_until,
        "requested_by": requester, "environments": environment, "approvers": approver, "support": support,
    }  # fmt: skip
    raise typer.Exit(new(source, {key: value for key, value in given.items() if value}, out=out, ask=ask))


@plan_app.command("schema")
def plan_schema(
    *,
    reference: Annotated[bool, typer.Option("--reference", help="The reference page for people instead.")] = False,
    write: Annotated[
        bool,
        typer.Option("--write", help="Bring plan.schema.json and the reference page up to date."),
    ] = False,
) -> None:
    """Print the JSON schema of plans."""
    from changeover.cli_plan import schema

    raise typer.Exit(schema(reference=reference, write=write))


@release_app.command("check")
def release_check(
    path: Annotated[list[Path], typer.Argument(help="Release records, or directories of them.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Check release records: every fault at once.

    Each with its file, line and path. Exit code 1 when there is one.
    """
    from changeover.cli_release import check

    raise typer.Exit(check(path, as_json=as_json))


@release_app.command("path")
def release_path(
    product: Annotated[str, typer.Argument(help="Product, a directory of include/releases.")],
    from_version: Annotated[str, typer.Argument(metavar="FROM", help="Exact version that runs.")],
    to: Annotated[str, typer.Argument(metavar="TO", help="Exact version that is wanted, or the release's name.")],
    *,
    downgrade: Annotated[bool, typer.Option("--downgrade", help="An older version is wanted on purpose.")] = False,
    change_of_line: Annotated[
        bool, typer.Option("--change-of-line", help="The vendor's other line of releases is wanted on purpose.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the way the vendor supports from one version to another, leg by leg.

    With every mandatory stop, or why there is no way. Exit code 1 when there is none, or a record cannot be read.
    """
    from changeover.cli_release import path
    from changeover.domain.named import Named

    raise typer.Exit(path(product, from_version, to, named=Named(downgrade, change_of_line), as_json=as_json))


@release_app.command("schema")
def release_schema(
    *,
    reference: Annotated[bool, typer.Option("--reference", help="The page for people instead.")] = False,
    write: Annotated[
        bool,
        typer.Option("--write", help="Bring release.schema.json and docs/release-records.md up to date."),
    ] = False,
) -> None:
    """Print the JSON schema of release records."""
    from changeover.cli_release import schema

    raise typer.Exit(schema(reference=reference, write=write))


@app.command()
def run(
    plan: PlanPath,
    *,
    mode: Annotated[ModeName, typer.Option(help="How far it goes.")] = ModeName.IMPLEMENT,
    environment: Annotated[list[str] | None, typer.Option(help="Only this environment; may be repeated.")] = None,
    reason: Annotated[str, typer.Option(help="Why now; kept with the run.")] = "",
    change: Annotated[str, typer.Option(help="Number of the change in the client's own system.")] = "",
    finding: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Mode fix: cure this finding; KEY or KEY=SUBJECT, may be repeated."),
    ] = None,
    login: Annotated[str, typer.Option("--as", help="Who asks, as Airflow knows them.")] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow it to its end; exit 1 unless it did what was asked.")
    ] = False,
) -> None:
    """Start a run of a plan.

    In the Airflow that `changeover serve` or `changeover demo` started on this machine.
    """
    from changeover.cli_run import Asked, start

    asked = Asked(str(mode), tuple(environment or ()), reason, change, tuple(finding or ()))
    raise typer.Exit(start(plan, asked, login=login, wait=wait))


@app.command()
def analyse(
    plans: Annotated[list[Path], typer.Argument(metavar="PLAN…", help="Plan files, or directories of them.")],
    *,
    environment: Annotated[list[str] | None, typer.Option(help="Only this environment; may be repeated.")] = None,
    form: Annotated[
        AnalysisForm, typer.Option("--format", help="table for the terminal, json for programs, html for people.")
    ] = AnalysisForm.TABLE,
    local: Annotated[
        bool,
        typer.Option("--local", help="Without Airflow; keys from AIRFLOW_CONN_*, CHANGEOVER_CONNECTIONS or a lab."),
    ] = False,
    login: Annotated[str, typer.Option("--as", help="Who asks, as Airflow knows them.")] = "",
    out: Annotated[Path | None, typer.Option(help="File for json or html; else it is printed.")] = None,
) -> None:
    """Tell what stands in the way of upgrades.

    Reads only: every host, the release, the artefacts. Several plans are told together as well. Exit code 1 when
    something inhibits.
    """
    from changeover.cli_analyse import Wanted
    from changeover.cli_analyse import analyse as run_analysis

    wanted = Wanted(tuple(environment or ()), str(form), local, login, out)
    raise typer.Exit(run_analysis(plans, wanted))


@app.command()
def status(wanted: RunKey = None, *, as_json: AsJson = False) -> None:
    """Show where a run stands.

    Its steps, gates, outcome, and the reasons.
    """
    from changeover.cli_status import show

    raise typer.Exit(show(wanted, as_json=as_json))


@app.command()
def settle(
    wanted: Annotated[str, typer.Argument(metavar="RUN", help="How the run's key or Airflow id begins.")],
    *,
    do: Annotated[WayName | None, typer.Option(help="Carry this out; without it nothing is changed.")] = None,
    by: Annotated[str, typer.Option(metavar="LOGIN", help="Who decides, as the plan names them.")] = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the run.")] = "",
    environment: Annotated[list[str] | None, typer.Option(help="Only this environment; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is true of a run that stopped half-way, and settle it.

    Asks every host (marker, lock, processes, version), the ledger and Airflow; says for resume, back-out and close
    whether it is possible and why. Exit code 1 when something is to be settled, or what was ordered could not be done.
    """
    from changeover.cli_settle import settle as settle_run

    raise typer.Exit(
        settle_run(
            wanted,
            str(do) if do else None,
            by=by,
            reason=reason,
            environments=tuple(environment or ()),
            as_json=as_json,
        )
    )


OfRun = Annotated[str, typer.Argument(metavar="RUN", help="How the run's key or Airflow id begins.")]
ByWhom = Annotated[str, typer.Option("--by", metavar="LOGIN", help="Who decides, as the plan names them.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the run.")]


@app.command()
def hold(wanted: OfRun, *, by: ByWhom = "", reason: Why = "") -> None:
    """Let nothing further of a run begin until it is resumed.

    What runs is finished. Before a change begins the hold ends when it is too late to start; after that at "decide by",
    where the plan's night policy acts.
    """
    from changeover.cli_steer import steer

    raise typer.Exit(steer("hold", wanted, by=by, reason=reason))


@app.command()
def resume(wanted: OfRun, *, by: ByWhom = "", reason: Why = "") -> None:
    """End every hold of a run, people's and the night policy's: it goes on from where it stood."""
    from changeover.cli_steer import steer

    raise typer.Exit(steer("resume", wanted, by=by, reason=reason))


@app.command()
def abort(
    wanted: OfRun,
    *,
    by: ByWhom = "",
    reason: Why = "",
    back_out: Annotated[bool, typer.Option("--back-out", help="Take back a change that has begun.")] = False,
) -> None:
    """End a run where that is safe: between steps, before an environment's change begins.

    Otherwise exit code 1 and what is possible: wait, hold, or --back-out.
    """
    from changeover.cli_steer import steer

    raise typer.Exit(steer("abort", wanted, by=by, reason=reason, back_out=back_out))


@app.command()
def stop(
    wanted: OfRun,
    *,
    environments: Annotated[
        list[str] | None, typer.Option("--environment", help="Only there; may be repeated.")
    ] = None,
    by: ByWhom = "",
    reason: Why = "",
) -> None:
    """End what a run has at work on hosts now, there too, and prove it over a fresh connection.

    Exit code 1 when that is not confirmed, or nothing is at work. Nothing is backed out by it: see `settle`.
    """
    from changeover.cli_stop import stop

    raise typer.Exit(stop(wanted, by=by, reason=reason, environments=tuple(environments or ())))


def _answer(option: str, run: str | None, gate: str | None, environment: str, comment: str, login: str) -> int:
    from changeover.cli_approve import Answered, answer, list_open

    if run is None and gate is None:
        return list_open(login)
    return answer(Answered(option, run, gate, environment, comment), login=login)


@app.command()
def approve(
    run: OpenRun = None,
    gate: OpenGate = None,
    *,
    environment: OfEnvironment = "",
    comment: Comment = "",
    login: Answerer = "",
) -> None:
    """Say yes at a gate, as a person the plan names.

    Without RUN and GATE: list what waits for people, of everybody or of the one given with --as.
    """
    raise typer.Exit(_answer("Approve", run, gate, environment, comment, login))


@app.command()
def reject(
    run: OpenRun = None,
    gate: OpenGate = None,
    *,
    environment: OfEnvironment = "",
    comment: Comment = "",
    login: Answerer = "",
) -> None:
    """Say no at a gate, as a person the plan names.

    Without RUN and GATE: list what waits for people, of everybody or of the one given with --as.
    """
    raise typer.Exit(_answer("Reject", run, gate, environment, comment, login))


@app.command()
def report(
    wanted: RunKey = None,
    *,
    form: Annotated[Form, typer.Option("--format", help="html for people, json for programs.")] = Form.HTML,
    out: Annotated[Path | None, typer.Option(help="File, '-' to print; else the reports directory.")] = None,
    review: Annotated[bool, typer.Option("--review", help="The post-implementation review instead.")] = False,
) -> None:
    """Write the report of a run.

    Outcome, proofs, timeline, approvals, evidence, change record. The review: forecast against actual, deviations,
    decisions, incidents, proposed checks.
    """
    from changeover.cli_status import report as write

    raise typer.Exit(write(wanted, form=str(form), out=out, review=review))


@app.command()
def change(
    wanted: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="How the run's key or Airflow id begins.")
    ] = None,
    *,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel it: the run goes no further.")] = False,
    start: Annotated[
        str, typer.Option("--from", metavar="INSTANT", help="Move it: planned from, such as 2026-08-21T13:00Z.")
    ] = "",
    end: Annotated[str, typer.Option("--to", metavar="INSTANT", help="Move it: planned until.")] = "",
    by: Annotated[str, typer.Option(metavar="LOGIN", help="Who orders it, as the CMDB knows them.")] = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept on the change.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show a run's change as the CMDB has it, cancel it, or move it to another time.

    What is ordered here holds before the next host work begins; a change that has begun on a host ends first.
    """
    from changeover.cli_change import change as show
    from changeover.cli_change import instant
    from changeover.usecases.order_change import ChangeOrder

    order = None
    if cancel or start or end:
        times = (instant(start) if start else None, instant(end) if end else None)
        order = ChangeOrder(by, reason, cancel, *times)
    raise typer.Exit(show(wanted, order, as_json=as_json))


@app.command()
def notices(
    wanted: Annotated[
        str | None, typer.Argument(metavar="[RUN|PLAN]", help="A run's key or a plan's DAG id, or its beginning.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show who was told what, when and over which channel; and who was not, and why.

    Exit code 1 when somebody was not told.
    """
    from changeover.cli_notices import show

    raise typer.Exit(show(wanted, as_json=as_json))


@app.command()
def calendar(
    path: Annotated[
        list[Path] | None, typer.Argument(help="Plan files, or directories of them; include/plans when left out.")
    ] = None,
    *,
    hands: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many environments can be worked on at a time.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show who works on what, when, over all plans, and what clashes.

    Shared hosts, people who are needed twice, nights that a freeze takes away. Exit code 1 when something clashes.
    """
    from changeover.cli_calendar import show

    raise typer.Exit(show(path, at_most=hands, as_json=as_json))


@app.command()
def documents(
    plan: PlanPath,
    *,
    out: Annotated[Path, typer.Option(help="Directory to write into; made when it is not there.")],
    only: Annotated[list[str] | None, typer.Option(help="Only this document; may be repeated.")] = None,
    brand: Annotated[str, typer.Option(help="Brand under include/branding.")] = "default",
    run: Annotated[str, typer.Option("--run", help="Take actual values from this run, not from the newest.")] = "",
    planned: Annotated[bool, typer.Option("--planned", help="Planned values only, whatever the ledger holds.")] = False,
    start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day of work.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Also replace files that were edited since.")] = False,
) -> None:
    """Write the documents of an upgrade.

    From the plan and, where a run of it is in the ledger, with its actual values: PDF and HTML, the process map, and
    sources to edit (BPMN, draw.io, CSV, iCalendar).
    """
    from changeover.cli_documents import Asked, write

    first = start.date() if start else None
    raise typer.Exit(write(plan, out, Asked(tuple(only or ()), brand, run, planned, first, replace)))


@cmdb_app.command("import")
def cmdb_import(
    file: Annotated[list[Path], typer.Argument(metavar="FILE", help="Estates as YAML: docs/estate-reference.md.")],
    *,
    check: Annotated[bool, typer.Option("--check", help="Tell the faults only; nothing is written.")] = False,
    reset: Annotated[
        bool, typer.Option("--reset-versions", help="The files' versions go before those that runs recorded.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring clients' people, environments and hosts into the CMDB.

    Every fault of every file at once, and then nothing is imported: exit code 1. Repeatable; tells what was added,
    changed, retired and left as it was.
    """
    from changeover.cli_cmdb import import_files

    raise typer.Exit(import_files(file, check=check, reset=reset, as_json=as_json))


@cmdb_app.command("export")
def cmdb_export(
    client: Annotated[str, typer.Argument(help="Client, by its short name or its name.")],
    *,
    out: Annotated[Path | None, typer.Option(help="File; printed when left out.")] = None,
) -> None:
    """Print a client's estate as `cmdb import` takes it. Exit code 1 when the CMDB does not know the client."""
    from changeover.cli_cmdb import export

    raise typer.Exit(export(client, out=out))


@host_app.command("status")
def host_status(
    wanted: Annotated[list[str], typer.Argument(metavar="PLAN_OR_CLIENT", help="Plan files, or names of clients.")],
    *,
    environment: Annotated[list[str] | None, typer.Option(help="Only this environment; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask every host who holds it.

    Over a fresh connection: lock, marker and living processes, whether the run's controller still runs, and what a
    person may do. Exit code 1 when a host does not answer or is held by a run that is not at work.
    """
    from changeover.cli_host import status as show

    raise typer.Exit(show(wanted, tuple(environment or ()), as_json=as_json))


@host_app.command("release")
def host_release(
    host: Annotated[str, typer.Argument(metavar="HOST", help="Name of the host in the CMDB.")],
    *,
    client: Annotated[str, typer.Option(help="Of several clients that have a host of this name.")] = "",
    by: ByWhom = "",
    reason: Why = "",
) -> None:
    """Take a host's lock from a run that is known to be dead.

    Never beside living processes, nor from a host that cannot be asked. Exit code 1 when it may not be done.
    """
    from changeover.cli_host import release

    raise typer.Exit(release(host, client, by=by, reason=reason))


@window_app.command("show")
def window_show(
    plan: PlanPath,
    *,
    count: Annotated[int, typer.Option(help="How many nights of each window.", min=1, max=1000)] = 5,
    as_json: AsJson = False,
) -> None:
    """Show the coming nights of a plan's windows.

    In local time and UTC, with those that a freeze takes away and why. Exit code 1 when a window offers none, or when
    this machine's zone data and the pinned data differ about it.
    """
    from changeover.cli_window import show

    raise typer.Exit(show(plan, count=count, as_json=as_json))


@window_app.command("resolve")
def window_resolve(
    *,
    zone: Annotated[str | None, typer.Option(help="IANA time zone, such as Europe/Berlin.")] = None,
    rule: Annotated[str | None, typer.Option(help="Rule of RFC 5545; the one date when left out.")] = None,
    start: Annotated[str | None, typer.Option(metavar="HH:MM", help="Local time of opening.")] = None,
    end: Annotated[
        str | None, typer.Option(metavar="HH:MM", help="Local time of closing; not after START: next day.")
    ] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="DATE", help="Local date, such as 2026-08-15.")] = None,
    count: Annotated[str | None, typer.Option(metavar="N", help="How many nights of a rule; 5 when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a window's local time into UTC.

    By the pinned zone data, with a warning where the clocks skip or repeat a time.
    """
    from changeover.cli_window import resolve
    from changeover.usecases.show_windows import Asked

    raise typer.Exit(resolve(Asked(zone, start, end, since, rule, count), as_json=as_json))


@window_app.command("export")
def window_export(
    plan: PlanPath,
    *,
    out: Annotated[Path | None, typer.Option(help="File; printed when left out.")] = None,
) -> None:
    """Write a plan's windows and its client's freezes as an iCalendar file."""
    from changeover.cli_window import export

    raise typer.Exit(export(plan, out=out))


@window_app.command("import")
def window_import(
    file: Annotated[Path, typer.Argument(metavar="FILE.ics", help="An iCalendar file.")],
    *,
    client: Annotated[str | None, typer.Option(help="Put its freezes into this client's file.")] = None,
    zone: Annotated[str | None, typer.Option(help="Zone of all-day events, where the file names none.")] = None,
) -> None:
    """Read windows and freezes from an iCalendar file.

    All-day events and those of the category FREEZE are freezes. Windows are printed for the plans they belong to.
    """
    from changeover.cli_window import import_file

    raise typer.Exit(import_file(file, client=client, zone=zone))


@app.command()
def kpi(
    *,
    form: Annotated[KpiForm, typer.Option("--format", help="table, json, csv, or png to show.")] = KpiForm.TABLE,
    by: Annotated[KpiBy | None, typer.Option(help="Also for each of these.")] = None,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day, UTC.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, UTC.")] = None,
    out: Annotated[Path | None, typer.Option(help="File, '-' to print.")] = None,
) -> None:
    """Tell the KPIs from what the ledger holds.

    Failure rate, success, on-time completion, non-billable time, client satisfaction, incidents. Exit code 1: no data.
    """
    from changeover.cli_kpi import show

    days = [moment.date() if moment else None for moment in (first, last)]
    raise typer.Exit(show(form=str(form), by=str(by) if by else None, first=days[0], last=days[1], out=out))


@app.command()
def survey(
    wanted: RunKey = None,
    *,
    url: Annotated[
        str, typer.Option(envvar="CHANGEOVER_URL", help="Address under which the client reaches Airflow.")
    ] = "http://127.0.0.1:8080",
) -> None:
    """Print the link under which the client answers the survey of a run.

    Whoever has the link can answer, once, for thirty days; it shows nothing else.
    """
    from changeover.cli_kpi import survey_link

    raise typer.Exit(survey_link(wanted, url=url))


@effort_app.command("import")
def effort_import(file: Annotated[Path, typer.Argument(help="Time sheet: CSV in UTF-8.")]) -> None:
    """Take a time sheet into the ledger.

    Columns who, role, date, hours, run, plan, billable, and why and note. All of it or, with every fault told, nothing;
    the same lines again count once.
    """
    from changeover.cli_kpi import import_sheet

    raise typer.Exit(import_sheet(file))


@effort_app.command("withdraw")
def effort_withdraw(
    file: Annotated[Path, typer.Argument(help="A time sheet with the lines that were wrong, as they were imported.")],
    *,
    by: Annotated[str, typer.Option(help="Who withdraws them; kept with them.")],
    reason: Annotated[str, typer.Option(help="Why; kept with them.")],
) -> None:
    """Let lines of a time sheet count no more.

    They stay on record. All of them are on record, or none is withdrawn; then import the corrected sheet.
    """
    from changeover.cli_kpi import withdraw_sheet

    raise typer.Exit(withdraw_sheet(file, by=by, reason=reason))


@effort_app.command("rates")
def effort_rates(
    provider: Annotated[str, typer.Option(help="Rate card under include/rates.")] = "default",
) -> None:
    """Record a rate card in the ledger.

    What was valid before stays valid for its days.
    """
    from changeover.cli_kpi import record_rates

    raise typer.Exit(record_rates(provider))


@lab_app.command("up")
def lab_up(site: AnyLab = LabName.TRYTON) -> None:
    """Start the hosts.

    At first the old release is installed and seeded on them.
    """
    from changeover.cli_lab import up

    raise typer.Exit(up(str(site)))


@lab_app.command("down")
def lab_down(
    site: AnyLab = LabName.TRYTON,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the hosts' files as well.")] = False,
) -> None:
    """Stop every process of the lab."""
    from changeover.cli_lab import down

    raise typer.Exit(down(str(site), remove=remove))


@lab_app.command("reset")
def lab_reset(site: AnyLab = LabName.TRYTON) -> None:
    """Put every host back to the old release."""
    from changeover.cli_lab import reset

    raise typer.Exit(reset(str(site)))


@lab_app.command("keep-data")
def lab_keep_data(site: Site = SiteName.TRYTON) -> None:
    """Make the site's data anew and keep it in the project.

    For those who change what the data is made from; a lab loads what is kept.
    """
    from changeover.cli_lab import keep_data

    raise typer.Exit(keep_data(str(site)))


@lab_app.command("status")
def lab_status(site: AnyLab = LabName.TRYTON, *, as_json: AsJson = False) -> None:
    """Show what of the lab runs.

    Exit code 1 unless all of it does.
    """
    from changeover.cli_lab import status as show

    raise typer.Exit(show(str(site), as_json=as_json))


@version_app.command("compare", context_settings=AS_THEY_COME)
def version_compare(
    scheme: VersionScheme,
    a: Annotated[str, typer.Argument(metavar="A", help="A version.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The version it is held against.")],
) -> None:
    """Print older, equal or newer: what A is to B.

    Exit code 1, and the reason on stderr, when it cannot be said: an unknown scheme, a version that does not
    fit it, or two that have no order.
    """
    from changeover.cli_version import compare

    raise typer.Exit(compare(scheme, a, b))


@version_app.command("fixed", context_settings=AS_THEY_COME)
def version_fixed(
    scheme: VersionScheme,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version that runs.")],
    fixes: Annotated[
        list[str], typer.Argument(metavar="FIX", help="The versions that brought the fix, one per line of releases.")
    ],
    *,
    why: Annotated[bool, typer.Option("--why", help="Say why on stderr.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 for not fixed, too: for `if` in scripts.")
    ] = False,
) -> None:
    """Print fixed or not fixed: whether VERSION has the fix.

    A fix is looked for in the version's own line. Both answers exit with 0 unless --exit-code is given; exit code 1 and
    the reason on stderr, with nothing printed, when it cannot be said.
    """
    from changeover.cli_version import fixed

    raise typer.Exit(fixed(scheme, version, fixes, why=why, exit_code=exit_code))


def main() -> NoReturn:
    """Run a command; turn a broken tool into its message and exit code 3."""
    try:
        app(prog_name="changeover")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except Exception as exc:  # noqa: BLE001 -- the last place where anything can still be said plainly
        if os.environ.get("CHANGEOVER_DEBUG"):
            raise_with_code(exc)
        print(told(exc), file=sys.stderr)
        sys.exit(3)
    sys.exit(0)


def raise_with_code(exc: Exception) -> NoReturn:
    """The traceback, and still exit code 3."""
    import traceback

    traceback.print_exception(exc)
    sys.exit(3)


def told(exc: Exception) -> str:
    """What happened, where, and who does what next."""
    from changeover.errors import ChangeoverError

    if not isinstance(exc, ChangeoverError):
        what = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
        return (
            f"changeover: unexpected: {what}\n"
            "  next: run it again with --debug to see where, and report it with that traceback"
        )
    what = exc.what.replace("\n", "\n  ")  # the faults of a document, one a line
    return "\n".join(
        [
            f"changeover: {what}",
            *([f"  where: {exc.where}"] if exc.where else []),
            *([f"  next: {exc.then}"] if exc.then else []),
        ]
    )


if __name__ == "__main__":
    main()

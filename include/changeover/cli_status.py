"""The commands `status` and `report`: what the ledger says of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from changeover import wiring
from changeover.cli_found import NO_RUN_YET

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from pathlib import Path

    from rich.console import RenderableType
    from rich.table import Table

    from changeover.domain.outcome import Outcome
    from changeover.domain.run_view import EnvironmentView, RunView
    from changeover.ports import Cmdb, Ledger
    from changeover.settings import Settings


def show(wanted: str | None, *, as_json: bool) -> int:
    found = _find(wanted)
    if isinstance(found, str):
        return _no(found, as_json=as_json)
    _, view = found
    if as_json:
        typer.echo(json.dumps(view.as_json(), indent=2))
    else:
        print_view(view)
        if left := _not_told(view.run.key):
            typer.echo(f"{left} notices did not reach their people: ./changeover notices {view.run.key}")
    return 0


def report(wanted: str | None, *, form: str, out: Path | None, review: bool = False) -> int:
    from changeover.adapters.report_files import report_text, review_text, write_report, write_review
    from changeover.adapters.whole_file import write_whole
    from changeover.domain.review import review_of

    found = _find(wanted)
    if isinstance(found, str):
        return _no(found, as_json=False)
    ledger, view = found
    settings = wiring.load_settings()
    gathered = wiring.report(ledger, _cmdb(settings), view.run.key)
    reviewed = review_of(gathered)
    if out is None:
        written = write_review(reviewed, settings.reports) if review else write_report(gathered, settings.reports)
        typer.echo(str(written[form]))
        return 0
    text = review_text(reviewed, form) if review else report_text(gathered, form)
    if str(out) == "-":
        typer.echo(text, nl=False)
    else:
        write_whole(out, text)
        typer.echo(str(out))
    return 0


def _not_told(run_key: str) -> int:
    from changeover.domain.notice import not_reached

    deliveries = wiring.notice_book(wiring.load_settings()).deliveries()
    return len(not_reached(each for each in deliveries if each.run == run_key))


def _find(wanted: str | None) -> tuple[Ledger, RunView] | str:
    """The run with the ledger it is in, or why there is none."""
    from changeover.usecases.show_status import NoSuchRun, status

    settings = wiring.load_settings()
    if not wiring.is_made(settings.ledger_url):
        return NO_RUN_YET
    ledger = wiring.ledger(settings)
    try:
        return ledger, status(ledger, wanted)
    except NoSuchRun as exc:
        return str(exc)


def _no(reason: str, *, as_json: bool) -> int:
    if as_json:
        typer.echo(json.dumps({"schema_version": 1, "run": None, "error": reason}, indent=2))
    else:
        typer.echo(reason, err=True)
    return 1


def _cmdb(settings: Settings) -> Cmdb | str:
    from changeover.errors import CmdbError

    if not wiring.is_made(settings.cmdb_url):
        return "there is no CMDB yet"
    try:
        return wiring.cmdb(settings)
    except CmdbError as exc:
        return exc.what


def print_view(view: RunView) -> None:
    """The run, then a table of steps and gates for each environment, in the order in which they happened."""
    from rich.console import Console

    from changeover.domain.hypercare import watch_told

    console = Console()
    if not console.is_terminal:
        console.width = 160
    run = view.run
    console.print(f"[bold]{run.client}[/] {run.upgrade}, {run.mode}, by {run.requested_by}", highlight=False)
    console.print(f"run {run.key}", highlight=False)
    console.print(f"plan sha256 {run.plan_digest[:16]}, opened {run.opened_at:%Y-%m-%d %H:%M:%SZ}", highlight=False)
    console.print(_outcome_line(view))
    for line in watch_told(view.whole.marks):
        console.print(f"  watch: {line}", style="dim", highlight=False, markup=False)
    for text in view.standing:
        console.print(text, style="yellow", highlight=False, markup=False)
    for part in (view.whole, *view.environments):
        if part.steps or part.gates or part.outcome:
            console.print()
            console.print(_table(part))
            for line in _hosts_told(part):
                console.print(f"  {line}", highlight=False, markup=False)
            for reason in part.outcome.reasons if part.outcome and part.name else ():
                console.print(f"  {reason}", style="dim", highlight=False, markup=False)


def _hosts_told(part: EnvironmentView) -> list[str]:
    """Where the hosts of a rollout stand, and what is still taken from them."""
    from changeover.domain.taken import told

    each = ", ".join(f"{host} {standing.replace('_', ' ')}" for host, standing in part.standings.items())
    return [*([f"hosts: {each}"] if each else []), *told(part.marks)]


def _outcome_line(view: RunView) -> RenderableType:
    from rich.text import Text

    if view.outcome is None:
        return Text(f"open, last event {view.last_event:%Y-%m-%d %H:%M:%SZ}", style="yellow")
    text = Text(str(view.outcome.outcome).replace("_", " "), style=f"bold {_colour(view.outcome.outcome)}")
    for reason in view.outcome.reasons:
        text.append(f"\n  {reason}", style="not bold default")
    return text


def _colour(outcome: Outcome) -> str:
    if outcome.is_success:
        return "green"
    return "red" if str(outcome) in ("back_out_failed", "unknown") else "yellow"


def _table(part: EnvironmentView) -> Table:
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    title = part.name or "the run as a whole"
    outcome = f": {str(part.outcome.outcome).replace('_', ' ')}" if part.outcome and part.name else ""
    table = Table(title=escape(f"{title}{outcome}"), title_justify="left", title_style="bold", expand=False)
    for column in ("UTC", "step or gate", "state", "took", "hosts", "reasons"):
        table.add_column(column, overflow="fold")
    for at, name, state, took, hosts, reasons in sorted(_rows(part), key=lambda row: row[0]):
        colour = {"successful": "green", "passed": "green", "running": "yellow"}.get(state, "red")
        table.add_row(f"{at:%H:%M:%S}", Text(name), Text(state, style=colour), took, Text(hosts), Text(reasons))
    return table


def _rows(part: EnvironmentView) -> list[tuple[datetime, str, str, str, str, str]]:
    rows = [
        (
            step.started_at,
            step.step if step.generation == 1 else f"{step.step} ({step.generation})",
            str(step.status),
            _took(step.duration),
            ", ".join(f"{host} {state}" for host, state in step.hosts.items()),
            "; ".join(step.reasons),
        )
        for step in part.steps
    ]
    for at, gate in part.gates:
        checks = f"{gate.checks_run}/{max(len(gate.declared), gate.checks_run)} checks"
        hosts = f"{len(gate.hosts_seen)}/{len(gate.hosts_planned)} hosts, {checks}"
        state = "passed" if gate.passed else "not passed"
        rows.append((at, f"gate {gate.gate}", state, "", hosts, "; ".join(gate.reasons())))
    return rows


def _took(length: timedelta | None) -> str:
    return "" if length is None else f"{length.total_seconds():.1f} s"

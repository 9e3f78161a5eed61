"""What the demonstration shows: what happens now, what happened, and at the end what is true and where time went."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from rich.status import Status

    from changeover.domain.report import Dataset, Report
    from changeover.domain.run_view import RunView
    from changeover.domain.waiver import Waiver
    from changeover.orchestration.airflow_client import Task
    from changeover.orchestration.serve import AirflowServer

FAULTS = {
    "integration": "production alone still runs the client's old integration, which calls what the new release moved",
    "module": "the client's own module was never ported to the new release",
    "kill": "production's migration is killed half-way",
}
GROUPS = {
    "s01_transition": "transition from sales",
    "s02_kickoff": "kickoff",
    "s03_release_analysis": "release analysis",
    "s04_client_analysis": "client analysis",
    "s05_baseline": "baseline: built, upgraded, backed out, upgraded again",
    "s06_planning": "planning and approval",
    "s07_preparations": "preparations",
    "s10_support": "hypercare and hand-over",
    "s11_closeout": "closeout",
}
_COLOURS = {"good": "green", "bad": "red"}


class DemoView:
    """Writes lines that stay, and on a terminal one line of what happens now."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        # The bootstrap turns into this program: the process is as old as the command, installation included.
        self._began = min(time.time(), psutil.Process(os.getpid()).create_time())
        self._prepared_at = time.time()
        self._told: set[str] = set()
        self._spinner: Status | None = None

    def opening(self, title: str, fault: str | None) -> None:
        said = f", with a fault: {FAULTS.get(fault, fault)}" if fault else ""
        self._console.print(f"[bold]{escape(title)}, in the lab[/]{said}")
        if (installation := time.time() - self._began) > 5:
            self.step(f"the Python environment was made ({installation:.0f} s)")

    def step(self, text: str) -> None:
        """Something of the demonstration itself is done."""
        self._console.print(f"[dim]{self._elapsed()}[/]  {escape(text)}")

    def now(self, text: str) -> None:
        """What is being done or waited for; on a terminal only."""
        if not self._console.is_terminal:
            return
        if self._spinner is None:
            self._spinner = self._console.status("")
            self._spinner.start()
        self._spinner.update(f"{self._elapsed()}  {escape(text)}")

    def close(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def running(self, tasks: Mapping[str, Task]) -> None:
        """The tasks at work now."""
        at_work = [_title(task) for task in tasks.values() if task.state in ("running", "deferred", "awaiting_input")]
        self.now(", ".join(at_work) or "between two steps")

    def happened(self, view: RunView) -> None:
        """Everything of the run that was not told yet."""
        from changeover.usecases.write_report import events

        for event in sorted(events(view), key=lambda event: event.until or event.at):
            place = " ".join(dict.fromkeys(part for part in (event.environment, event.host) if part))
            seconds = f" ({(event.until - event.at).total_seconds():.0f} s)" if event.until else ""
            key = f"{event.at} {place} {event.text}"
            if key in self._told or event.text.endswith(": running"):
                continue
            self._told.add(key)
            colour = _COLOURS.get(event.weight, "default")
            self._console.print(
                f"[dim]{self._elapsed()}[/]  {escape(f'{place:<22}')}  [{colour}]{escape(event.text)}{seconds}[/]"
            )

    def answered(self, subject: str, option: str, who: str) -> None:
        self._console.print(
            f"[dim]{self._elapsed()}[/]  [yellow]{escape(subject)}[/]\n"
            f"{'':>9}  the demonstration answers [bold]{escape(option)}[/] as {escape(who)}, whom the plan names for it"
        )

    def waived(self, waiver: Waiver) -> None:
        """The analysis finds the fault; the run goes on under a waiver, and nobody is to believe otherwise."""
        self._console.print(
            f"[dim]{self._elapsed()}[/]  [yellow]the analysis finds this fault and would stop the run[/]\n"
            f"{'':>9}  waiver [bold]{escape(waiver.id)}[/] of {escape(waiver.by)} until {waiver.expires_on} for"
            f" {escape(waiver.key)} ({escape(waiver.subject)}): {escape(waiver.reason)}"
        )

    def conclusion(self, report: Report, tasks: Mapping[str, Task], path: Path, *, fault: str | None) -> None:
        """Outcome, environments, data, report, and where the time went."""
        self.close()
        verdict = report.view.outcome
        outcome = str(verdict.outcome) if verdict else "no outcome was recorded"
        colour = "green" if verdict and verdict.outcome.is_success else "red"
        self._console.print(f"\n[bold {colour}]{outcome.replace('_', ' ')}[/]")
        for reason in verdict.reasons if verdict else ():
            self._console.print(f"  {escape(reason)}")
        if fault:
            self._console.print(f"  the fault was: {FAULTS.get(fault, fault)}")
        self._console.print(_environments(report))
        self._console.print(f"Business data: {rows_in_words(report.datasets)}")
        if report.change:
            code = f", {report.change.close_code}" if report.change.close_code else ""
            self._console.print(f"Change {report.change.number}: {report.change.state}{code}")
        if report.cmdb_error:
            self._console.print(f"[red]CMDB: {escape(report.cmdb_error)}[/]")
        self._console.print(f"Report: {path}")
        self._times(tasks)

    def invitation(self, server: AirflowServer) -> None:
        """How to look at it."""
        self.close()
        self._console.print(
            f"\nThe user interface is at [bold]{server.url}[/], login [bold]admin[/], password"
            f" [bold]{server.password('admin')}[/]\n"
            f"Passwords of everybody the plan names: {server.passwords_path}\n"
            "It stays until Ctrl-C, with the lab."
        )

    def farewell(self) -> None:
        """How to look at it later."""
        self.close()
        self._console.print(
            "Look at the run in Airflow with ./changeover serve, at its record with ./changeover status"
        )

    def _times(self, tasks: Mapping[str, Task]) -> None:
        table = Table("where the time went", "s", box=None, pad_edge=False, header_style="bold")
        table.columns[1].justify = "right"
        ended = [task.ended_at for task in tasks.values() if task.ended_at]
        started = [task.started_at for task in tasks.values() if task.started_at]
        if started and ended:
            first = min(started).timestamp()
            if (installation := self._prepared_at - self._began) > 1:
                table.add_row("installation", f"{installation:.0f}")
            table.add_row("lab and Airflow", f"{first - self._prepared_at:.0f}")
            for name, seconds in _spans(tasks).items():
                table.add_row(name, f"{seconds:.0f}")
            table.add_row("the run as a whole", f"{max(ended).timestamp() - first:.0f}")
        table.add_row("[bold]everything[/]", f"[bold]{time.time() - self._began:.0f}[/]")
        self._console.print(table)

    def _elapsed(self) -> str:
        return f"{time.time() - self._began:7.1f} s"


def _title(task: Task) -> str:
    group = task.task_id.partition(".")[0]
    place = group.removeprefix("s08_s09_") if group.startswith("s08_s09_") else ""
    return f"{place}: {task.title}" if place else task.title or task.task_id


def _spans(tasks: Mapping[str, Task]) -> dict[str, float]:
    """Sub-process or environment → seconds from its first start to its last end, in order."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for task in tasks.values():
        group, _, rest = task.task_id.partition(".")
        if not rest or task.started_at is None or task.ended_at is None:
            continue
        begin, end = spans.get(group, (datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)))
        spans[group] = (min(begin, task.started_at), max(end, task.ended_at))
    return {
        GROUPS.get(group) or f"environment {group.removeprefix('s08_s09_')}": (end - begin).total_seconds()
        for group, (begin, end) in sorted(spans.items(), key=lambda item: item[1][0])
    }


def _environments(report: Report) -> Table:
    table = Table("environment", "host", "version found", "version in the CMDB", "outcome", box=None, pad_edge=False)
    outcomes = {view.name: view.outcome for view in report.view.environments}
    for version in report.versions:
        verdict = outcomes.get(version.environment)
        table.add_row(
            version.environment,
            version.host,
            version.discovered or "not read",
            version.recorded or "none",
            str(verdict.outcome).replace("_", " ") if verdict else "",
        )
    return table


def rows_in_words(datasets: Sequence[Dataset]) -> str:
    """Rows compared and rows lost; what was read before and never again is neither, and is said apart."""
    pairs = [(data.before, data.after) for data in datasets if data.before is not None and data.after is not None]
    unread = sum(data.before for data in datasets if data.before is not None and data.after is None)
    lost = sum(max(0, before - after) for before, after in pairs)
    told = f"{sum(before for before, _ in pairs)} rows compared, {lost} lost"
    return f"{told}; {unread} rows read before were not read again" if unread else told

"""Analyses on the terminal: what inhibits, what is waived, what has to be tested again, how like production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from changeover.domain.analysis_report import AnalysisReport, together

if TYPE_CHECKING:
    from changeover.domain.finding import Finding

WIDTH = 160
"""Of what is read from a file or pipe."""


def print_analyses(reports: Sequence[AnalysisReport], broken: Mapping[str, str]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    for report in reports:
        _one(console, report)
    if len(reports) + len(broken) > 1:
        _rollup(console, reports)
    for plan, why in broken.items():
        console.print(Text(f"{plan}: not analysed: {why}", style="bold red"))


def _one(console: Console, report: AnalysisReport) -> None:
    console.print(Text(f"{report.title} ({report.run.client})", style="bold"))
    hosts = f"{len(report.hosts_seen)} of {len(report.hosts_planned)} hosts"
    console.print(f"run {report.run.key}, {', '.join(report.environments)}; {hosts}, {report.checks} checks")
    for finding in report.inhibitors:
        _finding(console, report, finding)
    others = [reason for reason in report.reasons if not _told(reason, report)]
    for reason in others:
        console.print(Text(f"inhibitor  {reason}", style="red"))
    for finding in report.waived:
        waived = finding.waived
        console.print(Text(f"waived     {finding.key} ({finding.subject}): {finding.summary}", style="yellow"))
        if waived:
            console.print(
                f"           {waived.waiver} by {waived.by} until {waived.until}: {waived.reason}", markup=False
            )
    for finding in report.advisories:
        console.print(Text(f"advisory   {finding.key} ({finding.subject}): {finding.summary}", style="dim"))
    for note in report.notes:
        console.print(Text(f"note       {note}", style="yellow"))
    _impact(console, report)
    _fidelity(console, report)
    _changes(console, report)
    verdict = f"{len(report.reasons)} reasons not to go on" if report.inhibited else "nothing inhibits this upgrade"
    console.print(Text(verdict, style="bold red" if report.inhibited else "bold green"))
    console.print()


def _told(reason: str, report: AnalysisReport) -> bool:
    return any(reason == f"{f.key} ({f.subject}): {f.summary}" for f in report.inhibitors)


def _finding(console: Console, report: AnalysisReport, finding: Finding) -> None:
    since = f"  [{report.changes.of(finding)}]" if report.changes and report.changes.of(finding) else ""
    console.print(Text(f"inhibitor  {finding.key} ({finding.subject}){since}", style="bold red"))
    console.print(Text(f"           {finding.summary}"))
    for action in finding.actions or ():
        console.print(Text(f"           {action.kind}: {action.text}", style="green"), soft_wrap=True)
    console.print(Text(f"           for the {finding.audience} to act on", style="dim"))


def _impact(console: Console, report: AnalysisReport) -> None:
    items = [item for item in report.impact if item["weight"] != "inhibitor"]
    if not items:
        return
    table = Table("", "where", "what", "owner", "acceptance tests", title="Impact", title_justify="left", box=None)
    alike: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for item in items:
        what = str(item["subject"]) if item["key"] in ("customisation", "integration") else ""
        alike.setdefault((str(item["weight"]), str(item["key"]), what), []).append(item)
    for (weight, _, _), group in alike.items():
        where = ", ".join(dict.fromkeys(_where(item) for item in group))
        tests = ", ".join(group[0]["acceptance_tests"]) or ("by a person" if weight == "retest" else "")
        table.add_row(weight, Text(where), Text(str(group[0]["summary"])), str(group[0]["owner"]), Text(tests))
    console.print(table)


def _where(item: Mapping[str, Any]) -> str:
    return " ".join(dict.fromkeys(str(part) for part in (item["environment"], item["subject"]) if part))


def _fidelity(console: Console, report: AnalysisReport) -> None:
    for one in report.fidelity:
        console.print(f"{one['environment']} is {one['percent']} % like {one['production']}")
        for group, why in (one.get("not_compared") or {}).items():
            console.print(Text(f"  {group}: not compared, {why}", style="dim"))
        for item in one["differences"]:
            text = f"  {item['group']}: {item['trait']}: {item['here']} here, {item['production']} there"
            console.print(Text(text, style="dim"))


def _changes(console: Console, report: AnalysisReport) -> None:
    if report.changes is None:
        return
    changes = report.changes
    console.print(
        f"since {report.compared_with}: {len(changes.new)} new, {len(changes.same)} same, {len(changes.gone)} gone"
    )
    for finding in changes.gone:
        console.print(Text(f"gone       {finding.key} ({finding.subject})", style="green"))


def _rollup(console: Console, reports: Sequence[AnalysisReport]) -> None:
    table = Table("finding", "severity", "clients", title="All of them", title_justify="left", box=None)
    for row in together(reports):
        table.add_row(row.key, Text(row.severity, style="red" if row.inhibits else "dim"), row.text)
    console.print(table)

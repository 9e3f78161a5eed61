"""Initial support and transition: the hypercare watch, and support's acceptance."""

from __future__ import annotations

from datetime import datetime, timedelta

from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.night import Case
from changeover.domain.night_clock import NightFacts, rule
from changeover.domain.plan import Mode
from changeover.domain.record import MarkKind
from changeover.usecases.incidents import open_incidents
from changeover.usecases.lane_clock import choices
from changeover.usecases.lane_facts import not_upgraded
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.steer import write_ruling
from changeover.usecases.tools import (
    Answer,
    Tools,
    Upgrade,
    hosts_of,
    mark,
    no,
    not_applicable,
    yes,
)

CRITICAL = 2
"""Incidents of this severity or graver are critical (1 is the gravest)."""


def hypercare_due(upgrade: Upgrade, tools: Tools) -> Answer:
    """Whether there is anything to watch: every lane of the run ended upgraded."""
    if upgrade.mode is not Mode.IMPLEMENT:
        return not_applicable(f"mode {upgrade.mode} has no hypercare")
    if waiting := not_upgraded(upgrade, tools, upgrade.lanes):
        return not_applicable(f"not upgraded: {', '.join(waiting)}")
    return yes(f"watching {', '.join(lane.name for lane in upgrade.lanes)} for {upgrade.plan.support.hypercare.length}")


def hypercare_look(upgrade: Upgrade, tools: Tools) -> GateResult:
    """One look: the version still runs and services are up on every host, and no critical incident is open."""
    plan = upgrade.plan
    hosts = tuple(host for lane in upgrade.lanes for host in hosts_of(upgrade, tools, lane.name))
    seen = run_on_hosts(
        upgrade,
        tools,
        HostWork(
            "hypercare",
            "discover.yml",
            "estate",
            plan.to_version,
            changes=False,
            hosts=hosts,
        ),
    )
    results = [_look(host.host, dict(host.report), plan.to_version) for host in seen.hosts if host.report]
    incidents = open_incidents(upgrade, tools)
    critical = [f"{i.number}: {i.summary}" for i in incidents if i.severity <= CRITICAL]
    results.append(
        CheckResult(
            "no-critical-incident",
            "",
            CheckState.FAILED if critical else CheckState.PASSED,
            "; ".join(critical),
        )
    )
    names = tuple(host.name for host in hosts)
    declared = (
        *(("still-healthy", name) for name in names),
        ("no-critical-incident", ""),
    )
    gate = GateResult(
        "hypercare",
        "",
        declared,
        tuple(results),
        names,
        tuple(host.host for host in seen.hosts if host.report),
    )
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    if not gate.passed:
        case = Case.HYPERCARE_FAILED
        ruling = rule(choices(upgrade), case, NightFacts(tools.clock()), at=tools.clock())
        write_ruling(upgrade, tools, ruling, case)
    mark(
        upgrade,
        tools,
        MarkKind.HYPERCARE_CHECKED,
        passed=gate.passed,
        reasons=list(gate.reasons()),
    )
    return gate


def hypercare_until(upgrade: Upgrade, tools: Tools) -> datetime:
    """The end of the watch: its length counted from the end of the last lane."""
    first = tools.ledger.marks(upgrade.run.key, kind=MarkKind.HYPERCARE_CHECKED)
    start = first[0].at if first else tools.clock()
    return start + upgrade.plan.support.hypercare.length


def next_look(upgrade: Upgrade, tools: Tools) -> timedelta | None:
    """How long to wait for the next look; None when the watch is over. However long a look takes, the rhythm stays."""
    watch, now = upgrade.plan.support.hypercare, tools.clock()
    end = hypercare_until(upgrade, tools)
    if now >= end:
        return None
    passed = now - (end - watch.length)
    return min(watch.interval - passed % watch.interval, end - now)


def support_accepts(upgrade: Upgrade, tools: Tools, *, by: str) -> Answer:
    """Support has said yes; after a watch that ended well."""
    gates = [gate for _, gate in tools.ledger.gates(upgrade.run.key) if gate.gate == "hypercare"]
    if not gates or not gates[-1].passed:
        return no(
            "the hypercare watch did not end well",
            *(gates[-1].reasons() if gates else ("it never looked",)),
        )
    mark(upgrade, tools, MarkKind.SUPPORT_ACCEPTED, key="support-accepted", by=by)
    return yes(f"support accepted: {by}")


def _look(host: str, report: dict[str, object], wanted: str) -> CheckResult:
    services = report.get("services")
    stopped = (
        [name for name, state in services.items() if state != "running"]
        if isinstance(services, dict)
        else ["services unread"]
    )
    version = report.get("version")
    faults = [
        *([] if version == wanted else [f"version {version} found, {wanted} wanted"]),
        *(f"{name} is not running" for name in stopped),
    ]
    return CheckResult(
        "still-healthy",
        host,
        CheckState.FAILED if faults else CheckState.PASSED,
        "; ".join(faults),
    )

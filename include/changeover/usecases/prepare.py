"""Upgrade preparations: artefacts verified on every host, a first restore point taken and proven readable."""

from __future__ import annotations

from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.plan import Mode
from changeover.domain.record import MarkKind
from changeover.usecases.change_gate import change_refusal
from changeover.usecases.fix import carry_out
from changeover.usecases.legs import hops
from changeover.usecases.restore_points import record_points
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.stage import stage_later_legs
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

CHECKS = ("artefacts-verified", "restore-point-readable")


def prepare(upgrade: Upgrade, tools: Tools) -> Answer:
    """One playbook over every lane's hosts, and one more for each later leg's release.

    Each host must report verified artefacts of every leg and a readable restore point.
    """
    if upgrade.mode is Mode.FIX:
        return carry_out(upgrade, tools)
    if upgrade.mode is not Mode.IMPLEMENT:
        return not_applicable(f"mode {upgrade.mode} stages nothing")
    if refusal := change_refusal(upgrade, tools, dates_count=False):
        return no(refusal)
    plan = upgrade.plan
    hosts = tuple(host for lane in upgrade.lanes for host in hosts_of(upgrade, tools, lane.name))
    label = f"{upgrade.run.key}-preparation"
    done = run_on_hosts(
        upgrade,
        tools,
        HostWork(
            "prepare",
            "prepare.yml",
            "estate",
            plan.from_version,
            changes=True,
            hosts=hosts,
            restore_point=label,
            hop=hops(upgrade, tools)[0],
        ),
    )
    later = stage_later_legs(upgrade, tools, "estate", hosts) if done.successful else {}
    names = tuple(host.name for host in hosts)
    reports = {host.host: host.report for host in done.hosts if host.report}
    results = [_check(key, name, reports.get(name, {})) for key in CHECKS for name in names]
    for version, staged in later.items():
        told = {host.host: host.report for host in staged.hosts}
        results += [_check(CHECKS[0], name, told.get(name), version) for name in names]
    gate = GateResult(
        "preparations",
        "",
        tuple((result.key, result.host) for result in results),
        tuple(results),
        names,
        tuple(reports),
    )
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    failed = [result for result in (done, *later.values()) if not result.successful]
    if failed:
        return no(*(reason for result in failed for reason in result.reasons))
    if not gate.passed:
        return no(*gate.reasons())
    faults = [fault for lane in upgrade.lanes for fault in record_points(upgrade, tools, lane.name, label, done)]
    if faults:
        return no(*faults)
    for lane in upgrade.lanes:
        mark(
            upgrade,
            tools,
            MarkKind.RESTORE_POINT_PROVEN,
            lane.name,
            key=f"preparation-{lane.name}",
            label=label,
        )
    return yes(f"artefacts verified and restore points readable on {', '.join(names)}")


def _check(key: str, host: str, report: object, version: str = "") -> CheckResult:
    """`version`: of a later leg, whose artefacts have a check of their own."""
    facts = report if isinstance(report, dict) else {}
    proven = {
        "artefacts-verified": facts.get("verified"),
        "restore-point-readable": facts.get("readable"),
    }[key]
    return CheckResult(
        f"{key}-{version}" if version else key,
        host,
        CheckState.PASSED if proven is True else CheckState.FAILED,
        "" if proven is True else "not proven by the host's report",
    )

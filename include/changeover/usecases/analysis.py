"""Release analysis and client-specific analysis: what the release asks for, and what really runs."""

from __future__ import annotations

import json
from typing import Any

from changeover.domain.discovery import discovery_findings
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.plan import Mode
from changeover.domain.record import MarkKind
from changeover.usecases.evidence import keep_text
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import (
    Answer,
    Tools,
    Upgrade,
    mark,
    no,
    not_applicable,
    yes,
)


def analyse_release(upgrade: Upgrade, tools: Tools) -> Answer:
    """The vendor's path from here to there, and everything the release changes, as findings."""
    if upgrade.mode is Mode.BACK_OUT:
        return not_applicable("a back-out goes to the release that was there before")
    findings = upgrade.release_findings()
    result = CheckResult(
        "release-record-read",
        "",
        CheckState.PASSED,
        f"{upgrade.release.product} {upgrade.release.version}",
    )
    gate = GateResult(
        "release_analysis",
        "",
        (("release-record-read", ""),),
        (result,),
        ("plan",),
        ("plan",),
        findings,
    )
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    return yes(f"{len(findings)} findings, none inhibits") if gate.passed else no(*gate.reasons())


def analyse_client(upgrade: Upgrade, tools: Tools) -> Answer:
    """Discover every host of every environment (read only) and compare with plan and CMDB."""
    if upgrade.mode is Mode.BACK_OUT:
        return not_applicable("a back-out goes to the release that was there before")
    plan, key = upgrade.plan, upgrade.run.key
    frozen = tools.ledger.frozen_hosts(key)
    hosts = tuple(host for environment in plan.environments for host in frozen[environment.name])
    result = run_on_hosts(
        upgrade,
        tools,
        HostWork("discover", "discover.yml", "estate", plan.from_version, changes=False, hosts=hosts),
    )
    reports = {host.host: host.report for host in result.hosts if host.report}
    keep_text(
        upgrade,
        tools,
        "",
        "discovery.json",
        json.dumps(reports, indent=1, sort_keys=True, default=str),
    )
    records = {e.name: tools.cmdb.environment(plan.client, plan.application, e.name) for e in plan.environments}
    findings = discovery_findings(
        plan,
        records=records,
        reports=reports,
        catalogue=tools.catalogue,
        hosts=frozen,
        version_scheme=upgrade.release.version_scheme,
    )
    results = tuple(_discovered(host.name, reports.get(host.name)) for host in hosts)
    gate = GateResult(
        "client_analysis",
        "",
        tuple(("discovered", host.name) for host in hosts),
        results,
        tuple(host.name for host in hosts),
        tuple(sorted(reports)),
        findings,
    )
    tools.ledger.record_gate(key, gate, tools.clock())
    for environment in plan.environments:
        for host in frozen[environment.name]:
            if host.name in reports:
                mark(
                    upgrade,
                    tools,
                    MarkKind.VERSION_DISCOVERED,
                    environment.name,
                    host=host.name,
                    key=f"analysis-{host.name}",
                    version=reports[host.name].get("version"),
                )
    if not result.successful:
        return no(*result.reasons)
    advisories = sum(not finding.inhibits for finding in findings)
    return (
        yes(f"{len(reports)} of {len(hosts)} hosts discovered, {advisories} advisories")
        if gate.passed
        else no(*gate.reasons())
    )


def _discovered(host: str, report: Any) -> CheckResult:
    if not report:
        return CheckResult("discovered", host, CheckState.FAILED, "the host gave no report")
    return CheckResult("discovered", host, CheckState.PASSED, f"version {report.get('version')}")

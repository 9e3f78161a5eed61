"""Client-specific analysis: read every host, prove that reading changed nothing, ask every check of what was read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from changeover.domain.analysis import Analysis, analyse
from changeover.domain.analysis_facts import AnalysisFacts, AnalysisTraits, Stop
from changeover.domain.estate import Host
from changeover.domain.execution import ExecutionResult
from changeover.domain.finding import Finding, Severity
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.inventory import inventory
from changeover.domain.lesson import HOLD
from changeover.domain.plan import Environment, Mode
from changeover.domain.record import MarkKind
from changeover.domain.release_checks import of_release
from changeover.domain.waiver import AfterWaivers, apply_waivers
from changeover.domain.watch import Watched
from changeover.domain.window import Occurrence
from changeover.errors import PlanError
from changeover.ports import fresh
from changeover.usecases.elsewhere import learnt
from changeover.usecases.evidence import keep_text
from changeover.usecases.release_judgement import judge_release
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.today import today
from changeover.usecases.tools import Answer, Tools, Upgrade, mark, no, yes
from changeover.usecases.window_gate import planned_nights

GATE = "client_analysis"
LOOK_LIMIT = timedelta(minutes=2)


@dataclass(frozen=True)
class Examined:
    """What came of it: how the reading ended, and the gate with every finding."""

    result: ExecutionResult
    gate: GateResult
    judged: AfterWaivers


def analyse_client(upgrade: Upgrade, tools: Tools) -> Answer:
    examined = examine(upgrade, tools)
    return _answer(examined.result, examined.gate, examined.judged)


def examine(upgrade: Upgrade, tools: Tools) -> Examined:
    """Discover every host that is looked at (one run of Ansible), compare, and say what stands in the way."""
    hosts = hosts_looked_at(upgrade, tools)
    everyone = tuple(host for each in hosts.values() for host in each)
    traits = tools.content.traits(upgrade.plan.application) if tools.content else AnalysisTraits()
    before = _look(tools, everyone, traits)
    result = run_on_hosts(
        upgrade,
        tools,
        HostWork(
            "discover",
            "discover.yml",
            "estate",
            upgrade.plan.from_version,
            changes=False,
            hosts=everyone,
            variables={"changeover_analysis": True},
        ),
    )
    after = _look(tools, everyone, traits)
    facts = _facts(upgrade, tools, hosts, result, traits)
    facts = replace(facts, before=before, after=after, all_hosts=tuple(host.name for host in everyone))
    found = analyse(facts, tools.catalogue, learnt=learnt(upgrade, tools))
    waivers = tools.content.waivers(upgrade.plan.client) if tools.content else ()
    waivers = tuple(waiver for waiver in waivers if not of_release(waiver.key, tools.catalogue))
    judged = apply_waivers(found.findings, waivers, tools.catalogue, upgrade.plan, today=today(upgrade, tools))
    if upgrade.mode is Mode.REHEARSE:
        judged = replace(judged, findings=tuple(_told_only(finding) for finding in judged.findings))
    gate = _gate(everyone, facts.reports, found, judged)
    _keep(upgrade, tools, facts, found, judged)
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    _mark_versions(upgrade, tools, hosts, facts.reports)
    return Examined(result, gate, judged)


def _told_only(finding: Finding) -> Finding:
    """A rehearsal touches nothing of the client's, and shows whether what held others can happen here."""
    return replace(finding, severity=Severity.ADVISORY) if finding.key == HOLD and finding.inhibits else finding


def hosts_looked_at(upgrade: Upgrade, tools: Tools) -> dict[str, tuple[Host, ...]]:
    """All of the plan's, those of the baseline included; an analysis of chosen environments looks at those alone."""
    frozen = tools.ledger.frozen_hosts(upgrade.run.key)
    plan = upgrade.plan
    wanted: tuple[Environment, ...] = plan.environments
    if upgrade.mode in (Mode.ANALYSE, Mode.FIX) and len(upgrade.lanes) < len(plan.lanes):
        wanted = upgrade.lanes
    return {environment.name: frozen[environment.name] for environment in wanted}


def _look(tools: Tools, hosts: tuple[Host, ...], traits: AnalysisTraits) -> Mapping[str, Watched]:
    if tools.watch is None:
        return {}
    credentials = tools.vault.credentials(sorted({host.connection for host in hosts}))
    return tools.watch.look(hosts, credentials, ignoring=traits.written_while_running, timeout=LOOK_LIMIT)


def _facts(
    upgrade: Upgrade,
    tools: Tools,
    hosts: Mapping[str, tuple[Host, ...]],
    result: ExecutionResult,
    traits: AnalysisTraits,
) -> AnalysisFacts:
    plan = upgrade.plan
    lanes = {name: each for name, each in hosts.items() if name != plan.baseline.name}
    return AnalysisFacts(
        plan=plan,
        release=upgrade.release,
        at=tools.clock(),
        hosts=lanes,
        records={name: tools.cmdb.environment(plan.client, plan.application, name) for name in lanes},
        reports={host.host: host.report for host in result.hosts if host.report},
        artefacts=tools.content.artefacts(plan.application, plan.to_version) if tools.content else None,
        traits=traits,
        stops=tuple(
            Stop(leg.record, tools.content.artefacts(plan.application, leg.to_version) if tools.content else None)
            for leg in upgrade.path.legs[:-1]
        ),
        nights=_nights(upgrade, tools),
    )


def _nights(upgrade: Upgrade, tools: Tools) -> Mapping[str, Occurrence]:
    """Freezes that cannot be read stop the planning and every start; reading hosts goes on without them."""
    try:
        return planned_nights(upgrade, tools)
    except PlanError as exc:
        tools.tell(f"the nights ahead are not known, so today counts for certificates: {exc}")
        return {}


def certificates_read(upgrade: Upgrade, tools: Tools) -> dict[str, list[Mapping[str, Any]]]:
    """Host → its certificates as this run's analysis read them; a host it could not ask is left out."""
    marked = fresh(MarkKind.ANALYSED, tools.ledger.marks(upgrade.run.key, kind=MarkKind.ANALYSED))
    read = marked.data.get("inventory") or () if marked else ()
    return {one["host"]: list(one["certificates"]) for one in read if one.get("certificates") is not None}


def _gate(
    hosts: tuple[Host, ...], reports: Mapping[str, Mapping[str, Any]], found: Analysis, judged: AfterWaivers
) -> GateResult:
    results = (*(_discovered(host.name, reports.get(host.name)) for host in hosts), *found.results)
    return GateResult(
        GATE,
        "",
        tuple((result.key, result.host) for result in results),
        results,
        tuple(host.name for host in hosts),
        tuple(sorted(reports)),
        judged.findings,
    )


def _discovered(host: str, report: Any) -> CheckResult:
    if not report:
        return CheckResult("discovered", host, CheckState.FAILED, "the host gave no report")
    return CheckResult("discovered", host, CheckState.PASSED, f"version {report.get('version')}")


def _keep(upgrade: Upgrade, tools: Tools, facts: AnalysisFacts, found: Analysis, judged: AfterWaivers) -> None:
    """The whole reading as a file, and what people read of it in the ledger itself."""
    text = json.dumps(dict(facts.reports), indent=1, sort_keys=True, default=str)
    keep_text(upgrade, tools, "", "discovery.json", text)
    mark(
        upgrade,
        tools,
        MarkKind.ANALYSED,
        environments=list(facts.hosts),
        impact=[item.as_json() for item in found.impact],
        fidelity=[one.as_json() for one in found.fidelity],
        inventory=list(inventory(facts)),
        notes=[*judged.notes, *judge_release(upgrade, tools).notes],
    )


def _mark_versions(
    upgrade: Upgrade, tools: Tools, hosts: Mapping[str, tuple[Host, ...]], reports: Mapping[str, Mapping[str, Any]]
) -> None:
    for environment, each in hosts.items():
        for host in each:
            if host.name in reports:
                mark(
                    upgrade,
                    tools,
                    MarkKind.VERSION_DISCOVERED,
                    environment,
                    host=host.name,
                    key=f"analysis-{host.name}",
                    version=reports[host.name].get("version"),
                )


def _answer(result: ExecutionResult, gate: GateResult, judged: AfterWaivers) -> Answer:
    if not result.successful:
        return no(*result.reasons)
    if not gate.passed:
        return no(*gate.reasons())
    waived = [finding for finding in judged.findings if finding.waived]
    advisories = sum(not finding.inhibits for finding in judged.findings) - len(waived)
    also = f", {len(waived)} inhibitors waived" if waived else ""
    return yes(f"{len(gate.hosts_seen)} of {len(gate.hosts_planned)} hosts discovered, {advisories} advisories{also}")

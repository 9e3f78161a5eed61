"""Waivers asked again just before the change: one that ended since the analysis lets nothing go on any more."""

from __future__ import annotations

from dataclasses import replace

from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.waiver import expired
from changeover.usecases.client_analysis import GATE
from changeover.usecases.release_judgement import GATE as RELEASE
from changeover.usecases.today import today
from changeover.usecases.tools import Tools, Upgrade

CHECK = "waivers-valid"


def with_waivers(gate: GateResult, upgrade: Upgrade, tools: Tools) -> GateResult:
    """The gate with one check more, if the analysis of this run was passed under a waiver that concerns its place."""
    newest = {found.gate: found for _, found in tools.ledger.gates(upgrade.run.key, environment="")}
    analyses = [newest[name] for name in (RELEASE, GATE) if name in newest]
    findings = [f for found in analyses for f in found.findings if f.environment in ("", gate.environment)]
    waived = [finding for finding in findings if finding.waived]
    if not waived:
        return gate
    ended = expired(waived, on=today(upgrade, tools))
    told = "; ".join(f"{f.waived.waiver} ({f.key}, {f.subject}) ended on {f.waived.until}" for f in ended if f.waived)
    result = CheckResult(CHECK, "", CheckState.FAILED if ended else CheckState.PASSED, told or f"{len(waived)} count")
    return replace(gate, declared=(*gate.declared, (CHECK, "")), results=(*gate.results, result))

"""Release analysis and client-specific analysis: what the release asks for, and what really runs."""

from __future__ import annotations

from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.plan import Mode
from changeover.usecases import client_analysis, fix
from changeover.usecases.legs import pin_path
from changeover.usecases.tools import Answer, Tools, Upgrade, no, not_applicable, yes


def analyse_release(upgrade: Upgrade, tools: Tools) -> Answer:
    """The vendor's path from here to there, and everything the release changes, as findings."""
    if upgrade.mode is Mode.BACK_OUT:
        return not_applicable("a back-out goes to the release that was there before")
    findings = upgrade.release_findings()
    pin_path(upgrade, tools)
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
    """What really runs, and what of it the release touches; read only."""
    if upgrade.mode is Mode.BACK_OUT:
        return not_applicable("a back-out goes to the release that was there before")
    if upgrade.mode is Mode.FIX:
        return fix.choose_cures(upgrade, tools)
    return client_analysis.analyse_client(upgrade, tools)

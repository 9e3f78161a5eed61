"""Release analysis and client-specific analysis: what the release asks for, and what really runs."""

from __future__ import annotations

from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.plan import Mode
from changeover.usecases import client_analysis, fix
from changeover.usecases.legs import pin_path
from changeover.usecases.release_judgement import GATE, judge_release
from changeover.usecases.tools import Answer, Tools, Upgrade, no, not_applicable, yes


def analyse_release(upgrade: Upgrade, tools: Tools) -> Answer:
    """The vendor's path from here to there, and everything the release changes, as findings."""
    if upgrade.mode is Mode.BACK_OUT:
        return not_applicable("a back-out goes to the release that was there before")
    judged = judge_release(upgrade, tools)
    pin_path(upgrade, tools)
    result = CheckResult(
        "release-record-read",
        "",
        CheckState.PASSED,
        f"{upgrade.release.product} {upgrade.release.version}",
    )
    gate = GateResult(
        GATE,
        "",
        (("release-record-read", ""),),
        (result,),
        ("plan",),
        ("plan",),
        judged.findings,
    )
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    if not gate.passed:
        return no(*gate.reasons(), *judged.notes)
    waived = sum(finding.waived is not None for finding in judged.findings)
    also = f", {waived} waived" if waived else ""
    return yes("; ".join((f"{len(judged.findings)} findings, none inhibits{also}", *judged.notes)))


def analyse_client(upgrade: Upgrade, tools: Tools) -> Answer:
    """What really runs, and what of it the release touches; read only."""
    if upgrade.mode is Mode.BACK_OUT:
        return not_applicable("a back-out goes to the release that was there before")
    if upgrade.mode is Mode.FIX:
        return fix.choose_cures(upgrade, tools)
    return client_analysis.analyse_client(upgrade, tools)

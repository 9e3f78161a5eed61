"""What the ledger has of an analysis, beside the one before it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypedDict

from changeover.domain.analysis_report import AnalysisReport, FindingDiff, diff
from changeover.domain.finding import Finding
from changeover.domain.gate import GateResult
from changeover.domain.plan import Plan
from changeover.domain.record import MarkKind, Run
from changeover.ports import Ledger, fresh
from changeover.usecases.client_analysis import GATE

EARLIER = 200
"""So many runs are looked through for the analysis before."""
ReadPlan = Callable[[str], Plan | None]


def analysis_of(ledger: Ledger, run: Run, *, read_plan: ReadPlan) -> AnalysisReport | None:
    """None when the run came to no client analysis, and no gate before it says why."""
    gates = _gates(ledger, run.key)
    if GATE not in gates:
        return _stopped_before(run, gates, read_plan)
    at, gate = gates[GATE]
    release = gates.get("release_analysis")
    marked = fresh(MarkKind.ANALYSED, ledger.marks(run.key, kind=MarkKind.ANALYSED))
    data = marked.data if marked else {}
    environments = tuple(data.get("environments") or ())
    changes, before = _changes(ledger, run, at, gate.findings, environments)
    return AnalysisReport(
        run=run,
        **_titles(run, read_plan),
        at=at,
        environments=environments,
        hosts_planned=gate.hosts_planned,
        hosts_seen=gate.hosts_seen,
        checks=gate.checks_run,
        findings=gate.findings,
        release_findings=release[1].findings if release else (),
        reasons=(*(release[1].reasons() if release else ()), *gate.reasons()),
        impact=tuple(data.get("impact") or ()),
        fidelity=tuple(data.get("fidelity") or ()),
        inventory=tuple(data.get("inventory") or ()),
        notes=tuple(data.get("notes") or ()),
        changes=changes,
        compared_with=before,
    )


def _stopped_before(
    run: Run, gates: dict[str, tuple[datetime, GateResult]], read_plan: ReadPlan
) -> AnalysisReport | None:
    """An entry condition or the release itself said no: that is an answer, and no host was read."""
    reasons = tuple(reason for _, gate in gates.values() for reason in gate.reasons())
    if not reasons:
        return None
    release = gates.get("release_analysis")
    return AnalysisReport(
        run=run,
        **_titles(run, read_plan),
        at=max(at for at, _ in gates.values()),
        environments=(),
        hosts_planned=(),
        hosts_seen=(),
        checks=sum(gate.checks_run for _, gate in gates.values()),
        findings=(),
        release_findings=release[1].findings if release else (),
        reasons=reasons,
        impact=(),
        fidelity=(),
        inventory=(),
        notes=("no host was read: an entry condition is not met",),
    )


class _Titles(TypedDict):
    title: str
    from_version: str
    to_version: str


def _titles(run: Run, read_plan: ReadPlan) -> _Titles:
    plan = read_plan(run.plan_text)
    if plan is None:
        return {"title": run.dag_id, "from_version": "", "to_version": ""}
    return {"title": plan.title, "from_version": plan.from_version, "to_version": plan.to_version}


def _gates(ledger: Ledger, key: str) -> dict[str, tuple[datetime, GateResult]]:
    """The newest of each of the run as a whole."""
    return {gate.gate: (at, gate) for at, gate in ledger.gates(key, environment="")}


def _changes(
    ledger: Ledger, run: Run, at: datetime, findings: tuple[Finding, ...], environments: tuple[str, ...]
) -> tuple[FindingDiff | None, str]:
    """Against the newest earlier analysis of the same plan: of this run, if it was analysed twice, or of another."""
    for other in (run, *ledger.runs(limit=EARLIER)):
        if other.dag_id != run.dag_id or other.opened_at > run.opened_at:
            continue
        earlier = [
            (when, gate) for when, gate in ledger.gates(other.key, environment="") if gate.gate == GATE and when < at
        ]
        if earlier:
            when, before = earlier[-1]
            looked = [m for m in ledger.marks(other.key, kind=MarkKind.ANALYSED) if m.at <= when]
            there = set(looked[-1].data.get("environments") or ()) if looked else set(environments)
            return diff(findings, before.findings, common=there & set(environments)), other.key
    return None, ""

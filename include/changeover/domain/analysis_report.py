"""What an analysis says, beside the one before it; and what several say together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changeover.domain.finding import Finding, Severity
from changeover.domain.record import Run
from changeover.domain.run_view import utc

Identity = tuple[str, str, str]


@dataclass(frozen=True)
class FindingDiff:
    """Two analyses side by side, in the environments that both looked at."""

    new: tuple[Identity, ...]
    same: tuple[Identity, ...]
    gone: tuple[Finding, ...]

    def of(self, finding: Finding) -> str:
        return "new" if finding.identity in self.new else "same" if finding.identity in self.same else ""


def diff(now: Iterable[Finding], before: Iterable[Finding], *, common: Iterable[str]) -> FindingDiff:
    """By identity: a finding whose text changed is the same one. A finding of every environment is always compared."""
    both = {"", *common}
    here = {finding.identity: finding for finding in now if finding.environment in both}
    there = {finding.identity: finding for finding in before if finding.environment in both}
    return FindingDiff(
        tuple(identity for identity in here if identity not in there),
        tuple(identity for identity in here if identity in there),
        tuple(finding for identity, finding in there.items() if identity not in here),
    )


@dataclass(frozen=True)
class AnalysisReport:
    """One analysis of one client's upgrade."""

    run: Run
    title: str
    from_version: str
    to_version: str
    at: datetime
    environments: tuple[str, ...]
    hosts_planned: tuple[str, ...]
    hosts_seen: tuple[str, ...]
    checks: int
    findings: tuple[Finding, ...]
    """Of the client analysis."""
    release_findings: tuple[Finding, ...]
    reasons: tuple[str, ...]
    """Everything for which the upgrade may not go on; empty when it may."""
    impact: tuple[Mapping[str, Any], ...]
    fidelity: tuple[Mapping[str, Any], ...]
    inventory: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    changes: FindingDiff | None = None
    """None when there is no earlier analysis to compare with."""
    compared_with: str = ""

    @property
    def inhibited(self) -> bool:
        return bool(self.reasons)

    @property
    def retests(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(item for item in self.impact if item["weight"] == "retest")

    @property
    def inhibitors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in (*self.release_findings, *self.findings) if finding.inhibits)

    @property
    def waived(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in (*self.release_findings, *self.findings) if finding.waived)

    @property
    def advisories(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is Severity.ADVISORY)

    def _since_last(self, finding: Finding) -> str | None:
        return (self.changes.of(finding) or None) if self.changes else None

    def as_json(self) -> dict[str, Any]:
        """Stable: keys are added, never changed, under one `schema_version`."""
        return {
            "schema_version": 1,
            "client": self.run.client,
            "upgrade": self.run.upgrade,
            "application": self.run.application,
            "title": self.title,
            "from_version": self.from_version,
            "to_version": self.to_version,
            "run": self.run.key,
            "plan_digest": self.run.plan_digest,
            "analysed_at": utc(self.at),
            "environments": list(self.environments),
            "hosts_planned": list(self.hosts_planned),
            "hosts_seen": list(self.hosts_seen),
            "checks_run": self.checks,
            "inhibited": self.inhibited,
            "reasons": list(self.reasons),
            "findings": [
                {**finding_json(finding), "stage": stage, "since_last": self._since_last(finding)}
                for stage, findings in (("release", self.release_findings), ("client", self.findings))
                for finding in findings
            ],
            "gone": [finding_json(finding) for finding in self.changes.gone] if self.changes else [],
            "compared_with": self.compared_with or None,
            "impact": list(self.impact),
            "fidelity": list(self.fidelity),
            "inventory": list(self.inventory),
            "notes": list(self.notes),
        }


def finding_json(finding: Finding) -> dict[str, Any]:
    waived = finding.waived
    return {
        "key": finding.key,
        "subject": finding.subject,
        "environment": finding.environment or None,
        "severity": str(finding.severity),
        "inhibits": finding.inhibits,
        "summary": finding.summary,
        "audience": finding.audience,
        "groups": list(finding.groups),
        "related": list(finding.related),
        "remediation": finding.remediation,
        "actions": [{"kind": str(action.kind), "text": action.text} for action in finding.actions],
        "evidence": dict(finding.evidence),
        "waived": {"waiver": waived.waiver, "by": waived.by, "reason": waived.reason, "until": waived.until}
        if waived
        else None,
    }


@dataclass(frozen=True)
class Together:
    """One check over all clients: whom it concerns, and with what."""

    key: str
    severity: str
    inhibits: bool
    clients: Mapping[str, tuple[str, ...]]
    """Client → subjects."""

    @property
    def text(self) -> str:
        count = len(self.clients)
        who = "this client" if count == 1 else f"these {count} clients"
        return f"{who}: {', '.join(sorted(self.clients))}"


def together(reports: Sequence[AnalysisReport]) -> tuple[Together, ...]:
    """Which finding concerns whom: inhibitors first, then those of most clients."""
    found: dict[str, list[tuple[str, Finding]]] = {}
    for report in reports:
        for finding in (*(f for f in report.release_findings if f.inhibits), *report.findings):
            found.setdefault(finding.key, []).append((report.run.client, finding))
    rows = [
        Together(
            key,
            str(_gravest(finding.severity for _, finding in pairs)),
            any(finding.inhibits for _, finding in pairs),
            {name: tuple(sorted({f.subject for who, f in pairs if who == name})) for name in {who for who, _ in pairs}},
        )
        for key, pairs in found.items()
    ]
    return tuple(sorted(rows, key=lambda row: (not row.inhibits, -len(row.clients), row.key)))


def _gravest(found: Iterable[Severity]) -> Severity:
    return Severity.INHIBITOR if Severity.INHIBITOR in set(found) else Severity.ADVISORY


def rollup_json(reports: Sequence[AnalysisReport], broken: Mapping[str, str]) -> dict[str, Any]:
    """Of several plans. `broken`: plan → why it could not be analysed."""
    return {
        "schema_version": 1,
        "inhibited": any(report.inhibited for report in reports) or bool(broken),
        "clients": sorted({report.run.client for report in reports}),
        "findings": [
            {
                "key": row.key,
                "severity": row.severity,
                "inhibits": row.inhibits,
                "clients": {name: list(subjects) for name, subjects in sorted(row.clients.items())},
            }
            for row in together(reports)
        ],
        "broken": dict(broken),
        "analyses": [report.as_json() for report in reports],
    }

"""The report of a run: what was asked, what was done, what proves it, and what the CMDB says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changeover.domain.change import ChangeState, CloseCode
from changeover.domain.estate import Person
from changeover.domain.finding import Finding
from changeover.domain.plan import Plan
from changeover.domain.record import Evidence, Mark
from changeover.domain.run_view import RunView, utc


@dataclass(frozen=True)
class HostVersion:
    environment: str
    host: str
    discovered: str | None
    discovered_at: datetime | None
    recorded: str | None
    """As the CMDB has it; None also when the CMDB could not be asked."""

    @property
    def agree(self) -> bool:
        return self.discovered is not None and self.discovered == self.recorded


@dataclass(frozen=True)
class Answered:
    """Somebody's, or the rule's, answer to a question of the run."""

    environment: str
    question: str
    answer: str
    by: str
    at: datetime
    plan_digest: str


@dataclass(frozen=True)
class Event:
    at: datetime
    environment: str
    host: str
    text: str
    weight: str = ""
    """`good`, `bad` or "" for the eye."""
    until: datetime | None = None


@dataclass(frozen=True)
class Dataset:
    """Rows of one set of business data, on one host, before the change and at the newest reading after it."""

    environment: str
    host: str
    name: str
    before: int | None
    after: int | None


@dataclass(frozen=True)
class KeptFile:
    evidence: Evidence
    state: str
    """`intact`, `changed` (its digest is another one now) or `missing`."""


@dataclass(frozen=True)
class ReportedChange:
    """The change as the CMDB has it."""

    number: str
    state: ChangeState
    title: str
    close_code: CloseCode | None
    close_notes: str
    notes: tuple[str, ...]
    history: tuple[tuple[datetime, ChangeState], ...]


@dataclass(frozen=True)
class Report:
    """All there is to say of a run."""

    view: RunView
    plan: Plan | None
    written_at: datetime
    versions: tuple[HostVersion, ...]
    answers: tuple[Answered, ...]
    timeline: tuple[Event, ...]
    restore_points: tuple[Mark, ...]
    datasets: tuple[Dataset, ...]
    findings: tuple[tuple[str, str, Finding], ...]
    """Environment, gate, finding."""
    evidence: tuple[KeptFile, ...]
    ledger_faults: tuple[str, ...]
    """Why the ledger's chain of this run is not whole; empty when it is."""
    change: ReportedChange | None
    cmdb_error: str
    waiting_writes: tuple[str, ...]
    """CMDB writes of this run that were not delivered."""

    def as_json(self) -> dict[str, Any]:
        """Stable: keys are added, never changed, under one `schema_version`."""
        return {
            **self.view.as_json(),
            "schema_version": 1,
            "written_at": utc(self.written_at),
            "plan": self._plan_json(),
            "versions": [
                {
                    "environment": version.environment,
                    "host": version.host,
                    "discovered": version.discovered,
                    "recorded": version.recorded,
                    "agree": version.agree,
                }
                for version in self.versions
            ],
            "approvals": [
                {
                    "environment": answered.environment,
                    "question": answered.question,
                    "answer": answered.answer,
                    "by": answered.by,
                    "at": utc(answered.at),
                    "plan_digest": answered.plan_digest,
                }
                for answered in self.answers
            ],
            "timeline": [
                {"at": utc(event.at), "environment": event.environment, "host": event.host, "text": event.text}
                for event in self.timeline
            ],
            "restore_points": [
                {"environment": point.environment, "label": point.data.get("label"), "proven_at": utc(point.at)}
                for point in self.restore_points
            ],
            "data": [
                {
                    "environment": d.environment,
                    "host": d.host,
                    "dataset": d.name,
                    "rows_before": d.before,
                    "rows_after": d.after,
                }
                for d in self.datasets
            ],
            "findings": [
                {
                    "environment": environment,
                    "gate": gate,
                    "key": finding.key,
                    "subject": finding.subject,
                    "severity": str(finding.severity),
                    "summary": finding.summary,
                    "remediation": finding.remediation,
                }
                for environment, gate, finding in self.findings
            ],
            "evidence": [
                {
                    "environment": kept.evidence.environment,
                    "name": kept.evidence.name,
                    "path": kept.evidence.path,
                    "sha256": kept.evidence.sha256,
                    "state": kept.state,
                }
                for kept in self.evidence
            ],
            "ledger_intact": not self.ledger_faults,
            "ledger_faults": list(self.ledger_faults),
            "change": self._change_json(),
            "cmdb_error": self.cmdb_error or None,
            "cmdb_writes_waiting": list(self.waiting_writes),
        }

    def _plan_json(self) -> dict[str, Any] | None:
        if self.plan is None:
            return None
        plan = self.plan
        return {"title": plan.title, "from_version": plan.from_version, "to_version": plan.to_version}

    def _change_json(self) -> dict[str, Any] | None:
        if self.change is None:
            return None
        change = self.change
        return {
            "number": change.number,
            "state": str(change.state),
            "title": change.title,
            "close_code": str(change.close_code) if change.close_code else None,
            "close_notes": change.close_notes,
            "notes": list(change.notes),
            "history": [{"at": utc(at), "state": str(state)} for at, state in change.history],
        }

    def person(self, login: str) -> str:
        """Name and login, where the plan knows them; otherwise as it stands."""
        people: dict[str, Person] = {person.id: person for person in self.plan.participants} if self.plan else {}
        return f"{people[login].name} ({login})" if login in people else login

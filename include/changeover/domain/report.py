"""The report of a run: what was asked, what was done, what proves it, and what the CMDB says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changeover.domain.analysis_report import finding_json
from changeover.domain.change import ChangeState, CloseCode
from changeover.domain.estate import Person
from changeover.domain.finding import Finding
from changeover.domain.plan import Plan
from changeover.domain.record import Evidence
from changeover.domain.retention import ProvenPoint
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

    def as_json(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "host": self.host,
            "discovered": self.discovered,
            "recorded": self.recorded,
            "agree": self.agree,
        }


@dataclass(frozen=True)
class Answered:
    """Somebody's, or the rule's, answer to a question of the run."""

    environment: str
    question: str
    answer: str
    by: str
    at: datetime
    plan_digest: str

    def as_json(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "question": self.question,
            "answer": self.answer,
            "by": self.by,
            "at": utc(self.at),
            "plan_digest": self.plan_digest,
        }


@dataclass(frozen=True)
class Event:
    at: datetime
    environment: str
    host: str
    text: str
    weight: str = ""
    """`good`, `bad` or "" for the eye."""
    until: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        return {"at": utc(self.at), "environment": self.environment, "host": self.host, "text": self.text}


@dataclass(frozen=True)
class Dataset:
    """Rows of one set of business data, on one host, before the change and at the newest reading after it."""

    environment: str
    host: str
    name: str
    before: int | None
    after: int | None

    def as_json(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "host": self.host,
            "dataset": self.name,
            "rows_before": self.before,
            "rows_after": self.after,
        }


@dataclass(frozen=True)
class KeptFile:
    evidence: Evidence
    state: str
    """`intact`, `changed` (its digest is another one now) or `missing`."""

    def as_json(self) -> dict[str, Any]:
        kept = self.evidence
        return {
            "environment": kept.environment,
            "name": kept.name,
            "path": kept.path,
            "sha256": kept.sha256,
            "state": self.state,
        }


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

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "state": str(self.state),
            "title": self.title,
            "close_code": str(self.close_code) if self.close_code else None,
            "close_notes": self.close_notes,
            "notes": list(self.notes),
            "history": [{"at": utc(at), "state": str(state)} for at, state in self.history],
        }


@dataclass(frozen=True)
class Report:
    """All there is to say of a run."""

    view: RunView
    plan: Plan | None
    written_at: datetime
    versions: tuple[HostVersion, ...]
    answers: tuple[Answered, ...]
    timeline: tuple[Event, ...]
    restore_points: tuple[ProvenPoint, ...]
    datasets: tuple[Dataset, ...]
    findings: tuple[tuple[str, str, Finding], ...]
    """Environment, gate, finding."""
    evidence: tuple[KeptFile, ...]
    ledger_faults: tuple[str, ...]
    """Why the ledger's chain of this run is not whole; empty when it is."""
    ledger_head: str
    """Digest of the chain's newest entry. A chain whose end was cut off is whole in itself; it lacks this one."""
    change: ReportedChange | None
    cmdb_error: str
    waiting_writes: tuple[str, ...]
    """CMDB writes of this run that were not delivered."""
    watch: tuple[str, ...] = ()
    """How the hypercare watch went, in lines."""
    keep_or_back_out: tuple[tuple[str, str], ...] = ()
    """What the newest request of the watch rests on, name and text."""

    def as_json(self) -> dict[str, Any]:
        """Stable: keys are added, never changed, under one `schema_version`."""
        return {
            **self.view.as_json(),
            "schema_version": 1,
            "written_at": utc(self.written_at),
            "plan": self._plan_json(),
            "versions": [version.as_json() for version in self.versions],
            "approvals": [answer.as_json() for answer in self.answers],
            "timeline": [event.as_json() for event in self.timeline],
            "restore_points": [point.as_json() for point in self.restore_points],
            "hypercare": list(self.watch),
            "keep_or_back_out": dict(self.keep_or_back_out),
            "data": [dataset.as_json() for dataset in self.datasets],
            "findings": [_finding_json(*found) for found in self.findings],
            "evidence": [kept.as_json() for kept in self.evidence],
            "ledger_intact": not self.ledger_faults,
            "ledger_faults": list(self.ledger_faults),
            "ledger_head": self.ledger_head,
            "change": self.change.as_json() if self.change else None,
            "cmdb_error": self.cmdb_error or None,
            "cmdb_writes_waiting": list(self.waiting_writes),
        }

    def _plan_json(self) -> dict[str, Any] | None:
        if self.plan is None:
            return None
        plan = self.plan
        return {"title": plan.title, "from_version": plan.from_version, "to_version": plan.to_version}

    def person(self, login: str) -> str:
        """Name and login, where the plan knows them; otherwise as it stands."""
        people: dict[str, Person] = {person.id: person for person in self.plan.participants} if self.plan else {}
        return f"{people[login].name} ({login})" if login in people else login


def _finding_json(environment: str, gate: str, finding: Finding) -> dict[str, Any]:
    return {**finding_json(finding), "environment": finding.environment or environment, "gate": gate}

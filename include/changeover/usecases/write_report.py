"""Put the report of one run together: what was asked, what was done, what proves it, and what the CMDB says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from changeover.domain.estate import Person
from changeover.domain.finding import Finding
from changeover.domain.plan import Plan
from changeover.domain.record import Evidence, Mark, MarkKind, Run, StepStatus
from changeover.errors import CmdbError
from changeover.ports import ChangeRecord, Cmdb, Ledger, fresh
from changeover.usecases.run_view import EnvironmentView, RunView, utc, view_run

BEFORE = "business-data-before.json"
AFTER = "business-data-after.json"
LARGEST_EVIDENCE = 256 * 1024 * 1024


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
    """Rows of one set of business data before the change and at the newest reading after it."""

    environment: str
    name: str
    before: int | None
    after: int | None


@dataclass(frozen=True)
class KeptFile:
    evidence: Evidence
    state: str
    """`intact`, `changed` (its digest is another one now) or `missing`."""


@dataclass(frozen=True)
class Report:
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
    change: ChangeRecord | None
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
                {"environment": d.environment, "dataset": d.name, "rows_before": d.before, "rows_after": d.after}
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


def gather_report(
    ledger: Ledger, cmdb: Cmdb | str, run: Run, *, now: datetime, read_plan: Callable[[str], Plan | None]
) -> Report:
    """`cmdb` is the reason as text when there is none to ask. What cannot be had is said in the report, not raised."""
    plan = read_plan(run.plan_text)
    view = view_run(ledger, run, order=[environment.name for environment in plan.environments] if plan else ())
    change, recorded, error = _ask_cmdb(cmdb, view)
    marks = view.all_marks
    return Report(
        view=view,
        plan=plan,
        written_at=now,
        versions=tuple(_versions(view, recorded)),
        answers=tuple(answer for mark in marks if (answer := _answer(mark))),
        timeline=tuple(sorted(events(view), key=lambda event: event.at)),
        restore_points=tuple(mark for mark in marks if mark.kind is MarkKind.RESTORE_POINT_PROVEN),
        datasets=tuple(d for environment in view.environments for d in _datasets(environment, ledger, run)),
        findings=_newest_findings(view),
        evidence=tuple(KeptFile(evidence, _state(evidence)) for evidence in ledger.evidence(run.key)),
        ledger_faults=ledger.verify_chain(run.key),
        change=change,
        cmdb_error=error,
        waiting_writes=tuple(
            item.write.op_key for item in ledger.outbox(change=run.key) if str(item.state) != "delivered"
        ),
    )


def _ask_cmdb(cmdb: Cmdb | str, view: RunView) -> tuple[ChangeRecord | None, dict[tuple[str, str], str | None], str]:
    if isinstance(cmdb, str):
        return None, {}, cmdb
    recorded: dict[tuple[str, str], str | None] = {}
    try:
        change = cmdb.change(view.run.key)
        for environment in view.environments:
            if environment.hosts:
                versions = cmdb.versions(view.run.client, view.run.application, environment.name)
                recorded |= {(environment.name, host): version for host, version in versions.items()}
    except CmdbError as exc:
        return None, recorded, str(exc)
    return change, recorded, ""


def _versions(view: RunView, recorded: dict[tuple[str, str], str | None]) -> list[HostVersion]:
    found = []
    for environment in view.environments:
        for host in environment.hosts:
            read = [mark for mark in environment.marks if mark.host == host]
            newest = fresh(MarkKind.VERSION_DISCOVERED, read)
            version = newest.data.get("version") if newest else None
            at = newest.at if newest else None
            found.append(HostVersion(environment.name, host, version, at, recorded.get((environment.name, host))))
    return found


_ANSWERS = {
    MarkKind.APPROVED: "approved",
    MarkKind.REJECTED: "rejected",
    MarkKind.SIGNED_OFF: "signed off",
    MarkKind.SUPPORT_ACCEPTED: "accepted",
}
_QUESTIONS = {MarkKind.SIGNED_OFF: "sign_off", MarkKind.SUPPORT_ACCEPTED: "support"}


def _answer(mark: Mark) -> Answered | None:
    if mark.kind not in _ANSWERS:
        return None
    question = str(mark.data.get("gate") or _QUESTIONS.get(mark.kind, ""))
    by, digest = str(mark.data.get("by") or ""), str(mark.data.get("plan_digest") or "")
    return Answered(mark.environment, question, _ANSWERS[mark.kind], by, mark.at, digest)


_GOOD = {MarkKind.ACCEPTED, MarkKind.COMMITTED, MarkKind.SUPPORT_ACCEPTED, MarkKind.APPROVED, MarkKind.SIGNED_OFF}
_BAD = {MarkKind.REJECTED, MarkKind.BLOCKED, MarkKind.BACKING_OUT, MarkKind.WINDOW_MISSED}


def events(view: RunView) -> list[Event]:
    events = []
    for mark in view.all_marks:
        weight = "good" if mark.kind in _GOOD else "bad" if mark.kind in _BAD else ""
        events.append(Event(mark.at, mark.environment, mark.host, _mark_text(mark), weight))
    for environment in (view.whole, *view.environments):
        for step in environment.steps:
            weight = {StepStatus.SUCCESSFUL: "", StepStatus.RUNNING: ""}.get(step.status, "bad")
            text = f"step {step.step}: {step.status}"
            events.append(Event(step.started_at, environment.name, "", text, weight, step.ended_at))
        for at, gate in environment.gates:
            text = f"gate {gate.gate}: {'passed' if gate.passed else 'not passed'} ({gate.checks_run} checks run)"
            events.append(Event(at, environment.name, "", text, "good" if gate.passed else "bad"))
    return events


def _mark_text(mark: Mark) -> str:
    words = str(mark.kind).replace("_", " ")
    told = [
        str(mark.data[key]) for key in ("gate", "decision", "why", "version", "reason", "label") if mark.data.get(key)
    ]
    by = f" by {mark.data['by']}" if mark.data.get("by") else ""
    return f"{words}{': ' if told else ''}{', '.join(told)}{by}"


def _newest_findings(view: RunView) -> tuple[tuple[str, str, Finding], ...]:
    """Of the newest run of each gate; an earlier "no" that was cured is in the timeline."""
    newest = {(gate.environment, gate.gate): gate for _, gate in view.all_gates}
    return tuple((gate.environment, gate.gate, finding) for gate in newest.values() for finding in gate.findings)


def _datasets(environment: EnvironmentView, ledger: Ledger, run: Run) -> list[Dataset]:
    files = [kept for kept in ledger.evidence(run.key) if kept.environment == environment.name]
    before = next((kept for kept in reversed(files) if kept.name == BEFORE), None)
    after = next((kept for kept in reversed(files) if kept.name.rsplit("/", 1)[-1] == AFTER), None)
    rows_before, rows_after = _rows(before), _rows(after)
    names = dict.fromkeys((*rows_before, *rows_after))
    return [Dataset(environment.name, name, rows_before.get(name), rows_after.get(name)) for name in names]


def _rows(kept: Evidence | None) -> dict[str, int]:
    if kept is None:
        return {}
    try:
        found = json.loads(Path(kept.path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): len(rows) for name, rows in found.items()} if isinstance(found, dict) else {}


def _state(evidence: Evidence) -> str:
    path = Path(evidence.path)
    try:
        if path.stat().st_size > LARGEST_EVIDENCE:
            return "not read: too large"
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "missing"
    return "intact" if digest == evidence.sha256 else "changed"

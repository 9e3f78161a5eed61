"""Put the report of one run together: what was asked, what was done, what proves it, and what the CMDB says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from changeover.domain.finding import Finding
from changeover.domain.hypercare import asked_rows, watch_told
from changeover.domain.plan import Plan
from changeover.domain.record import Evidence, Mark, MarkKind, Run, StepStatus
from changeover.domain.report import Answered, Dataset, Event, HostVersion, KeptFile, Report, ReportedChange
from changeover.domain.retention import Retention, ended_at, proven_points
from changeover.domain.run_view import EnvironmentView, RunView
from changeover.errors import CmdbError
from changeover.ports import ChangeRecord, Cmdb, Ledger, fresh
from changeover.usecases.run_view import view_run

BEFORE = "business-data-before.json"
AFTER = "business-data-after.json"
LARGEST_EVIDENCE = 256 * 1024 * 1024


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
        answers=_answers(marks),
        timeline=tuple(sorted(events(view), key=lambda event: event.at)),
        restore_points=proven_points(marks, Retention(plan.restore_points_kept if plan else None, ended_at(marks))),
        watch=watch_told(marks),
        keep_or_back_out=asked_rows(marks),
        datasets=tuple(d for environment in view.environments for d in _datasets(environment, ledger, run)),
        findings=_newest_findings(view),
        evidence=tuple(KeptFile(evidence, _state(evidence)) for evidence in ledger.evidence(run.key)),
        ledger_faults=ledger.verify_chain(run.key),
        ledger_head=ledger.chain_head(run.key),
        change=_reported(change),
        cmdb_error=error,
        waiting_writes=tuple(
            item.write.op_key for item in ledger.outbox(change=run.key) if str(item.state) != "delivered"
        ),
    )


def _reported(change: ChangeRecord | None) -> ReportedChange | None:
    if change is None:
        return None
    return ReportedChange(
        change.number,
        change.state,
        change.title,
        change.close_code,
        change.close_notes,
        change.notes,
        change.history,
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


def _answers(marks: Sequence[Mark]) -> tuple[Answered, ...]:
    """What somebody answered is marked as the answer and as what follows from it; it is told once."""
    told: dict[tuple[str, str, str, str], Answered] = {}
    for mark in marks:
        if answer := _answer(mark):
            fate = "no" if mark.kind is MarkKind.REJECTED else "yes"
            told.setdefault((answer.environment, answer.question, answer.by, fate), answer)
    return tuple(told.values())


def _answer(mark: Mark) -> Answered | None:
    if mark.kind not in _ANSWERS:
        return None
    question = str(mark.data.get("gate") or _QUESTIONS.get(mark.kind, ""))
    by, digest = str(mark.data.get("by") or ""), str(mark.data.get("plan_digest") or "")
    return Answered(mark.environment, question, _ANSWERS[mark.kind], by, mark.at, digest)


_GOOD = {
    MarkKind.ACCEPTED,
    MarkKind.LEG_ACCEPTED,
    MarkKind.COMMITTED,
    MarkKind.SUPPORT_ACCEPTED,
    MarkKind.APPROVED,
    MarkKind.SIGNED_OFF,
}
_BAD = {
    MarkKind.REJECTED,
    MarkKind.STOPPING,
    MarkKind.BLOCKED,
    MarkKind.BACKING_OUT,
    MarkKind.WINDOW_MISSED,
    MarkKind.HYPERCARE_EXTENDED,
    MarkKind.HYPERCARE_REOPENED,
}


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
    told = [_text(mark.data[key]) for key in _TOLD if mark.data.get(key)]
    by = f" by {mark.data['by']}" if mark.data.get("by") else ""
    return f"{words}{': ' if told else ''}{', '.join(told)}{by}"


_TOLD = (
    "gate", "decision", "standing", "why", "version", "reason", "label", "number", "summary", "comment", "names",
    "told", "kept",
)  # fmt: skip


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _newest_findings(view: RunView) -> tuple[tuple[str, str, Finding], ...]:
    """Of the newest run of each gate; an earlier "no" that was cured is in the timeline."""
    newest = {(gate.environment, gate.gate): gate for _, gate in view.all_gates}
    return tuple((gate.environment, gate.gate, finding) for gate in newest.values() for finding in gate.findings)


def _datasets(environment: EnvironmentView, ledger: Ledger, run: Run) -> list[Dataset]:
    files = [kept for kept in ledger.evidence(run.key) if kept.environment == environment.name]
    before = next((kept for kept in reversed(files) if kept.name == BEFORE), None)
    after = next((kept for kept in reversed(files) if kept.name.rsplit("/", 1)[-1] == AFTER), None)
    rows_before, rows_after = _rows(before), _rows(after)
    return [
        Dataset(environment.name, host, name, rows_before.get((host, name)), rows_after.get((host, name)))
        for host, name in dict.fromkeys((*rows_before, *rows_after))
    ]


def _rows(kept: Evidence | None) -> dict[tuple[str, str], int]:
    """(Host, set of data) → how many rows; empty when the file cannot be read, which its state says."""
    if kept is None:
        return {}
    try:
        hosts: dict[str, dict[str, list[object]]] = json.loads(Path(kept.path).read_text(encoding="utf-8"))
        return {(host, name): len(rows) for host, sets in hosts.items() for name, rows in sets.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


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

"""What the ledger of a run says of each task of the blueprint: when it was, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from changeover.domain.approval import tally
from changeover.domain.blueprint import Task
from changeover.domain.legs import stage_of
from changeover.domain.plan import Approval
from changeover.domain.record import Mark, MarkKind, StepRecord, StepStatus
from changeover.domain.run_view import EnvironmentView, RunView


@dataclass(frozen=True)
class Actual:
    """`by` is who decided, where somebody did: everybody who said yes, or who said no."""

    at: datetime | None
    until: datetime | None
    state: str
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trace:
    """Where a task leaves its trace: a mark, a gate or a step, by name; `nth` of several, the last where it is 0."""

    kind: str
    name: str
    nth: int = 0


TRACES: Mapping[str, Trace] = {
    "s01_transition.check_entry": Trace("gate", "entry"),
    "s01_transition.open_change": Trace("mark", MarkKind.CHANGE_OPENED),
    "s02_kickoff.tell_participants": Trace("mark", MarkKind.PARTICIPANTS_TOLD),
    "s03_release_analysis.analyse_release": Trace("gate", "release_analysis"),
    "s04_client_analysis.analyse_client": Trace("gate", "client_analysis"),
    "s05_baseline.build": Trace("step", "build"),
    "s05_baseline.implement": Trace("step", "implement", 1),
    "s05_baseline.accept_new": Trace("gate", "acceptance", 1),
    "s05_baseline.back_out": Trace("step", "back_out"),
    "s05_baseline.accept_old": Trace("gate", "back_out_acceptance"),
    "s05_baseline.implement_again": Trace("step", "implement", 2),
    "s05_baseline.accept_again": Trace("gate", "acceptance", 2),
    "s06_planning.run_sheet": Trace("mark", MarkKind.RUN_SHEET),
    "s06_planning.approve_plan": Trace("answer", "plan"),
    "s07_preparations.prepare": Trace("gate", "preparations"),
    "window": Trace("mark", MarkKind.LANE_STARTED),
    "readiness": Trace("gate", "readiness"),
    "go_no_go": Trace("answer", "go_no_go"),
    "restore_point": Trace("step", "restore_point"),
    "implement": Trace("step", "implement"),
    "acceptance": Trace("gate", "acceptance"),
    "sign_off": Trace("answer", "sign_off"),
    "verdict": Trace("mark", MarkKind.DECIDED),
    "commit": Trace("mark", MarkKind.COMMITTED),
    "back_out": Trace("step", "back_out"),
    "stand_down": Trace("mark", MarkKind.STOOD_DOWN),
    "settle": Trace("outcome", ""),
    "s10_support.hypercare": Trace("gate", "hypercare"),
    "s10_support.support_accepts": Trace("answer", "support"),
    "s11_closeout.check_exit": Trace("gate", "exit"),
    "s11_closeout.close_change": Trace("mark", MarkKind.CHANGE_CLOSED),
    "record_outcome": Trace("outcome", ""),
}
"""Task id, in a lane the task's name → its trace."""

UNTRACED = frozenset({"s06_planning.bind_approval"})
"""Tasks that write to the CMDB alone."""


def progress(tasks: Sequence[Task], view: RunView | None) -> dict[str, Actual]:
    """Task id → what is on record of it; a task that left no trace is not in it."""
    if view is None:
        return {}
    found = {}
    for task in tasks:
        trace = TRACES.get(task.name if task.process.per_environment else task.id)
        actual = _actual(view, task, trace) if trace else None
        if actual is not None:
            found[task.id] = actual
    return found


def _actual(view: RunView, task: Task, trace: Trace) -> Actual | None:
    here = _place(view, task.environment)
    if here is None:
        return None
    if trace.kind == "outcome":
        return Actual(None, None, str(here.outcome.outcome).replace("_", " ")) if here.outcome else None
    if trace.kind == "answer" and task.asked is not None:
        return _answer(here, trace.name, task.asked, view.run.plan_digest)
    records = list(_records(here, trace))
    if trace.nth:
        return records[trace.nth - 1] if len(records) >= trace.nth else None
    return records[-1] if records else None


def _place(view: RunView, environment: str) -> EnvironmentView | None:
    if not environment:
        return view.whole
    return next((place for place in view.environments if place.name == environment), None)


def _records(here: EnvironmentView, trace: Trace) -> Iterator[Actual]:
    if trace.kind == "step":
        tries: dict[int, list[StepRecord]] = {}
        for step in here.steps:
            if stage_of(step.step) == trace.name:
                tries.setdefault(step.generation, []).append(step)
        yield from map(_try, tries.values())
    elif trace.kind == "gate":
        for at, gate in here.gates:
            if gate.gate == trace.name:
                yield Actual(at, at, "passed" if gate.passed else "not passed")
    else:
        for mark in here.marks:
            if (trace.kind == "mark" and mark.kind == trace.name) or answers(mark, trace.name):
                yield Actual(mark.at, mark.at, _state(mark), _by(mark))


def _answer(here: EnvironmentView, gate: str, asked: Approval, digest: str) -> Actual | None:
    """How the count of the newest request stands, which may have asked others than the plan names; None before it."""
    given = [mark for mark in here.marks if answers(mark, gate)]
    requests = [mark for mark in here.marks if mark.kind is MarkKind.ASKED and mark.data.get("gate") == gate]
    if not given:
        return None
    if requests and requests[-1].data.get("asked"):
        said = requests[-1].data
        asked = asked.model_copy(update={"by": tuple(said["asked"]), "quorum": int(said.get("needed") or asked.quorum)})
    counted, last = tally(asked, here.marks, gate=gate, environment=here.name, digest=digest), given[-1]
    if counted.rejected_by:
        return Actual(last.at, last.at, "rejected", (counted.rejected_by,))
    if counted.reached or last.kind in _ANSWERS:
        return Actual(last.at, last.at, _state(last), counted.approved or _by(last))
    if counted.approved:
        return Actual(last.at, last.at, f"{len(counted.approved)} of {counted.needed} approvals", counted.approved)
    return None


def _by(mark: Mark) -> tuple[str, ...]:
    return (str(mark.data["by"]),) if mark.data.get("by") else ()


def _try(steps: Sequence[StepRecord]) -> Actual:
    """From the first step of a stage to the last one: it has several where the way has several legs."""
    last = steps[-1]
    state = "done" if last.status is StepStatus.SUCCESSFUL else str(last.status)
    return Actual(steps[0].started_at, last.ended_at, state)


_ANSWERS = {MarkKind.SIGNED_OFF: "sign_off", MarkKind.SUPPORT_ACCEPTED: "support"}


def answers(mark: Mark, question: str) -> bool:
    """Whether the mark is the answer to a question that a gate put to people, or to the rule."""
    if mark.kind in (MarkKind.APPROVED, MarkKind.REJECTED):
        return mark.data.get("gate") == question
    return _ANSWERS.get(mark.kind) == question


def _state(mark: Mark) -> str:
    if mark.kind is MarkKind.DECIDED:
        return str(mark.data.get("decision", "decided")).replace("_", " ")
    return {
        MarkKind.APPROVED: "approved",
        MarkKind.REJECTED: "rejected",
        MarkKind.SIGNED_OFF: "signed off",
        MarkKind.SUPPORT_ACCEPTED: "accepted",
    }.get(mark.kind, "done")

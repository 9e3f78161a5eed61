"""Hold, resume and abort a run, by name and for a reason: asked of the ledger, and written there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from changeover.domain.plan import Plan
from changeover.domain.record import Mark, MarkKind, Run, StepStatus
from changeover.domain.steering import (
    RunFacts,
    holds,
    lane_state,
    steering,
    why_not_abort,
    why_not_hold,
    why_not_resume,
)
from changeover.ports import Ledger


@dataclass(frozen=True)
class Steered:
    """What was done, or why it was not. `then`: what follows from it, or is possible instead."""

    refused: tuple[str, ...] = ()
    then: tuple[str, ...] = ()


def faults_of(plan: Plan, *, by: str, reason: str) -> tuple[str, ...]:
    """What is wrong with the request itself."""
    people = sorted(person.id for person in plan.participants)
    return (
        *(() if by in people else (f"--by: {by or 'nobody'} is not in the plan ({', '.join(people)})",)),
        *(() if reason.strip() else ("--reason: say why; it is kept with the run",)),
    )


def run_facts(ledger: Ledger, run: Run) -> RunFacts:
    marks, outcomes = ledger.marks(run.key), ledger.outcomes(run.key)
    whole = outcomes.get("")
    return RunFacts(
        ended=str(whole.outcome) if whole else "",
        lanes={
            name: lane_state([mark for mark in marks if mark.environment == name], settled=name in outcomes)
            for name in run.environments
        },
        at_work=tuple(
            f"{step.step} of {step.environment}"
            for step in ledger.steps(run.key)
            if step.status is StepStatus.RUNNING and step.directory  # without one nothing runs on hosts
        ),
        held=bool(holds(marks)),
        aborted=steering(marks).abort is not None,
    )


def hold(ledger: Ledger, run: Run, *, by: str, reason: str, at: datetime) -> Steered:
    """What runs is finished; the next stage waits, without a worker, until it is resumed or the clock ends it."""
    facts = run_facts(ledger, run)
    if refused := why_not_hold(facts):
        return Steered(refused)
    ledger.mark(Mark(run.key, MarkKind.HELD, at, data={"by": by, "reason": reason}))
    stop = f"it goes on to its end (`changeover stop {run.key}` ends it)"
    works = (f"at work is {', '.join(facts.at_work)}: {stop}",) if facts.at_work else ()
    clock = "before a change begins it ends when it is too late to start, after that at `decide by`"
    return Steered(then=(*works, "the next stage waits", clock, f"changeover resume {run.key}"))


def resume(ledger: Ledger, run: Run, *, by: str, reason: str, at: datetime) -> Steered:
    """Ends every hold of the run, people's and the night policy's."""
    standing = holds(ledger.marks(run.key))
    if refused := why_not_resume(run_facts(ledger, run)):
        return Steered(refused)
    ledger.mark(Mark(run.key, MarkKind.RESUMED, at, data={"by": by, "reason": reason}))
    return Steered(then=tuple(f"ended: the hold by {one.by} ({one.reason})" for one in standing))


def abort(ledger: Ledger, run: Run, *, by: str, reason: str, at: datetime, back_out: bool) -> Steered:
    """Nothing further begins; a change that had begun is backed out, where that was asked for."""
    before = run_facts(ledger, run)
    if refused := why_not_abort(before, back_out=back_out):
        return Steered(refused)
    data = {"by": by, "reason": reason, "back_out": back_out}
    ledger.mark(Mark(run.key, MarkKind.ABORTED, at, data=data))
    after = run_facts(ledger, run)
    crossed = [name for name, state in after.lanes.items() if state != before.lanes[name]]
    late = [f"{name}: its change began at the same moment; it ends, and is backed out" for name in crossed]
    return Steered(then=(*late, "nothing further begins; the run goes through its last tasks"))

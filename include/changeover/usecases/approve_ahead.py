"""Approval by day of what starts by itself: asked at the end of a rehearsal, counted in the run of that opening.

Bound to the plan's digest and to one opening: another text, or another night, is asked about anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from changeover.domain.approval import asked_ahead, barred, tally
from changeover.domain.plan import Mode
from changeover.domain.record import Mark, MarkKind, Run, meant_for
from changeover.domain.window import AnyTime
from changeover.domain.window_start import openings
from changeover.ports import fresh
from changeover.usecases.tools import Tools, Upgrade
from changeover.usecases.window_gate import agreed

ENDS_BEFORE = timedelta(minutes=5)
"""A rehearsal that still waits for answers stands before the run that is to start, so it ends in time."""
LOOKED_AT = 500


def opening_asked_about(upgrade: Upgrade, tools: Tools) -> datetime | None:
    """The opening for which people are asked ahead; None where nobody is, or none comes that leaves time to answer.

    A request that is open keeps the one it was put for.
    """
    if not asked_ahead(upgrade.plan, upgrade.mode):
        return None
    marks = _of_plan(tools, upgrade.run)
    now = tally(upgrade.plan.approved_by, marks, gate="plan", digest=upgrade.run.plan_digest)
    return _named(fresh(MarkKind.ASKED, marks)) if now.open else _coming(upgrade, tools)


def answers_end(upgrade: Upgrade, tools: Tools) -> datetime | None:
    opening = opening_asked_about(upgrade, tools)
    return opening - ENDS_BEFORE if opening else None


def approvals_ahead(upgrade: Upgrade, tools: Tools) -> tuple[Mark, ...]:
    """What the newest rehearsal that asked about this text and this opening was told; none unless it was enough."""
    opening = meant_for(upgrade.run.dag_run_id)
    if opening is None or upgrade.mode is not Mode.IMPLEMENT:
        return ()
    for run in tools.ledger.runs(limit=LOOKED_AT):
        marks = _of_plan(tools, run) if _rehearses(run, upgrade.run) else ()
        if _named(fresh(MarkKind.ASKED, marks)) == opening:
            return _enough(upgrade, run, marks)
    return ()


def _enough(upgrade: Upgrade, run: Run, marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """Who asked for the upgrade, or started the rehearsal, counts in neither run."""
    plan = upgrade.plan
    out = barred("plan", plan.requested_by, run.requested_by, upgrade.run.requested_by)
    counted = tally(plan.approved_by, marks, gate="plan", digest=run.plan_digest, barred=out)
    if not counted.reached:
        return ()
    given = {mark.data.get("by"): mark for mark in marks if mark.kind is MarkKind.APPROVED}
    return tuple(given[who] for who in counted.approved)


def _rehearses(rehearsal: Run, run: Run) -> bool:
    same = (rehearsal.dag_id, rehearsal.plan_digest) == (run.dag_id, run.plan_digest)
    return same and rehearsal.mode == Mode.REHEARSE and set(run.environments) <= set(rehearsal.environments)


def _of_plan(tools: Tools, run: Run) -> tuple[Mark, ...]:
    return tuple(mark for mark in tools.ledger.marks(run.key, environment="") if mark.data.get("gate") == "plan")


def _named(asked: Mark | None) -> datetime | None:
    named = str(asked.data.get("opening") or "") if asked else ""
    return datetime.fromisoformat(named) if named else None


def _coming(upgrade: Upgrade, tools: Tools) -> datetime | None:
    plan, now = upgrade.plan, tools.clock()
    lane = plan.environment(plan.unattended.window_of) if plan.unattended else plan.baseline
    offered = agreed(upgrade, tools, lane)
    if isinstance(offered.window, AnyTime):
        return None
    nights = openings(offered.window, offered.freezes, closing_after=now, covered=offered.covered)
    return next((night.opens for night in nights if night.opens - ENDS_BEFORE > now), None)

"""Look for a plan's last night that went by without any run: only the ledger's silence shows it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from changeover.domain.freeze import Freezes
from changeover.domain.notice import Notice
from changeover.domain.plan import Plan
from changeover.domain.record import Run
from changeover.domain.unheard import Seen, unheard
from changeover.ports import Ledger
from changeover.usecases.tools import Tools

LOOKED_AT = 200


def unheard_nights(
    plan: Plan,
    freezes: Freezes,
    tools: Tools,
    *,
    done: Collection[str],
    presented: datetime | None,
    told: Collection[str],
) -> tuple[Notice, ...]:
    """`done`: environments that an earlier run has upgraded; where that is all of them, nothing was to run."""
    if plan.unattended is None or {lane.name for lane in plan.lanes} <= set(done):
        return ()
    runs = [_seen(tools.ledger, run) for run in tools.ledger.runs(limit=LOOKED_AT) if run.dag_id == plan.dag_id]
    return unheard(plan, freezes, runs, presented=presented, told=told, now=tools.clock())


def _seen(ledger: Ledger, run: Run) -> Seen:
    if "" not in ledger.outcomes(run.key):
        return Seen(run, None)
    return Seen(run, max((mark.at for mark in ledger.marks(run.key)), default=run.opened_at))

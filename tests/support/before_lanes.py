"""What the stages before the lanes leave in ledger and CMDB, without hosts."""

from __future__ import annotations

from changeover.domain.record import MarkKind
from changeover.usecases.deliver_outbox import deliver
from changeover.usecases.tools import Tools, Upgrade, mark, tell_cmdb
from changeover.usecases.transition import open_change


def before_the_lanes(upgrade: Upgrade, tools: Tools) -> None:
    """The change in implement, the plan approved, the preparations proven."""
    open_change(upgrade, tools)
    for state in ("authorize", "scheduled", "implement"):
        tell_cmdb(upgrade, tools, "move_change", state, state=state)
    deliver(tools.ledger, tools.cmdb, tools.clock())
    by, digest = upgrade.plan.approved_by.by[0], upgrade.run.plan_digest
    mark(upgrade, tools, MarkKind.APPROVED, gate="plan", by=by, plan_digest=digest)
    for lane in upgrade.lanes:
        mark(upgrade, tools, MarkKind.RESTORE_POINT_PROVEN, lane.name, label="prep")

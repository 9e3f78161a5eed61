"""Who has to say yes to a back-out: once users were let in, two of the people whom the plan names at any gate."""

from __future__ import annotations

from datetime import datetime

from changeover.domain.loss import PERSONS, opened_at
from changeover.domain.plan import Approval, Mode
from changeover.usecases.lane_facts import earlier_change
from changeover.usecases.tools import Tools, Upgrade


def earlier_opening(upgrade: Upgrade, tools: Tools, environment: str) -> datetime | None:
    """When users were let in by the change that is to be backed out; None when they were not."""
    earlier = earlier_change(upgrade, tools, environment)
    return opened_at(tools.ledger.marks(earlier[0].key, environment=environment)) if earlier else None


def for_back_out(upgrade: Upgrade, tools: Tools, approval: Approval) -> Approval:
    """The plan's own approval, or a wider one with two people where data may be lost."""
    if upgrade.mode is not Mode.BACK_OUT:
        return approval
    if not any(earlier_opening(upgrade, tools, lane.name) for lane in upgrade.lanes):
        return approval
    gates = [approval, upgrade.plan.support.accepted_by]
    gates += [gate for lane in upgrade.lanes for gate in (lane.go_no_go, lane.sign_off) if gate]
    by = tuple(dict.fromkeys(who for gate in gates for who in gate.by))
    return approval.model_copy(update={"by": by, "quorum": max(PERSONS, approval.quorum)})

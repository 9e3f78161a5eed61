"""The change in the CMDB: its risk and affected items for whoever approves, and whether it still lets work begin."""

from __future__ import annotations

from changeover.domain.change import ChangeModel, ChangeState, Risk, RiskFacts, risk
from changeover.domain.change_control import ChangeAsRecorded, not_allowed
from changeover.domain.conflict import environment_ci
from changeover.domain.no_return import Reversible
from changeover.domain.plan import Mode
from changeover.domain.record import MarkKind, StepStatus
from changeover.domain.window import AnyTime
from changeover.errors import CmdbUnavailable
from changeover.ports import WriteState
from changeover.usecases.deliver_outbox import deliver
from changeover.usecases.tools import Tools, Upgrade, hosts_of, tell_cmdb
from changeover.usecases.window_gate import planned_nights, reversible

BEFORE = (ChangeState.NEW, ChangeState.ASSESS, ChangeState.AUTHORIZE, ChangeState.SCHEDULED)


def change_refusal(upgrade: Upgrade, tools: Tools, *, dates_count: bool = True) -> str:
    """Why the change does not let host work begin now; "" when it does. Raise when the CMDB cannot be asked.

    `dates_count`: whether the planned dates hold too; a way back is not bound to them.
    What we have to write there is written first, so that an outage behind us is not taken for somebody's "no".
    """
    key = upgrade.run.key
    if not tools.ledger.marks(key, kind=MarkKind.CHANGE_OPENED):
        return "no change was opened for this run; start a new run"
    deliver(tools.ledger, tools.cmdb, tools.clock())
    record = tools.cmdb.change(key)
    ours = [item.write.kind for item in tools.ledger.outbox(change=key) if item.state is not WriteState.DELIVERED]
    if record is None or (record.state in BEFORE and "move_change" in ours):
        raise CmdbUnavailable(
            "the change has not arrived in the CMDB, so nothing may start under it",
            where=key,
            then="see the outbox in `changeover status`; the task tries again",
        )
    recorded = ChangeAsRecorded(record.number, record.state, record.planned_start, record.planned_end)
    return not_allowed(recorded, at=tools.clock(), dates_count=dates_count and upgrade.mode is Mode.IMPLEMENT)


def plan_change(upgrade: Upgrade, tools: Tools) -> None:
    """Risk, affected items and planned dates into the CMDB. An environment without a window leaves the dates open."""
    nights = {} if upgrade.mode is Mode.BACK_OUT else planned_nights(upgrade, tools)
    whole = bool(nights) and not any(isinstance(lane.window, AnyTime) for lane in upgrade.lanes)
    level, _ = risk_of(upgrade, tools)
    tell_cmdb(
        upgrade,
        tools,
        "plan_change",
        "plan_change",
        planned_start=min(n.opens for n in nights.values()).isoformat() if whole else None,
        planned_end=max(n.closes for n in nights.values()).isoformat() if whole else None,
        risk=level.name.lower(),
        affected=list(affected_items(upgrade, tools)),
    )


def risk_of(upgrade: Upgrade, tools: Tools) -> tuple[Risk, tuple[str, ...]]:
    """From what is known when people are asked: the rehearsal, the role, the hosts, the client's own parts."""
    plan, expected = upgrade.plan, upgrade.plan.expected
    rehearsal = tools.ledger.steps(upgrade.run.key, environment=plan.baseline.name)
    rehearsed = {step.step for step in rehearsal if step.status is StepStatus.SUCCESSFUL}
    return risk(
        RiskFacts(
            production=any(lane.kind == "production" for lane in upgrade.lanes),
            rehearsed=upgrade.mode is Mode.BACK_OUT or {"implement", "back_out"} <= rehearsed,
            reversible=reversible(upgrade, tools).get("implement") is not Reversible.NO,
            hosts=sum(len(hosts_of(upgrade, tools, lane.name)) for lane in upgrade.lanes),
            customised=bool(expected.customisations or expected.integrations),
            model=plan.change.model,
        )
    )


def affected_items(upgrade: Upgrade, tools: Tools) -> tuple[str, ...]:
    """Environments and hosts, as the calendar names them."""
    plan = upgrade.plan
    return tuple(
        item
        for lane in upgrade.lanes
        for item in (environment_ci(plan, lane.name), *(host.name for host in hosts_of(upgrade, tools, lane.name)))
    )


def change_rows(upgrade: Upgrade, tools: Tools) -> tuple[tuple[str, str], ...]:
    """For whoever approves: model with its reason, risk with what raised it, affected items."""
    control = upgrade.plan.change
    level, why = risk_of(upgrade, tools)
    model = {
        ChangeModel.STANDARD: f": pre-approved as {control.pre_approval.reference}" if control.pre_approval else "",
        ChangeModel.EMERGENCY: f": {control.emergency.reason}" if control.emergency else "",
    }.get(control.model, "")
    return (
        ("change", f"{control.model}{model}"),
        ("risk", ": ".join(filter(None, (level.name.lower(), "; ".join(why))))),
        ("affected items", ", ".join(affected_items(upgrade, tools)) or "none on record"),
    )

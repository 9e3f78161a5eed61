"""Implementation planning: the run sheet from measured durations, and the approval bound to the plan's digest."""

from __future__ import annotations

from changeover.domain.approval import asked_ahead
from changeover.domain.change import MODELS, ChangeState
from changeover.domain.change_control import not_pre_approved
from changeover.domain.plan import Mode
from changeover.domain.record import Mark, MarkKind
from changeover.domain.runsheet import run_sheet
from changeover.ports import fresh
from changeover.usecases.agreed_windows import mark_windows
from changeover.usecases.ask import tally_of
from changeover.usecases.back_out_judgement import tell_what_is_at_stake
from changeover.usecases.change_gate import plan_change, risk_of
from changeover.usecases.fix import write_sheet
from changeover.usecases.planning_facts import durations
from changeover.usecases.today import day_meant
from changeover.usecases.tools import (
    Answer,
    Reply,
    Tools,
    Upgrade,
    mark,
    no,
    not_applicable,
    tell_cmdb,
    yes,
)
from changeover.usecases.window_gate import planned_nights, planning_gate, reversible


def write_run_sheet(upgrade: Upgrade, tools: Tools) -> Answer:
    """Measured times of the rehearsal laid out over the lanes; what the approver reads."""
    ahead = asked_ahead(upgrade.plan, upgrade.mode)
    if upgrade.mode in (Mode.ANALYSE, Mode.REHEARSE) and not ahead:
        return not_applicable(f"mode {upgrade.mode} ends before planning")
    if upgrade.mode is Mode.FIX:
        answer = write_sheet(upgrade, tools)
        if answer.reply is Reply.YES:
            tell_cmdb(upgrade, tools, "move_change", "authorize", state="authorize")
        return answer
    gate = planning_gate(upgrade, tools)
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    if not gate.passed:
        return no(*gate.reasons())
    lost = tell_what_is_at_stake(upgrade, tools) if upgrade.mode is Mode.BACK_OUT else ()
    sheet = run_sheet(
        upgrade.plan,
        upgrade.lanes,
        {lane.name: durations(upgrade, tools, lane) for lane in upgrade.lanes},
        digest=upgrade.run.plan_digest,
        hosts={n: tuple(h.name for h in hs) for n, hs in tools.ledger.frozen_hosts(upgrade.run.key).items()},
        nights={} if upgrade.mode is Mode.BACK_OUT else planned_nights(upgrade, tools),
        reversible=reversible(upgrade, tools),
        findings=gate.findings,
    )
    mark(
        upgrade,
        tools,
        MarkKind.RUN_SHEET,
        key="run-sheet",
        text=sheet.markdown(),
        total_seconds=sheet.total.total_seconds(),
    )
    if upgrade.mode is Mode.IMPLEMENT:
        mark_windows(upgrade, tools)
    if not ahead:  # a rehearsal opened no change
        plan_change(upgrade, tools)
    if not ahead and ChangeState.AUTHORIZE in MODELS[upgrade.plan.change.model]:
        tell_cmdb(upgrade, tools, "move_change", "authorize", state="authorize")
    stake = f"; would be lost: {'; '.join(lost)}" if lost else ""
    return yes(f"run sheet: {sheet.total} of work{stake}", run_sheet=sheet.markdown())


def pre_approved(upgrade: Upgrade, tools: Tools) -> Answer:
    """The approval of a standard change: given once for all, for as long as it is valid and the risk is not high."""
    control = upgrade.plan.change
    level, _ = risk_of(upgrade, tools)
    if (why := not_pre_approved(control, level, day_meant(upgrade, tools))) or control.pre_approval is None:
        return no(f"not pre-approved: {why}")
    mark(
        upgrade,
        tools,
        MarkKind.APPROVED,
        key=f"pre-approved-{upgrade.run.plan_digest}",
        gate="plan",
        by=control.pre_approval.by,
        reference=control.pre_approval.reference,
        plan_digest=upgrade.run.plan_digest,
        rule=True,
    )
    return yes(f"pre-approved by {control.pre_approval.by} as {control.pre_approval.reference}")


def plan_approvals(upgrade: Upgrade, tools: Tools) -> tuple[Mark, ...]:
    """Every approval of the plan itself, oldest first; each names the digest it was given for."""
    marks = tools.ledger.marks(upgrade.run.key, kind=MarkKind.APPROVED)
    return tuple(approval for approval in marks if approval.data.get("gate") == "plan")


def bind_approval(upgrade: Upgrade, tools: Tools) -> Answer:
    """The change is scheduled only when the plan's approval names this very digest."""
    if upgrade.mode is Mode.REHEARSE:
        return not_applicable("approved ahead: bound by the run that starts by itself")
    last = fresh(MarkKind.APPROVED, plan_approvals(upgrade, tools))
    if last is None:
        return no("the plan has no approval on record")
    if last.data.get("plan_digest") != upgrade.run.plan_digest:
        return no(
            f"approved was plan {last.data.get('plan_digest')}, this run carries {upgrade.run.plan_digest}: ask again"
        )
    counted = tally_of(upgrade, tools, gate="plan")
    if not counted.reached:
        return no(f"the plan is not approved: {counted.told()}")
    tell_cmdb(upgrade, tools, "move_change", "scheduled", state="scheduled")
    tell_cmdb(upgrade, tools, "move_change", "implement", state="implement")
    by = ", ".join(counted.approved) or f"{last.data.get('by')} beforehand"
    return yes(f"approved by {by} for plan {upgrade.run.plan_digest[:12]}")

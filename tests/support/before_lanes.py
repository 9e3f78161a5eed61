"""What the stages before the lanes leave in ledger and CMDB, without hosts."""

from __future__ import annotations

from changeover.domain.record import MarkKind
from changeover.usecases.deliver_outbox import deliver
from changeover.usecases.tools import Reply, Tools, Upgrade, mark, tell_cmdb
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


def up_to_the_lanes(upgrade: Upgrade, tools: Tools) -> None:
    """The same on real hosts: the hosts frozen, the plan approved, artefacts and restore points proven."""
    from changeover.usecases.answers import record_answer
    from changeover.usecases.ask import open_request
    from changeover.usecases.planning import bind_approval, write_run_sheet
    from changeover.usecases.prepare import prepare
    from changeover.usecases.transition import check_entry

    plan = {"gate": "plan", "environment": ""}
    approver = {"id": upgrade.plan.approved_by.by[0]}
    for answer in (
        check_entry(upgrade, tools),
        open_change(upgrade, tools),
        write_run_sheet(upgrade, tools),
        open_request(upgrade, tools, **plan),
        record_answer(upgrade, tools, **plan, option="Approve", responder=approver, comment=None),
        bind_approval(upgrade, tools),
        prepare(upgrade, tools),
    ):
        assert answer.reply is Reply.YES, answer.text

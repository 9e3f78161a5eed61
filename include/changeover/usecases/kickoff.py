"""Upgrade Kickoff: who takes part, resolved against the CMDB, and told on the change."""

from __future__ import annotations

from changeover.domain.finding import Finding, Severity
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.plan import Mode
from changeover.domain.record import MarkKind
from changeover.usecases.tools import Answer, Tools, Upgrade, mark, no, tell_cmdb, yes


def tell_participants(upgrade: Upgrade, tools: Tools) -> Answer:
    """Everybody asked to decide must be a person the CMDB knows; the kickoff note goes on the change."""
    plan = upgrade.plan
    known = {person.id: person for person in tools.cmdb.people(plan.client)}
    deciding = _deciding(upgrade)
    results = tuple(
        CheckResult(
            f"participant-known-{who}",
            "",
            CheckState.PASSED if who in known else CheckState.FAILED,
            "" if who in known else who,
        )
        for who in deciding
    )
    findings = tuple(
        Finding(
            "participant-role-differs",
            person.id,
            f"plan says {person.role}, the CMDB says {known[person.id].role}",
            Severity.ADVISORY,
        )
        for person in plan.participants
        if person.id in known and known[person.id].role != person.role
    )
    gate = GateResult(
        "kickoff",
        "",
        tuple((result.key, "") for result in results),
        results,
        ("plan",),
        ("plan",),
        findings,
    )
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    if not gate.passed:
        return no(
            "the CMDB does not know these people, who have to decide",
            *(r.message for r in results if r.message),
        )
    people = [f"{person.name} ({person.role})" for person in plan.participants]
    if upgrade.mode not in (Mode.ANALYSE, Mode.REHEARSE):
        tell_cmdb(
            upgrade,
            tools,
            "note",
            "kickoff",
            text=f"Kickoff: {plan.title}, mode {upgrade.mode}. Participants: {', '.join(people)}.",
        )
    mark(upgrade, tools, MarkKind.PARTICIPANTS_TOLD, key="participants", people=people)
    return yes(f"participants: {', '.join(people)}")


def _deciding(upgrade: Upgrade) -> tuple[str, ...]:
    plan = upgrade.plan
    approvals = [plan.approved_by, plan.support.accepted_by]
    if plan.support.hypercare.decided_by:
        approvals.append(plan.support.hypercare.decided_by)
    for lane in upgrade.lanes:
        approvals += [approval for approval in (lane.go_no_go, lane.sign_off) if approval]
    return tuple(sorted({plan.requested_by, *(who for approval in approvals for who in approval.by)}))

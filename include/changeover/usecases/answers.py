"""What people answered at a gate, written down with their name, their comment and the plan digest they saw."""

from __future__ import annotations

from collections.abc import Mapping

from changeover.domain.hypercare import GATE as HYPERCARE
from changeover.domain.night import CASE_OF_GATE, Action
from changeover.domain.night_clock import rule
from changeover.domain.plan import Mode
from changeover.domain.record import MarkKind
from changeover.usecases.ask import MOMENT, agreed_approval, gate_facts, seconds_left, tally_of
from changeover.usecases.lane_clock import choices
from changeover.usecases.steer import write_ruling
from changeover.usecases.support import next_back_out, support_accepts
from changeover.usecases.tools import (
    Answer,
    Reply,
    Tools,
    Upgrade,
    mark,
    no,
    tell_cmdb,
    yes,
)

LONGEST_COMMENT = 500


def record_answer(
    upgrade: Upgrade,
    tools: Tools,
    *,
    gate: str,
    environment: str,
    option: str,
    responder: Mapping[str, str] | None,
    comment: object = "",
) -> Answer:
    """Only a named person counts, and never one who asked for the change; anything else is a "no".

    While more people have to say yes, the answer's data has `seconds`: how long they are waited for.
    """
    who = str((responder or {}).get("id") or "")
    asked = agreed_approval(upgrade, tools, gate, environment).by
    if who not in asked:
        return no(f"{gate}: answered by {who or 'nobody'}, asked were {', '.join(asked)}")
    before = tally_of(upgrade, tools, gate=gate, environment=environment)
    if who not in before.may_answer:
        return no(f"{gate}: {who} asked for this upgrade and cannot approve it")
    approved = option == "Approve"
    if approved and who in before.approved and not before.reached:
        return _more(upgrade, tools, gate, environment, f"{who} had said yes already and counts once")
    kept = " ".join(str(comment or "").split())[:LONGEST_COMMENT]
    _write(upgrade, tools, gate, environment, who=who, approved=approved, comment=kept)
    if not approved and gate == HYPERCARE:
        return no(f"{who} decided to back out", next_back_out(upgrade))
    if not approved:
        return no(f"{gate} rejected by {who}")
    if not tally_of(upgrade, tools, gate=gate, environment=environment).reached:
        return _more(upgrade, tools, gate, environment, f"approved by {who}")
    return _follows(upgrade, tools, gate, environment, who)


def no_answer(upgrade: Upgrade, tools: Tools, *, gate: str, environment: str) -> Answer:
    """Nobody answered in time: the plan's night policy acts. Where the plan says nothing, silence is a "no".

    Held means asked again: the answer's data has `seconds` then.
    """
    approval, case = agreed_approval(upgrade, tools, gate, environment), CASE_OF_GATE[gate]
    so_far, now = tally_of(upgrade, tools, gate=gate, environment=environment), tools.clock()
    facts = gate_facts(upgrade, tools, gate, environment, since=so_far.asked_at or now)
    ruling = rule(choices(upgrade, environment), case, facts, at=now)
    write_ruling(upgrade, tools, ruling, case, environment)
    if ruling.action is Action.HOLD:
        again = min(approval.wait, (ruling.until or now) - now)
        return yes(f"{gate}: no answer yet; {ruling.why}", seconds=max(MOMENT, again).total_seconds())
    proceed = ruling.action is Action.PROCEED
    by = "rule: no answer in time, and the plan goes on without" if proceed else "nobody: no answer in time"
    kind = MarkKind.APPROVED if proceed else MarkKind.REJECTED
    mark(upgrade, tools, kind, environment, gate=gate, by=by, plan_digest=upgrade.run.plan_digest, rule=proceed)
    if proceed:
        return _follows(upgrade, tools, gate, environment, by)
    return no(f"{gate}: no answer in time from {', '.join(approval.by)} ({so_far.told()}); {ruling.why}")


def _write(
    upgrade: Upgrade, tools: Tools, gate: str, environment: str, *, who: str, approved: bool, comment: str
) -> None:
    """`decides`: with it the gate is answered, whatever it says; others were asked as well and are still waited for."""
    digest = upgrade.run.plan_digest
    so_far = tally_of(upgrade, tools, gate=gate, environment=environment)
    mark(
        upgrade,
        tools,
        MarkKind.APPROVED if approved else MarkKind.REJECTED,
        environment,
        gate=gate,
        by=who,
        plan_digest=digest,
        decides=not approved or len({*so_far.approved, who}) >= so_far.needed,
        **({"comment": comment} if comment else {}),
    )
    if upgrade.mode not in (Mode.ANALYSE, Mode.REHEARSE):
        option = "Approve" if approved else "Reject"
        tell_cmdb(
            upgrade,
            tools,
            "note",
            f"answer-{gate}-{environment}-{option}-{who}",
            text=f"{gate} {environment}: {option} by {who}, plan {digest[:12]}{f': {comment}' if comment else ''}",
        )


def _more(upgrade: Upgrade, tools: Tools, gate: str, environment: str, what: str) -> Answer:
    now = tally_of(upgrade, tools, gate=gate, environment=environment)
    seconds = seconds_left(upgrade, tools, now, gate, environment)
    return yes(f"{gate}: {what}: {now.told()}", seconds=seconds)


def _follows(upgrade: Upgrade, tools: Tools, gate: str, environment: str, who: str) -> Answer:
    """What an approved gate means beyond itself."""
    if gate == "sign_off":
        mark(upgrade, tools, MarkKind.SIGNED_OFF, environment, by=who, plan_digest=upgrade.run.plan_digest)
    if gate == HYPERCARE:
        mark(upgrade, tools, MarkKind.HYPERCARE_KEPT, by=who)
    if gate == "support":
        answer = support_accepts(upgrade, tools, by=who)
        return answer if answer.reply is not Reply.YES else yes(f"support accepted: {who}")
    return yes(f"{gate} approved by {who}")

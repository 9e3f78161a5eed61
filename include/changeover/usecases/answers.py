"""What people answered at a gate, written down with their name, their comment and the plan digest they saw."""

from __future__ import annotations

from collections.abc import Mapping

from changeover.domain.plan import Mode
from changeover.domain.record import MarkKind
from changeover.usecases.ask import agreed_approval, tally_of, time_left
from changeover.usecases.support import support_accepts
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
    asked = agreed_approval(upgrade, gate, environment).by
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
    if not approved:
        return no(f"{gate} rejected by {who}")
    if not tally_of(upgrade, tools, gate=gate, environment=environment).reached:
        return _more(upgrade, tools, gate, environment, f"approved by {who}")
    return _follows(upgrade, tools, gate, environment, who)


def no_answer(upgrade: Upgrade, tools: Tools, *, gate: str, environment: str) -> Answer:
    """Silence is a "no", unless the plan says that this gate goes on without an answer."""
    approval = agreed_approval(upgrade, gate, environment)
    told = tally_of(upgrade, tools, gate=gate, environment=environment).told()
    proceed = approval.unanswered == "proceed"
    by = "rule: no answer in time, and the plan goes on without" if proceed else "nobody: no answer in time"
    kind = MarkKind.APPROVED if proceed else MarkKind.REJECTED
    mark(upgrade, tools, kind, environment, gate=gate, by=by, plan_digest=upgrade.run.plan_digest, rule=proceed)
    if proceed:
        return _follows(upgrade, tools, gate, environment, by)
    return no(f"{gate}: no answer in time from {', '.join(approval.by)} ({told})")


def _write(
    upgrade: Upgrade, tools: Tools, gate: str, environment: str, *, who: str, approved: bool, comment: str
) -> None:
    digest = upgrade.run.plan_digest
    mark(
        upgrade,
        tools,
        MarkKind.APPROVED if approved else MarkKind.REJECTED,
        environment,
        gate=gate,
        by=who,
        plan_digest=digest,
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
    left = time_left(now, agreed_approval(upgrade, gate, environment), tools.clock())
    return yes(f"{gate}: {what}: {now.told()}", seconds=left.total_seconds())


def _follows(upgrade: Upgrade, tools: Tools, gate: str, environment: str, who: str) -> Answer:
    """What an approved gate means beyond itself."""
    if gate == "sign_off":
        mark(upgrade, tools, MarkKind.SIGNED_OFF, environment, by=who, plan_digest=upgrade.run.plan_digest)
    if gate == "support":
        answer = support_accepts(upgrade, tools, by=who)
        return answer if answer.reply is not Reply.YES else yes(f"support accepted: {who}")
    return yes(f"{gate} approved by {who}")

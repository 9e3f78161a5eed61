"""What people answered at a gate, written down with their name and the plan digest they saw."""

from __future__ import annotations

from collections.abc import Mapping

from changeover.domain.plan import Mode
from changeover.domain.record import MarkKind
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


def record_answer(
    upgrade: Upgrade,
    tools: Tools,
    *,
    gate: str,
    environment: str,
    asked: tuple[str, ...],
    option: str,
    responder: Mapping[str, str] | None,
) -> Answer:
    """Only a named person counts, and never the one who requested the run; anything else is a "no"."""
    who = str((responder or {}).get("id") or "")
    if who not in asked:
        return no(f"{gate}: answered by {who or 'nobody'}, asked were {', '.join(asked)}")
    if gate == "plan" and who == upgrade.run.requested_by:
        return no(f"{gate}: {who} requested this run and cannot approve it")
    approved = option == "Approve"
    digest = upgrade.run.plan_digest
    mark(
        upgrade,
        tools,
        MarkKind.APPROVED if approved else MarkKind.REJECTED,
        environment,
        gate=gate,
        by=who,
        plan_digest=digest,
    )
    if upgrade.mode in (Mode.IMPLEMENT, Mode.BACK_OUT):
        tell_cmdb(
            upgrade,
            tools,
            "note",
            f"answer-{gate}-{environment}-{option}",
            text=f"{gate} {environment}: {option} by {who}, plan {digest[:12]}",
        )
    if not approved:
        return no(f"{gate} rejected by {who}")
    if gate == "sign_off":
        mark(upgrade, tools, MarkKind.SIGNED_OFF, environment, by=who, plan_digest=digest)
    if gate == "support":
        return _support(upgrade, tools, who)
    return yes(f"{gate} approved by {who}")


def no_answer(
    upgrade: Upgrade,
    tools: Tools,
    *,
    gate: str,
    environment: str,
    asked: tuple[str, ...],
) -> Answer:
    """Silence is a "no"."""
    mark(
        upgrade,
        tools,
        MarkKind.REJECTED,
        environment,
        gate=gate,
        by="nobody: no answer in time",
        plan_digest=upgrade.run.plan_digest,
    )
    return no(f"{gate}: no answer in time from {', '.join(asked)}")


def _support(upgrade: Upgrade, tools: Tools, who: str) -> Answer:
    answer = support_accepts(upgrade, tools, by=who)
    return answer if answer.reply is not Reply.YES else yes(f"support accepted: {who}")

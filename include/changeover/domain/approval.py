"""Who may answer at a gate, and whether enough of them said yes to this very plan text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from changeover.domain.change import ChangeModel
from changeover.domain.plan import Approval, Mode, Plan
from changeover.domain.record import Mark, MarkKind

LETS_BEGIN = ("plan", "go_no_go")
"""Gates that let the change begin: who asked for the change answers at none of them."""


@dataclass(frozen=True)
class Tally:
    """The answers to one request so far."""

    may_answer: tuple[str, ...]
    needed: int
    approved: tuple[str, ...] = ()
    rejected_by: str = ""
    asked_at: datetime | None = None
    by_rule: bool = False
    """The plan's own rule said yes, since nobody answered in time."""

    @property
    def possible(self) -> bool:
        return len(self.may_answer) >= self.needed

    @property
    def reached(self) -> bool:
        return not self.rejected_by and (self.by_rule or len(self.approved) >= self.needed)

    @property
    def open(self) -> bool:
        """Asked, and neither decided nor rejected yet."""
        return self.asked_at is not None and not self.reached and not self.rejected_by

    def told(self) -> str:
        said = f"; yes from {', '.join(self.approved)}" if self.approved else ""
        return f"{len(self.approved)} of {self.needed} approvals{said}"


def approval_of(plan: Plan, gate: str, environment: str = "") -> Approval | None:
    """The plan's entry behind a gate; None where it names nobody and the rule decides."""
    if gate == "plan":
        return plan.approved_by
    if gate == "support":
        return plan.support.accepted_by
    if gate == "hypercare":
        return plan.kept_by
    lane = plan.environment(environment)
    return lane.go_no_go if gate == "go_no_go" else lane.sign_off


def asked_ahead(plan: Plan, mode: Mode) -> bool:
    """Whether a rehearsal ends with the question that would otherwise be asked in the night.

    Of a plan that starts by itself, unless it was approved once for all.
    """
    return mode is Mode.REHEARSE and plan.unattended is not None and plan.change.model is not ChangeModel.STANDARD


def barred(gate: str, *requesters: str) -> tuple[str, ...]:
    """Who cannot answer although named: the plan's requester, and whoever started the run."""
    return tuple(sorted({who for who in requesters if who})) if gate in LETS_BEGIN else ()


def tally(
    approval: Approval,
    marks: Sequence[Mark],
    *,
    gate: str,
    environment: str = "",
    digest: str,
    barred: Collection[str] = (),
) -> Tally:
    """Count the answers since the gate was last asked, oldest first.

    A person counts once however often they say yes, an approval of another plan text counts for nothing, and a
    rejection undoes the approvals before it.
    """
    may_answer = tuple(who for who in approval.by if who not in barred)
    approved: dict[str, None] = {}
    rejected, asked_at, by_rule = "", None, False
    for mark in marks:
        if mark.data.get("gate") != gate or mark.environment != environment:
            continue
        who = str(mark.data.get("by") or "")
        if mark.kind is MarkKind.ASKED:
            approved, rejected, asked_at, by_rule = {}, "", mark.at, False
        elif mark.kind is MarkKind.REJECTED:
            approved, rejected, by_rule = {}, who or "nobody", False
        elif mark.kind is MarkKind.APPROVED and mark.data.get("plan_digest") == digest:
            rejected, by_rule = "", by_rule or bool(mark.data.get("rule"))
            if who in may_answer:
                approved[who] = None
    return Tally(may_answer, approval.quorum, tuple(approved), rejected, asked_at, by_rule)

"""What a run took or was let do for its time, and what became of it: told at closeout, so that nothing stays behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changeover.domain.finding import Finding
from changeover.domain.plan import Plan
from changeover.domain.record import Mark, MarkKind
from changeover.domain.retention import ProvenPoint
from changeover.domain.run_view import EnvironmentView, utc
from changeover.domain.settlement import closed_by
from changeover.domain.taken import outstanding

_HOW = {"commit": "committed", "stand_down": "stood down", "back_out": "backed out", "reopen": "reopened"}
"""Playbook that gave it back → in words."""


@dataclass(frozen=True)
class Taken:
    """`open` is true for what has to be given back and was not."""

    environment: str
    what: str
    since: datetime | None
    fate: str
    open: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "what": self.what,
            "since": utc(self.since) if self.since else None,
            "fate": self.fate,
            "open": self.open,
        }


def taken_for(
    plan: Plan | None,
    environments: Sequence[EnvironmentView],
    findings: Iterable[Finding],
    points: Iterable[ProvenPoint],
) -> tuple[Taken, ...]:
    """Everything: traffic and locks, waivers that let it go on, permits in a freeze, restore points."""
    return (
        *traffic(environments),
        *_waivers(findings),
        *_permits(plan),
        *(_point(point) for point in points),
    )


def traffic(environments: Sequence[EnvironmentView]) -> tuple[Taken, ...]:
    """Of every environment whose traffic was closed since it was last given back."""
    return tuple(taken for view in environments for taken in _traffic(view))


def _traffic(view: EnvironmentView) -> Iterator[Taken]:
    taken = [mark for mark in view.marks if mark.kind is MarkKind.TAKEN]
    if not taken:
        return
    since, hosts = taken[-1].at, dict.fromkeys(mark.host for mark in taken)
    names = dict.fromkeys(str(name) for mark in taken for name in mark.data.get("names") or ())
    named = f" ({', '.join(names)})" if names else ""
    what = f"traffic closed and locks held on {', '.join(hosts)}{named}"
    ends = [m for m in view.marks if m.kind is MarkKind.GIVEN_BACK and m.at >= since]
    if outstanding(view.marks):
        closed = closed_by(view.marks)
        yield Taken(view.name, what, since, f"not given back{f'; closed by {closed}' if closed else ''}", open=True)
    elif ends:
        by = _HOW.get(str(ends[-1].data.get("by")), str(ends[-1].data.get("by")))
        yield Taken(view.name, what, since, f"given back: {by}, {utc(ends[-1].at)}")


def _waivers(findings: Iterable[Finding]) -> Iterator[Taken]:
    """Each waiver once, with what it let pass."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.waived:
            found.setdefault(finding.waived.waiver, []).append(finding)
    for name, each in sorted(found.items()):
        waived, places = each[0].waived, sorted({finding.environment for finding in each if finding.environment})
        if waived is None:
            continue
        subjects = ", ".join(dict.fromkeys(f"{finding.key} ({finding.subject})" for finding in each))
        what = f"waiver {name} by {waived.by} for {subjects}: {waived.reason}"
        yield Taken(", ".join(places), what, None, f"counts until {waived.until}; withdraw it, its work is done")


def _permits(plan: Plan | None) -> Iterator[Taken]:
    for permit in plan.freeze_permits if plan else ():
        what = f"permit of {permit.by} in freeze {permit.freeze}: {permit.reason}"
        yield Taken(", ".join(permit.environments), what, None, "holds for this plan alone; ends with it")


def _point(point: ProvenPoint) -> Taken:
    return Taken(point.environment, f"restore point {point.label}", point.proven_at, f"kept {point.retention.told()}")


def not_given_back(environments: Sequence[EnvironmentView]) -> str:
    """The exit condition: why the run cannot close; "" when everything is open again."""
    return "; ".join(f"{taken.environment}: {taken.what}" for taken in traffic(environments) if taken.open)


def survey_told(marks: Sequence[Mark]) -> dict[str, Any] | None:
    """The client's answer; None while nobody was asked."""
    asked = [mark for mark in marks if mark.kind is MarkKind.SURVEY_ASKED]
    if not asked:
        return None
    answers = [mark for mark in marks if mark.kind is MarkKind.SURVEY_ANSWERED]
    scores = {key: value for key, value in answers[0].data.items() if key != "comment"} if answers else {}
    return {
        "asked_at": utc(asked[0].at),
        "answered_at": utc(answers[0].at) if answers else None,
        "scores": scores,
        "comment": str(answers[0].data.get("comment") or "") if answers else "",
    }

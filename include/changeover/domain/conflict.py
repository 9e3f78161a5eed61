"""Who works on what, when, over all plans; and where two of them, or one and the calendar, do not go together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import combinations, islice, takewhile

from changeover.domain.freeze import Freezes, freezes_of, frozen
from changeover.domain.plan import Environment, Plan
from changeover.domain.window import AnyTime, Occurrence
from changeover.domain.window_start import offers, openings


@dataclass(frozen=True)
class Work:
    """One environment's night of one plan. `cis` are all configuration items that are touched."""

    plan: str
    client: str
    environment: str
    night: Occurrence
    cis: frozenset[str]
    people: frozenset[str]
    """Whom it cannot do without."""
    application: str = ""
    kind: str = ""
    """Of the environment."""

    @property
    def name(self) -> str:
        return f"{self.plan} {self.environment}"

    def overlaps(self, other: Work) -> bool:
        return self.night.opens < other.night.closes and other.night.opens < self.night.closes


class ConflictKind(StrEnum):
    SAME_CI = "same_ci"
    PARENT_OR_CHILD = "parent_or_child"
    ASSIGNEE_BUSY = "assignee_busy"
    OUTSIDE_WINDOW = "outside_window"
    IN_FREEZE = "in_freeze"
    TOO_MANY = "too_many"


@dataclass(frozen=True)
class Conflict:
    """`works` clash over `subject` from `begins` until `ends` (UTC)."""

    kind: ConflictKind
    subject: str
    works: tuple[str, ...]
    begins: datetime
    ends: datetime
    why: str = ""

    def told(self) -> str:
        when = f"{self.begins:%Y-%m-%d %H:%MZ} to {self.ends:%Y-%m-%d %H:%MZ}"
        why = f": {self.why}" if self.why else ""
        return f"{_WORDS[self.kind].format(self.subject)}: {' and '.join(self.works)}, {when}{why}"


_WORDS = {
    ConflictKind.SAME_CI: "{} is worked on twice",
    ConflictKind.PARENT_OR_CHILD: "{} is worked on above and below",
    ConflictKind.ASSIGNEE_BUSY: "{} is needed twice",
    ConflictKind.OUTSIDE_WINDOW: "{} has no window then",
    ConflictKind.IN_FREEZE: "{} is frozen then",
    ConflictKind.TOO_MANY: "more than {} at a time",
}


def conflicts(
    works: Sequence[Work], *, parents: Mapping[str, str] | None = None, at_most: int | None = None
) -> tuple[Conflict, ...]:
    """Between works of different plans; the environments of one plan follow each other anyway.

    `parents`: configuration item → the one it belongs to. `at_most`: how many works there are hands for.
    """
    found: list[Conflict] = []
    for one, other in combinations(sorted(works, key=_begins), 2):
        if one.plan != other.plan and one.overlaps(other):
            found += _between(one, other, parents or {})
    if at_most is not None:
        found += _too_many(works, at_most)
    return tuple(sorted(found, key=lambda each: (each.begins, each.kind, each.subject, each.works)))


def placement(
    environment: Environment, plan: Plan, begins: datetime, ends: datetime, freezes: Freezes
) -> tuple[Conflict, ...]:
    """What the calendar has against planned dates of an environment: no window then, or a freeze of the client's."""
    work = (f"{plan.dag_id} {environment.name}",)
    found = []
    if not isinstance(environment.window, AnyTime):
        nights = openings(environment.window, (), closing_after=begins, covered=plan.covered)
        night = next(nights, None)
        open_then = [each for each in (night,) if each and each.opens <= begins]
        open_then += takewhile(lambda other: other.opens <= begins, nights)  # nights may overlap
        if not any(ends <= each.closes for each in open_then):
            why = f"the next is {night.told()}" if night else "there is no further one"
            found.append(Conflict(ConflictKind.OUTSIDE_WINDOW, environment.name, work, begins, ends, why))
    if span := frozen(freezes_of(plan, environment, freezes), begins, ends):
        found.append(Conflict(ConflictKind.IN_FREEZE, environment.name, work, begins, ends, str(span)))
    return tuple(found)


def works_of(
    plan: Plan, freezes: Freezes, hosts: Mapping[str, Iterable[str]], *, after: datetime
) -> tuple[tuple[Work, ...], tuple[Conflict, ...]]:
    """The coming night of every environment after the baseline, and the earlier ones that a freeze takes away.

    An environment that may be worked on at any time has no night, and is in nobody's way by the calendar.
    """
    works, lost = [], []
    for lane in plan.lanes:
        if isinstance(lane.window, AnyTime):
            continue
        concerned = freezes_of(plan, lane, freezes)
        for offer in islice(offers(lane.window, concerned, closing_after=after, covered=plan.covered), 60):
            if not isinstance(offer.night, Occurrence):
                continue
            night = offer.night
            if not offer.hindrance:
                cis = {environment_ci(plan, lane.name), *hosts.get(lane.name, ())}
                people = needed(plan, lane)
                works.append(
                    Work(
                        plan.dag_id,
                        plan.client,
                        lane.name,
                        night,
                        frozenset(cis),
                        people,
                        plan.application,
                        lane.kind,
                    )
                )
                break
            if frozen(concerned, night.opens, night.closes):
                name = (f"{plan.dag_id} {lane.name}",)
                lost.append(
                    Conflict(ConflictKind.IN_FREEZE, lane.name, name, night.opens, night.closes, offer.hindrance)
                )
    return tuple(works), tuple(lost)


def environment_ci(plan: Plan, environment: str) -> str:
    return f"{plan.client}/{plan.application}/{environment}"


def needed(plan: Plan, lane: Environment) -> frozenset[str]:
    """Who has to be there in the night: the requester, and those whom nobody else named can stand in for."""
    asked = [approval for approval in (lane.go_no_go, lane.sign_off) if approval]
    return frozenset(
        (plan.requested_by, *(who for approval in asked if approval.quorum == len(approval.by) for who in approval.by))
    )


def _between(one: Work, other: Work, parents: Mapping[str, str]) -> Iterator[Conflict]:
    names = (one.name, other.name)
    begins, ends = max(one.night.opens, other.night.opens), min(one.night.closes, other.night.closes)
    same = one.cis & other.cis
    for ci in sorted(ci for ci in same if not same & set(_up(ci, parents))):
        yield Conflict(ConflictKind.SAME_CI, ci, names, begins, ends)
    pairs = ((one, other), (other, one))
    above = {ci for work, its in pairs for ci in work.cis if its.cis & set(_up(ci, parents))}
    for ci in sorted(above - same):
        if not set(_up(ci, parents)) & same:
            yield Conflict(ConflictKind.PARENT_OR_CHILD, ci, names, begins, ends)
    for who in sorted(one.people & other.people):
        yield Conflict(ConflictKind.ASSIGNEE_BUSY, who, names, begins, ends)


def _up(ci: str, parents: Mapping[str, str]) -> Iterator[str]:
    """Everything it belongs to; a ring ends where it began."""
    seen = {ci}
    while (above := parents.get(ci)) is not None and above not in seen:
        seen.add(above)
        yield above
        ci = above


def _too_many(works: Sequence[Work], at_most: int) -> Iterator[Conflict]:
    """Told at every start that is one too many, once."""
    for at in sorted({work.night.opens for work in works}):
        busy = [each for each in works if each.night.opens <= at < each.night.closes]
        if len(busy) > at_most:
            names = tuple(sorted(each.name for each in busy))
            ends = min(each.night.closes for each in busy)
            yield Conflict(ConflictKind.TOO_MANY, str(at_most), names, at, ends)


def _begins(work: Work) -> tuple[datetime, str]:
    return work.night.opens, work.name

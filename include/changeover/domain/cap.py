"""What plans share: how many environments may be worked on at a time, and who holds what while a lane is at work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from changeover.domain.conflict import Conflict, ConflictKind, Work, conflicts
from changeover.domain.estate import Document, Line, Name
from changeover.domain.window import Occurrence

Item = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Cap(Document):
    """So many environments at a time of those it is for; of all when it names nothing."""

    name: Name
    """What is shared, as people call it: engineers, san-frankfurt, backup-window."""
    at_most: int = Field(ge=1)
    """How many environments may be worked on at the same time."""
    reason: Line
    """Why there are no more."""
    clients: tuple[Name, ...] = ()
    """Clients it is for."""
    applications: tuple[Name, ...] = ()
    """Applications it is for."""
    kinds: tuple[Name, ...] = ()
    """Kinds of environments it is for, such as production."""
    items: tuple[Item, ...] = ()
    """Configuration items, as `calendar --json` names them; whoever works on one of them is counted."""

    def counts(self, work: Work) -> bool:
        return (
            (not self.clients or work.client in self.clients)
            and (not self.applications or work.application in self.applications)
            and (not self.kinds or work.kind in self.kinds)
            and (not self.items or bool(work.cis & set(self.items)))
        )


class Caps(Document):
    """`include/fleet/caps.yaml`."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    caps: tuple[Cap, ...] = ()
    """What plans share."""
    per_person: int | None = Field(default=None, ge=1)
    """How many environments may need the same person at a time; left out, it is told and stops nobody."""

    @model_validator(mode="after")
    def _named_once(self) -> Caps:
        names = [cap.name for cap in self.caps]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError("\n".join(f"caps: {name!r} is named twice" for name in twice))
        return self


@dataclass(frozen=True)
class Claim:
    """One lane at work: what it holds from its start until it is settled."""

    run: str
    plan: str
    client: str
    application: str
    environment: str
    kind: str
    cis: tuple[str, ...]
    people: tuple[str, ...]
    since: datetime

    @property
    def place(self) -> tuple[str, str]:
        return self.run, self.environment

    @property
    def told(self) -> str:
        return f"{self.plan} {self.environment} (at work since {self.since:%Y-%m-%d %H:%MZ}, run {self.run})"

    def work(self) -> Work:
        """As the calendar sees it: from its start, with no end in sight."""
        night = Occurrence(self.since.date(), self.since, _NEVER, "UTC")
        return Work(
            self.plan,
            self.client,
            self.environment,
            night,
            frozenset(self.cis),
            frozenset(self.people),
            self.application,
            self.kind,
        )


_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def parents_of(claims: Sequence[Claim]) -> dict[str, str]:
    """Host → the environment it belongs to: the first item of a claim is the environment, the others are in it."""
    return {host: claim.cis[0] for claim in claims for host in claim.cis[1:]}


def hindrances(wanted: Claim, held: Sequence[Claim], caps: Caps) -> tuple[str, ...]:
    """Why a lane has to wait: others at work on its items, or above or below them; a cap that is full; its people."""
    others = [claim for claim in held if claim.place != wanted.place]
    by_name = {claim.work().name: claim for claim in others}
    mine = wanted.work()
    found = conflicts([mine, *(claim.work() for claim in others)], parents=parents_of([wanted, *others]))
    told = [
        f"{each.subject} {_WHY[each.kind]} {by_name[other].told}"
        for each in found
        if each.kind in _WHY and mine.name in each.works
        for other in each.works
        if other in by_name
    ]
    return (*dict.fromkeys(told), *_full(wanted, others, caps), *_busy(wanted, others, caps))


_WHY = {
    ConflictKind.SAME_CI: "is being worked on by",
    ConflictKind.PARENT_OR_CHILD: "belongs together with what is being worked on by",
}


def _full(wanted: Claim, others: Sequence[Claim], caps: Caps) -> Iterator[str]:
    for cap in caps.caps:
        if not cap.counts(wanted.work()):
            continue
        taken = [claim for claim in others if cap.counts(claim.work())]
        if len(taken) >= cap.at_most:
            yield f"{cap.name} allows {cap.at_most} at a time ({cap.reason}), taken by {_names(taken)}"


def _busy(wanted: Claim, others: Sequence[Claim], caps: Caps) -> Iterator[str]:
    if caps.per_person is None:
        return
    for who in wanted.people:
        taken = [claim for claim in others if who in claim.people]
        if len(taken) >= caps.per_person:
            yield f"{who} is needed by {_names(taken)}"


def cap_conflicts(works: Sequence[Work], caps: Caps) -> tuple[Conflict, ...]:
    """Where more coming nights overlap than a cap allows, told at every start that is one too many."""
    found = []
    for cap in caps.caps:
        counted = [work for work in works if cap.counts(work)]
        for each in conflicts(counted, at_most=cap.at_most):
            if each.kind is ConflictKind.TOO_MANY:
                subject = f"{cap.at_most} ({cap.name})"
                found.append(Conflict(each.kind, subject, each.works, each.begins, each.ends, cap.reason))
    return tuple(found)


def _names(claims: Sequence[Claim]) -> str:
    return ", ".join(claim.told for claim in claims)


WAIT = timedelta(seconds=30)
"""Between two looks of a lane that waits."""
LONGEST_WAIT = timedelta(hours=4)
"""For a lane whose environment may be worked on at any time; a window ends the waiting of the others."""

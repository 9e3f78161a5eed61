"""Freezes: times in which a client wants nothing changed, on the client's wall clock, and who may permit it yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from changeover.domain import recurrence
from changeover.domain.estate import Document, Name
from changeover.domain.plan import Environment, FreezePermit, Line, Plan
from changeover.domain.wall_clock import Choices, local_text, moment
from changeover.domain.window import Day, Rule, WallTime, known_zone
from changeover.domain.zones import EVE, disagreement

CiClass = Literal["environment", "app_instance", "host", "customisation", "integration"]
"""Classes of the CMDB. An upgrade touches an environment, its hosts, and the application's instances on them; the
client's customisations and integrations where the plan expects some."""
_MIDNIGHT = time(0, 0)  # a bare clock time has no zone; the freeze names one
_FROM, _UNTIL = Choices("at_change", "first"), Choices("later", "second")
"""A freeze is never shorter for a change of the clocks."""


@dataclass(frozen=True)
class FrozenSpan:
    """One time of a freeze: from `begins` (included) to `ends` (excluded), both UTC."""

    freeze: str
    begins: datetime
    ends: datetime
    zone: str
    reason: str

    def overlaps(self, opens: datetime, closes: datetime) -> bool:
        """An instant is asked for by `opens` alone."""
        return self.begins <= opens < self.ends or (opens < self.ends and closes > self.begins)

    def __str__(self) -> str:
        local = f"{local_text(self.begins, self.zone)} to {local_text(self.ends, self.zone)} {self.zone}"
        in_utc = f"{self.begins:%Y-%m-%d %H:%MZ} to {self.ends:%Y-%m-%d %H:%MZ}"
        return f"freeze {self.freeze} ({self.reason}): {local} = {in_utc}"


class Frozen(Document):
    """What every freeze has."""

    name: Name
    """Name by which a plan's permit and people speak of it."""
    zone: str
    """IANA time zone of the client's wall clock, such as Europe/Berlin."""
    reason: Line
    """Why nothing is to be changed."""
    environments: tuple[Name, ...] = ()
    """Environments it is for; all of the client's when empty."""
    ci_classes: tuple[CiClass, ...] = ()
    """Classes of configuration items it is for; all when empty."""
    may_permit: tuple[Line, ...] = ()
    """Roles of participants who may permit an upgrade in it, each with a reason in the plan; nobody when empty."""
    start: WallTime = _MIDNIGHT
    """Local time on the first day from which it holds, in quotes."""
    end: WallTime | None = None
    """Local time on the last day until which it holds, in quotes; the whole day when left out."""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return known_zone(value)

    def span(self, first: date, last: date) -> FrozenSpan:
        begins = moment(datetime.combine(first, self.start), self.zone, _FROM, end="start").instant
        until = (
            datetime.combine(last + timedelta(days=1), _MIDNIGHT)
            if self.end is None
            else datetime.combine(last, self.end)
        )
        ends = moment(until, self.zone, _UNTIL, end="end").instant
        if begins is None or ends is None or ends <= begins:
            raise ValueError("end: the freeze ends before it begins")
        return FrozenSpan(self.name, begins, ends, self.zone, self.reason)

    def concerns(self, environment: str, classes: frozenset[str]) -> bool:
        return (not self.environments or environment in self.environments) and (
            not self.ci_classes or bool(classes & set(self.ci_classes))
        )


class DatedFreeze(Frozen):
    """Local days, both included."""

    kind: Literal["dated"]
    """Once, by date."""
    first: Day
    """First local day."""
    last: Day
    """Last local day; it belongs to the freeze."""

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> DatedFreeze:
        if self.last < self.first:
            raise ValueError("last: lies before first")
        self.span(self.first, self.last)
        return self

    def spans(self, opens: datetime, closes: datetime) -> Iterator[FrozenSpan]:
        """Those of its times that overlap with a time."""
        span = self.span(self.first, self.last)
        if span.overlaps(opens, closes):
            yield span


class RecurringFreeze(Frozen):
    """Begins on the days of a rule, and lasts some days."""

    kind: Literal["recurring"]
    """Again and again, by a rule."""
    rule: Rule
    """Rule of RFC 5545 for the first days, such as `FREQ=MONTHLY;BYMONTHDAY=-3`."""
    since: Day
    """Local date from which the rule counts."""
    days: Annotated[int, Field(ge=1, le=366)] = 1
    """How many local days it lasts."""

    @model_validator(mode="after")
    def _gives_days(self) -> RecurringFreeze:
        first = next(self._first_days(), None)
        if first is None:
            raise ValueError(f"rule: gives no day from {self.since} on")
        self.span(first, first + timedelta(days=self.days - 1))
        return self

    def spans(self, opens: datetime, closes: datetime) -> Iterator[FrozenSpan]:
        """Those of its times that overlap with a time."""
        length = timedelta(days=self.days - 1)
        for first in self._first_days(not_before=(opens - 2 * EVE).date() - length):
            if first > (closes + 2 * EVE).date():
                return
            if first + length >= (opens - 2 * EVE).date() and (span := self.span(first, first + length)).overlaps(
                opens, closes
            ):
                yield span

    def _first_days(self, *, not_before: date = date.min) -> Iterator[date]:
        return recurrence.days(
            self.rule, since=self.since, start=self.start, zone_name=self.zone, not_before=not_before
        )


Freeze = Annotated[DatedFreeze | RecurringFreeze, Field(discriminator="kind")]


class FreezeCalendar(Document):
    """`include/freezes/<client>.yaml`."""

    schema_version: Literal[1]
    """Version of this format."""
    client: Name
    """Client, as the file is named and as plans know it."""
    freezes: tuple[Freeze, ...] = ()
    """The client's freezes."""

    @model_validator(mode="after")
    def _named_once(self) -> FreezeCalendar:
        names = [freeze.name for freeze in self.freezes]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError("\n".join(f"freezes: {name!r} is named twice" for name in twice))
        return self


Freezes = Sequence[DatedFreeze | RecurringFreeze]


def touched_classes(plan: Plan) -> frozenset[str]:
    """Classes of configuration items that the upgrade of an environment touches."""
    expected = plan.expected
    also = (("customisation", expected.customisations), ("integration", expected.integrations))
    return frozenset({"environment", "app_instance", "host", *(name for name, there in also if there)})


def freezes_of(plan: Plan, environment: Environment, freezes: Freezes) -> tuple[DatedFreeze | RecurringFreeze, ...]:
    """Those that concern an environment of the plan and are not permitted away."""
    classes = touched_classes(plan)
    permitted = {
        permit.freeze
        for permit in plan.freeze_permits
        if not permit.environments or environment.name in permit.environments
    }
    return tuple(
        freeze
        for freeze in freezes
        if freeze.concerns(environment.name, classes)
        and not (freeze.name in permitted and not permit_faults(plan, freezes, names={freeze.name}))
    )


def frozen(freezes: Freezes, opens: datetime, closes: datetime) -> FrozenSpan | None:
    """The first time of these freezes that overlaps with a time, or holds at an instant (`closes` = `opens`)."""
    spans = (span for freeze in freezes for span in freeze.spans(opens, closes))
    return min(spans, key=lambda span: span.begins, default=None)


def freezes_differ(freezes: Freezes, opens: datetime, closes: datetime) -> str:
    """Where the machine's zone data and ours disagree about a freeze's zone around a time."""
    told = (disagreement(name, opens, closes) for name in sorted({freeze.zone for freeze in freezes}))
    return next((text for text in told if text), "")


def permit_faults(
    plan: Plan, freezes: Freezes, *, names: set[str] | None = None
) -> tuple[tuple[tuple[str | int, ...], str], ...]:
    """Why a permit of the plan does not hold, each with its path."""
    known = {freeze.name: freeze for freeze in freezes}
    return tuple(
        (("freeze_permits", n, key), message)
        for n, permit in enumerate(plan.freeze_permits)
        if names is None or permit.freeze in names
        for key, message in _permit_faults(plan, permit, known)
    )


def _permit_faults(plan: Plan, permit: FreezePermit, known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    freeze = known.get(permit.freeze)
    if freeze is None:
        yield "freeze", f"{plan.client} has no freeze {permit.freeze!r}; known: {', '.join(sorted(known)) or 'none'}"
        return
    role = next((person.role for person in plan.participants if person.id == permit.by), None)
    if role is not None and role not in freeze.may_permit:
        may = ", ".join(freeze.may_permit) or "nobody"
        yield "by", f"{permit.by} is {role}; freeze {freeze.name!r} can be permitted by {may}"

"""Maintenance windows: local wall time plus an IANA zone, made UTC instants by the convention of `wall_clock`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from heapq import merge
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from changeover.domain import recurrence
from changeover.domain.estate import Document
from changeover.domain.wall_clock import YEARS, Choices, Doubled, Note, Skipped, local_text, moment, span_text
from changeover.domain.zones import zone

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def clock_time(value: Any) -> Any:
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value, re.ASCII):
        raise ValueError(f"{value!r} is not a time of day 'HH:MM' in quotes")
    return time(int(value[:2]), int(value[3:]))  # a bare clock time has no zone; the window names one


def calendar_day(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value, re.ASCII):
        raise ValueError(f"{value!r} is not a day such as 2026-11-28")
    try:
        day = date.fromisoformat(value)
    except ValueError as exc:
        raise ValueError(f"{value} is not a day of the calendar") from exc
    if day.year not in YEARS:
        raise ValueError(f"{value} is out of range: years {YEARS[0]} to {YEARS[-1]} are known")
    return day


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"([0-9]{1,5})([smhd])", value, re.ASCII) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration such as '90s', '30m', '4h' or '2d'")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def duration_text(value: timedelta) -> str:
    """As it is written in a plan: the largest unit that says it exactly."""
    seconds = int(value.total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


WallTime = Annotated[
    time,
    BeforeValidator(clock_time),
    PlainSerializer(lambda value: f"{value:%H:%M}", when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "examples": ["22:00"]}),
]
"""Time of day on the wall, in quotes."""
Day = Annotated[date, BeforeValidator(calendar_day), WithJsonSchema({"type": "string", "format": "date"})]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(duration_text, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,5}[smhd]$", "examples": ["90s", "30m", "4h", "2d"]}),
]
Span = Annotated[Duration, Field(gt=timedelta(0))]
"""A duration that is not nothing."""
ONE_END = ConfigDict(json_schema_extra={"oneOf": [{"required": ["end"]}, {"required": ["duration"]}]})
"""For editors: `end` or `duration`, never both."""


def known_zone(value: str) -> str:
    """The name itself; raise `UnknownZoneError` (a ValueError) when the pinned zone data has none of that name."""
    return zone(value).key


def known_rule(value: str) -> str:
    """The rule as the rest of the product writes it; raise ValueError with every fault of it."""
    if faults := recurrence.rule_faults(value):
        raise ValueError("; ".join(faults))
    return recurrence.normal_rule(value)


Rule = Annotated[
    str, BeforeValidator(lambda value: known_rule(value) if isinstance(value, str) else value), Field(max_length=300)
]
"""A rule of RFC 5545 that gives days, such as FREQ=MONTHLY;BYDAY=3SA."""


class AnyTime(Document):
    """The client agreed that this environment may be worked on at any time; the reason is kept."""

    kind: Literal["any_time"]
    """No window was agreed on purpose."""
    reason: Annotated[str, Field(min_length=3, max_length=500)]
    """Why work at any time is agreed, and by whom."""


@dataclass(frozen=True)
class Occurrence:
    """One night of a window: from `opens` (included) to `closes` (excluded), both UTC. `day` is its local date."""

    day: date
    opens: datetime
    closes: datetime
    zone: str
    notes: tuple[Note, ...] = field(default=(), compare=False)

    @property
    def length(self) -> timedelta:
        """Elapsed time, which on nights when the clocks change is not what the wall clock says."""
        return self.closes - self.opens

    def __str__(self) -> str:
        return f"{self.opens:%Y-%m-%d %H:%MZ} to {self.closes:%Y-%m-%d %H:%MZ}"

    def told(self) -> str:
        """In the client's wall clock and in UTC."""
        opens, closes = local_text(self.opens, self.zone), local_text(self.closes, self.zone)
        return f"{opens} to {closes} {self.zone} = {self} ({span_text(self.length)})"


@dataclass(frozen=True)
class LeftOut:
    """A day on which the window would have opened, and why it does not."""

    day: date
    reason: str
    notes: tuple[Note, ...] = ()


class Clocked(Document):
    """What every window by the clock has."""

    model_config = ONE_END

    zone: str
    """IANA time zone of the client's wall clock, such as Europe/Berlin."""
    start: WallTime
    """Local time of opening, in quotes."""
    end: WallTime | None = None
    """Local time of closing, in quotes; at or before `start` it is on the next day. This or `duration`."""
    duration: Span | None = None
    """How long it stays open, as time that passes, whatever the clocks do. This or `end`."""
    late_start_tolerance: Duration = timedelta(minutes=30)
    """How long after the opening a start is still a start; later the window is missed."""
    on_skipped: Skipped | None = None
    """Where the clocks skip `start` or `end`: by the offset before the change (02:30 becomes 03:30), at the change, or
    leave the night out. A plan with such a night is approved only once this is decided."""
    on_doubled: Doubled | None = None
    """Where `start` or `end` happens twice: the first time, the second, or leave the night out. A plan with such a
    night is approved only once this is decided."""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return known_zone(value)

    @model_validator(mode="after")
    def _one_end(self) -> Clocked:
        if self.end is None and self.duration is None:
            raise ValueError("end: is missing; say end or duration")
        if self.end is not None and self.duration is not None:
            raise ValueError("duration: excludes end; say one of them")
        return self

    def on_day(self, day: date) -> Occurrence | LeftOut:
        """The night that begins on a local date."""
        choices = Choices(self.on_skipped, self.on_doubled)
        opens = moment(datetime.combine(day, self.start), self.zone, choices, end="start")
        notes = (opens.note,) if opens.note else ()
        if opens.instant is None:
            return LeftOut(day, str(opens.note), notes)
        if self.end is None:
            return Occurrence(day, opens.instant, opens.instant + (self.duration or timedelta(0)), self.zone, notes)
        last = day if self.end > self.start else day + timedelta(days=1)
        closes = moment(datetime.combine(last, self.end), self.zone, choices, end="end")
        notes = (*notes, closes.note) if closes.note else notes
        if closes.instant is None:
            return LeftOut(day, str(closes.note), notes)
        if closes.instant <= opens.instant:
            return LeftOut(day, _closes_first(notes), notes)
        return Occurrence(day, opens.instant, closes.instant, self.zone, notes)


def _closes_first(notes: tuple[Note, ...]) -> str:
    """Which time the change of the clocks has moved, and what can be said in the plan instead."""
    moved = f": {'; '.join(map(str, notes))}" if notes else ""
    choices = " or ".join(f"another {choice}" for choice in dict.fromkeys(note.choice for note in notes))
    return (
        f"the window closes before it opens once both are turned to UTC{moved}; "
        f"say another time{f', or {choices}, in the plan' if choices else ''}"
    )


class DatedWindow(Clocked):
    """One night. An `end` is wall clock, never start plus duration."""

    kind: Literal["dated"]
    """One night, by date."""
    on: Day
    """Local date on which the window opens."""

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> DatedWindow:
        found = self.on_day(self.on)
        if isinstance(found, LeftOut):
            raise ValueError(found.reason)
        return self

    @property
    def night(self) -> Occurrence:
        found = self.on_day(self.on)
        if isinstance(found, LeftOut):  # refused when the plan was read
            raise ValueError(found.reason)
        return found

    def instants(self) -> tuple[datetime, datetime]:
        """Opening and closing in UTC."""
        return self.night.opens, self.night.closes

    def local_days(self) -> tuple[date, date]:
        """Local dates of the opening and of the closing."""
        opens, closes = (instant.astimezone(zone(self.zone)).date() for instant in self.instants())
        return opens, closes

    def clock_notes(self) -> tuple[str, ...]:
        """Where the clocks change at the opening or closing: which instant is meant, and which other one could be."""
        return tuple(map(str, self.night.notes))

    def nights(self, *, closing_after: datetime) -> Iterator[Occurrence | LeftOut]:
        """The one night, whether or not it is over."""
        yield self.night


class RecurringWindow(Clocked):
    """The same hours on the days of a rule, with exceptions. Rules count local dates, never UTC's."""

    kind: Literal["recurring"]
    """The days of a rule."""
    rule: Rule
    """Rule of RFC 5545 for the days, such as `FREQ=MONTHLY;BYDAY=3SA` (each third Saturday)."""
    since: Day
    """Local date from which the rule counts; it opens on this day only if the rule says so."""
    left_out: tuple[Day, ...] = ()
    """Local dates of the rule on which it does not open."""
    added: tuple[Day, ...] = ()
    """Local dates beside the rule on which it opens as well."""

    @model_validator(mode="after")
    def _gives_days(self) -> RecurringWindow:
        last = max((*self.left_out, *self.added), default=None)
        given = set()
        for day in self._rule_days():
            given.add(day)
            if last is None or day >= last:
                break
        faults = [
            f"left_out.{n}: {day} is not a day of the rule" for n, day in enumerate(self.left_out) if day not in given
        ]
        faults += [f"added.{n}: {day} is a day of the rule already" for n, day in enumerate(self.added) if day in given]
        if not given and not self.added:
            faults.append(f"rule: gives no day from {self.since} on")
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def nights(self, *, closing_after: datetime) -> Iterator[Occurrence | LeftOut]:
        """Those that close after an instant, in their order, and the days that were left out among them."""
        first = closing_after.date() - timedelta(days=3) - (self.duration or timedelta(0))
        days = (day for day in merge(self._rule_days(not_before=first), sorted(self.added)) if day >= first)
        for night in distinct(self._on(day) for day in days):
            if isinstance(night, LeftOut) or night.closes > closing_after:
                yield night

    def _on(self, day: date) -> Occurrence | LeftOut:
        return LeftOut(day, "left out by the plan") if day in self.left_out else self.on_day(day)

    def _rule_days(self, *, not_before: date = date.min) -> Iterator[date]:
        return recurrence.days(
            self.rule, since=self.since, start=self.start, zone_name=self.zone, not_before=not_before
        )


def distinct(nights: Iterator[Occurrence | LeftOut]) -> Iterator[Occurrence | LeftOut]:
    """Where a zone skipped a whole day, that day's night is the next one's, which has its right date."""
    held: Occurrence | LeftOut | None = None
    for night in nights:
        same = isinstance(held, Occurrence) and isinstance(night, Occurrence) and held.opens == night.opens
        if held is not None and not same:
            yield held
        held = night
    if held is not None:
        yield held


Window = Annotated[AnyTime | DatedWindow | RecurringWindow, Field(discriminator="kind")]

"""Maintenance windows: local wall time plus an IANA zone, resolved to UTC instants."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, field_validator, model_validator

from changeover.domain.estate import Document

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ZONE = re.compile(r"UTC|[A-Z][A-Za-z]+(/[A-Za-z0-9_+-]+){1,2}")


def _clock(value: Any) -> Any:
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value, re.ASCII):
        raise ValueError(f"{value!r} is not a time of day 'HH:MM' in quotes")
    return time(int(value[:2]), int(value[3:]))  # a bare clock time has no zone; the window names one


def _day(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value, re.ASCII):
        raise ValueError(f"{value!r} is not a day such as 2026-11-28")
    try:
        return date.fromisoformat(value)
    except ValueError as exc:
        raise ValueError(f"{value} is not a day of the calendar") from exc


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
    BeforeValidator(_clock),
    PlainSerializer(lambda value: f"{value:%H:%M}", when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "examples": ["22:00"]}),
]
"""Time of day on the wall, in quotes."""
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(duration_text, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,5}[smhd]$", "examples": ["90s", "30m", "4h", "2d"]}),
]
Span = Annotated[Duration, Field(gt=timedelta(0))]
"""A duration that is not nothing."""


class AnyTime(Document):
    """The client agreed that this environment may be worked on at any time; the reason is kept."""

    kind: Literal["any_time"]
    """No window was agreed on purpose."""
    reason: Annotated[str, Field(min_length=3, max_length=500)]
    """Why work at any time is agreed, and by whom."""


class DatedWindow(Document):
    """One night: `end` at or before `start` means the next day. Ends are wall clock, never start plus duration."""

    kind: Literal["dated"]
    """One night, by date."""
    zone: str
    """IANA time zone of the client's wall clock, such as Europe/Berlin."""
    on: Day
    """Local date on which the window opens."""
    start: WallTime
    """Local time of opening, in quotes."""
    end: WallTime
    """Local time of closing, in quotes; at or before `start` it is on the next day."""
    late_start_tolerance: Duration = timedelta(minutes=30)
    """How long after the opening a start is still a start; later the window is missed."""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        """Abbreviations (CET) and machine-dependent names (localtime) are refused: they do not say which rules hold."""
        try:
            if _ZONE.fullmatch(value):
                ZoneInfo(value)
                return value
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
        raise ValueError(f"{value!r} is not an IANA time zone such as 'Europe/Berlin'")

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> DatedWindow:
        opens, closes = self.instants()
        if closes <= opens:
            raise ValueError("the window closes before it opens once both are turned to UTC (a change of clocks?)")
        return self

    def instants(self) -> tuple[datetime, datetime]:
        """Opening and closing in UTC. A skipped time has the offset before the change, a doubled one is its first."""
        opens, closes = self._local()
        return opens.astimezone(UTC), closes.astimezone(UTC)

    def _local(self) -> tuple[datetime, datetime]:
        zone = ZoneInfo(self.zone)
        last = self.on if self.end > self.start else self.on + timedelta(days=1)
        return datetime.combine(self.on, self.start, tzinfo=zone), datetime.combine(last, self.end, tzinfo=zone)

    def local_days(self) -> tuple[date, date]:
        """Local dates of the opening and of the closing."""
        opens, closes = self._local()
        return opens.date(), closes.date()

    def clock_notes(self) -> tuple[str, ...]:
        """Where the clocks change at the opening or closing: which instant is meant, and which other one could be."""
        notes = []
        for name, moment in zip(("start", "end"), self._local(), strict=True):
            instant = moment.astimezone(UTC)
            other = moment.replace(fold=1).astimezone(UTC)
            if instant == other:
                continue
            if instant.astimezone(moment.tzinfo).replace(tzinfo=None) != moment.replace(tzinfo=None):
                shown = instant.astimezone(moment.tzinfo)
                notes.append(
                    f"{name}: {moment:%H:%M} does not exist on {moment:%Y-%m-%d} in {self.zone}; "
                    f"{instant:%Y-%m-%d %H:%MZ} ({shown:%H:%M} local) is taken"
                )
            else:
                notes.append(
                    f"{name}: {moment:%H:%M} happens twice on {moment:%Y-%m-%d} in {self.zone}; "
                    f"the first, {instant:%Y-%m-%d %H:%MZ}, is taken, not {other:%Y-%m-%d %H:%MZ}"
                )
        return tuple(notes)


Window = Annotated[AnyTime | DatedWindow, Field(discriminator="kind")]


@dataclass(frozen=True)
class StartDecision:
    """Whether host work may start now. `missed` only when a window exists and can no longer be used."""

    may_start: bool
    missed: bool
    reason: str
    latest_safe_start: datetime | None = None


def may_start(window: Window, *, at: datetime, needs: timedelta) -> StartDecision:
    """`needs`: measured step plus measured back-out; a start that could not be undone inside the window is refused."""
    if isinstance(window, AnyTime):
        return StartDecision(True, False, f"agreed at any time: {window.reason}")
    opens, closes = window.instants()
    latest = min(closes - needs, opens + window.late_start_tolerance)
    span = f"{opens:%Y-%m-%d %H:%MZ} to {closes:%Y-%m-%d %H:%MZ}"
    if at < opens:
        return StartDecision(False, False, f"the window opens at {opens:%Y-%m-%d %H:%MZ} ({span})", latest)
    if at > closes - needs:
        return StartDecision(
            False,
            True,
            f"missed: step and back-out need {needs}, the window {span} leaves {max(closes - at, timedelta(0))}",
            latest,
        )
    if at > opens + window.late_start_tolerance:
        return StartDecision(
            False, True, f"missed: later than {window.late_start_tolerance} after the opening ({span})", latest
        )
    return StartDecision(True, False, f"inside the window {span}", latest)

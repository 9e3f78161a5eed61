"""Maintenance windows: local wall time plus an IANA zone, resolved to UTC instants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, field_validator, model_validator

from changeover.domain.estate import Document


def _clock(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"write the time in quotes as 'HH:MM'; YAML made {value!r} of it")
    try:
        return datetime.strptime(value, "%H:%M").time()  # a bare clock time has no zone; the window names one
    except ValueError as exc:
        raise ValueError(f"{value!r} is not a time of day 'HH:MM'") from exc


WallTime = Annotated[time, BeforeValidator(_clock)]


class AnyTime(Document):
    """The client agreed that this environment may be worked on at any time; the reason is kept."""

    kind: Literal["any_time"]
    reason: str = Field(min_length=3)


class DatedWindow(Document):
    """One night: `end` at or before `start` means the next day. Ends are wall clock, never start plus duration."""

    kind: Literal["dated"]
    zone: str
    on: date
    start: WallTime
    end: WallTime
    late_start_tolerance: timedelta = timedelta(minutes=30)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as exc:
            raise ValueError(f"{value!r} is not an IANA time zone such as 'Europe/Berlin'") from exc
        return value

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> DatedWindow:
        opens, closes = self.instants()
        if closes <= opens:
            raise ValueError("the window closes before it opens once both are turned to UTC (a change of clocks?)")
        return self

    def instants(self) -> tuple[datetime, datetime]:
        """Opening and closing in UTC. A skipped time uses the offset before the change, a doubled one its first occurrence."""
        zone = ZoneInfo(self.zone)
        last = self.on if self.end > self.start else self.on + timedelta(days=1)
        opens = datetime.combine(self.on, self.start, tzinfo=zone)
        closes = datetime.combine(last, self.end, tzinfo=zone)
        return opens.astimezone(UTC), closes.astimezone(UTC)


Window = Annotated[AnyTime | DatedWindow, Field(discriminator="kind")]


@dataclass(frozen=True)
class StartDecision:
    """Whether host work may start now. `missed` only when a window exists and can no longer be used."""

    may_start: bool
    missed: bool
    reason: str
    latest_safe_start: datetime | None = None


def may_start(window: Window, *, at: datetime, needs: timedelta) -> StartDecision:
    """`needs` is the measured step plus the measured back-out; a start that could not be undone inside the window is refused."""
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

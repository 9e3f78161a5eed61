"""Show windows in local time and UTC: of a plan, or of a rule that somebody tries out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

from changeover.domain import recurrence
from changeover.domain.freeze import Freezes, freezes_of
from changeover.domain.plan import Environment, Plan
from changeover.domain.runsheet import describe_window
from changeover.domain.wall_clock import local_text
from changeover.domain.window import (
    AnyTime,
    Clocked,
    LeftOut,
    Occurrence,
    calendar_day,
    clock_time,
    distinct,
    known_zone,
)
from changeover.domain.window_start import offers
from changeover.domain.zones import disagreement, zone

MOST = 1000


@dataclass(frozen=True)
class Asked:
    """A window as it was typed, right or wrong; None for what was left out."""

    zone: str | None
    start: str | None
    end: str | None
    since: str | None
    rule: str | None = None
    count: str | None = None


@dataclass(frozen=True)
class ShownNight:
    """One night with what there is to warn of, or a day without one and why."""

    night: Occurrence | LeftOut
    warnings: tuple[str, ...] = ()
    why_not: str = ""
    late_until: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """Stable: keys are added, never changed. Of a day without a night only the reason."""
        if isinstance(self.night, LeftOut):
            return {
                "day": self.night.day.isoformat(),
                "offered": False,
                "why_not": self.why_not,
                "warnings": list(self.warnings),
            }
        of = zone(self.night.zone)
        return {
            "start": _utc(self.night.opens),
            "end": _utc(self.night.closes),
            "warnings": list(self.warnings),
            "zone": self.night.zone,
            "local_start": self.night.opens.astimezone(of).isoformat(),
            "local_end": self.night.closes.astimezone(of).isoformat(),
            "seconds": int(self.night.length.total_seconds()),
            **({"offered": False, "why_not": self.why_not} if self.why_not else {"offered": True}),
        }

    def told(self) -> str:
        lines = [f"not offered on {self.night.day}: {self.why_not}"] if self.why_not else []
        if isinstance(self.night, Occurrence) and not self.why_not:
            late = f"; late start until {local_text(self.late_until, self.night.zone)}" if self.late_until else ""
            lines.append(f"{self.night.told()}{late}")
        return "\n".join((*lines, *(f"  warning: {told}" for told in self.warnings if told not in self.why_not)))


@dataclass(frozen=True)
class ShownWindow:
    """An environment's window and its nights; `refused` says why none of them may be used as things stand."""

    environment: str
    described: str
    nights: tuple[ShownNight, ...] = ()
    refused: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "window": self.described,
            "refused": self.refused or None,
            "nights": [night.as_json() for night in self.nights],
        }


def resolve_window(asked: Asked) -> tuple[tuple[ShownNight, ...], tuple[str, ...]]:
    """The nights, or every fault of what was asked. The zone data that decide are the pinned ones."""
    read: dict[str, Any] = {}
    faults = [
        *_read(read, "zone", asked.zone, known_zone),
        *_read(read, "start", asked.start, clock_time),
        *_read(read, "end", asked.end, clock_time),
        *_read(read, "from", asked.since, calendar_day),
        *_read(read, "count", asked.count or "5", _count),
        *(f"--rule: {fault}" for fault in (recurrence.rule_faults(asked.rule) if asked.rule is not None else ())),
    ]
    if faults:
        return (), tuple(faults)
    window = Clocked(zone=read["zone"], start=read["start"], end=read["end"])
    days: Iterator[date] = iter((read["from"],))
    if asked.rule is not None:
        days = recurrence.days(asked.rule, since=read["from"], start=window.start, zone_name=window.zone)
    nights = distinct(window.on_day(day) for day in days)
    return tuple(_resolved(night, window.zone) for night in islice(nights, read["count"])), ()


def _read(into: dict[str, Any], name: str, text: str | None, reader: Callable[[Any], Any]) -> Iterator[str]:
    if text is None:
        yield f"--{name}: is missing"
        return
    try:
        into[name] = reader(text)
    except ValueError as exc:
        yield f"--{name}: {exc}"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise ValueError(f"{text!r} is not a number from 1 to {MOST}")
    return int(text)


def _resolved(night: Occurrence | LeftOut, zone_name: str) -> ShownNight:
    warnings = tuple(map(str, night.notes))
    if isinstance(night, LeftOut):
        return ShownNight(night, warnings, night.reason)
    differ = disagreement(zone_name, night.opens, night.closes)
    return ShownNight(night, (*warnings, differ) if differ else warnings)


def show_windows(plan: Plan, freezes: Freezes, *, now: datetime, count: int) -> tuple[ShownWindow, ...]:
    """The coming nights of every environment, those that are not offered among them."""
    return tuple(
        _shown(plan, environment, freezes_of(plan, environment, freezes), now, count)
        for environment in plan.environments
    )


def _shown(plan: Plan, environment: Environment, freezes: Freezes, now: datetime, count: int) -> ShownWindow:
    window = environment.window
    described = describe_window(window)
    if plan.unattended and plan.unattended.window_of == environment.name:
        described += "; the upgrade starts by itself when it opens"
    if isinstance(window, AnyTime):
        return ShownWindow(environment.name, described)
    nights: list[ShownNight] = []
    offered = 0
    for offer in islice(offers(window, freezes, closing_after=now, covered=plan.covered), MOST):
        why_not = offer.hindrance
        if isinstance(offer.night, Occurrence) and offer.night.closes <= now:
            why_not = f"it was over at {offer.night.closes:%Y-%m-%d %H:%MZ}"
        late = None
        if isinstance(offer.night, Occurrence):
            late = min(offer.night.opens + window.late_start_tolerance, offer.night.closes)
        warnings = tuple(
            f"{note}{'' if note.decided else f'; decide it before the approval ({note.choice})'}"
            for note in offer.notes
        )
        nights.append(ShownNight(offer.night, warnings, why_not, late))
        offered += not why_not
        if offered == count:
            break
    return ShownWindow(environment.name, described, tuple(nights), _refused(window.zone, nights))


def _refused(zone_name: str, nights: list[ShownNight]) -> str:
    good = [shown.night for shown in nights if isinstance(shown.night, Occurrence) and not shown.why_not]
    if not good:
        return "no night is offered"
    return disagreement(zone_name, good[0].opens, good[-1].closes)


def _utc(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"

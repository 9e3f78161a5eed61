"""Windows and freezes as iCalendar (RFC 5545), for people's calendars, and what was imported as YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import yaml

from changeover.domain import recurrence
from changeover.domain.freeze import DatedFreeze, Freezes, RecurringFreeze
from changeover.domain.plan import Plan
from changeover.domain.window import AnyTime, DatedWindow, RecurringWindow, duration_text
from changeover.domain.zones import zone

if TYPE_CHECKING:
    from icalendar import Event

PRODUCT = "-//Changeover//maintenance windows//EN"
WINDOW, FREEZE = "MAINTENANCE WINDOW", "FREEZE"
CHOICES = ("on_skipped", "on_doubled")


def calendar_text(plan: Plan, freezes: Freezes, *, now: datetime) -> bytes:
    """A plan's windows and its client's freezes, one event each."""
    from icalendar import Calendar

    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    for environment in plan.environments:
        window = environment.window
        if not isinstance(window, AnyTime):
            event = _window_event(window)
            title = f"Maintenance window {environment.name}: {plan.application} {plan.to_version}, {plan.client}"
            _head(event, f"{plan.dag_id}.{environment.name}", title, WINDOW, now)
            calendar.add_component(event)
    for freeze in freezes:
        event = _freeze_event(freeze)
        _head(event, f"{plan.client}.freeze.{freeze.name}", f"Freeze {freeze.name}: {freeze.reason}", FREEZE, now)
        calendar.add_component(event)
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


def _head(event: Event, key: str, summary: str, category: str, now: datetime) -> None:
    event.add("uid", f"{key}@changeover")
    event.add("dtstamp", now.astimezone(UTC).replace(microsecond=0))
    event.add("summary", summary)
    event.add("categories", [category])


def _window_event(window: DatedWindow | RecurringWindow) -> Event:
    from icalendar import Event

    event, of = Event(), zone(window.zone)

    def local(day: date, clock: time) -> datetime:
        return datetime.combine(day, clock, tzinfo=of)

    if isinstance(window, RecurringWindow):
        given = recurrence.days(window.rule, since=window.since, start=window.start, zone_name=window.zone)
        first = next(given, None)
        if first is None:
            first, *others = sorted(window.added)
        else:
            event.add("rrule", _rrule(window.rule, window.zone))
            others = sorted(window.added)
        if window.left_out:
            event.add("exdate", [local(day, window.start) for day in window.left_out])
        if others:
            event.add("rdate", [local(day, window.start) for day in others])
    else:
        first = window.on
    event.add("dtstart", local(first, window.start))
    if window.end is None:
        event.add("duration", window.duration)
    else:
        last = first if window.end > window.start else first + timedelta(days=1)
        event.add("dtend", local(last, window.end))
    for choice in CHOICES:
        if value := getattr(window, choice):
            event.add(f"x-changeover-{choice.replace('_', '-')}", value)
    event.add("x-changeover-late-start-tolerance", duration_text(window.late_start_tolerance))
    return event


def _freeze_event(freeze: DatedFreeze | RecurringFreeze) -> Event:
    from icalendar import Event

    event = Event()
    if isinstance(freeze, RecurringFreeze):
        first = next(recurrence.days(freeze.rule, since=freeze.since, start=freeze.start, zone_name=freeze.zone))
        last = first + timedelta(days=freeze.days - 1)
        event.add("rrule", _rrule(freeze.rule, freeze.zone))
    else:
        first, last = freeze.first, freeze.last
    of, ends = zone(freeze.zone), freeze.end or time(0, 0)
    event.add("dtstart", datetime.combine(first, freeze.start, tzinfo=of))
    event.add("dtend", datetime.combine(last if freeze.end else last + timedelta(days=1), ends, tzinfo=of))
    for name, values in (("environments", freeze.environments), ("ci-classes", freeze.ci_classes)):
        if values:
            event.add(f"x-changeover-{name}", " ".join(values))
    for role in freeze.may_permit:
        event.add("x-changeover-may-permit", role)
    event.add("x-changeover-name", freeze.name)
    event.add("x-changeover-reason", freeze.reason)
    return event


def _rrule(rule: str, zone_name: str) -> dict[str, list[Any]]:
    """With UNTIL as an instant in UTC: beside a DTSTART with a time and a zone, nothing else is allowed (3.3.10)."""
    from icalendar import vRecur

    parsed: dict[str, list[Any]] = vRecur.from_ical(rule)
    if (until := recurrence.until_instant(rule, zone_name)) is not None:
        parsed["UNTIL"] = [until]
    return parsed


def windows_text(windows: Sequence[tuple[str, dict[str, Any]]], freezes: Sequence[dict[str, Any]]) -> str:
    """As YAML: every window for an environment's `window` key, freezes for the client's file."""
    return "".join(_parts(windows, freezes))


def _parts(windows: Sequence[tuple[str, dict[str, Any]]], freezes: Sequence[dict[str, Any]]) -> Iterator[str]:
    for summary, value in windows:
        yield f"# {summary}\n{_yaml({'window': value})}"
    if freezes:
        yield f"# for include/freezes/<client>.yaml\n{_yaml({'freezes': list(freezes)})}"


class _Dumper(yaml.SafeDumper):
    """Writes times of day in quotes, as plans have them."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    clock = re.fullmatch(r"[0-9]{2}:[0-9]{2}", value) is not None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if clock else None)


_Dumper.add_representer(str, _text)


def _yaml(value: Any) -> str:
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))


def freeze_lines(freezes: Sequence[Mapping[str, Any]]) -> str:
    """As they stand below `freezes:` in a client's file."""
    return "".join(f"  {line}\n" for line in _yaml([dict(freeze) for freeze in freezes]).splitlines())

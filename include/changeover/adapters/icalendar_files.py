"""iCalendar files (RFC 5545): windows and freezes out, for people's calendars, and in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from changeover.adapters.document_files import UnusableFileError, read_bytes
from changeover.domain import recurrence
from changeover.domain.freeze import DatedFreeze, Freezes, RecurringFreeze
from changeover.domain.plan import Plan
from changeover.domain.window import AnyTime, DatedWindow, RecurringWindow, duration_text
from changeover.domain.zones import UnknownZoneError, zone

if TYPE_CHECKING:
    from icalendar import Calendar, Event

PRODUCT = "-//Changeover//maintenance windows//EN"
WINDOW, FREEZE = "MAINTENANCE WINDOW", "FREEZE"
_CHOICES = ("on_skipped", "on_doubled")


@dataclass
class Found:
    """What an iCalendar file holds, as plain values of our formats; `faults` when not all of it can be carried over."""

    windows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Summary and the value of a plan's `window` key."""
    freezes: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


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
            event.add("rrule", _rrule(window.rule))
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
    for choice in _CHOICES:
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
        event.add("rrule", _rrule(freeze.rule))
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


def _rrule(rule: str) -> dict[str, list[str]]:
    from icalendar import vRecur

    parsed: dict[str, list[str]] = vRecur.from_ical(rule)
    return parsed


def read_calendar(path: Path, *, zone: str | None) -> Found:
    """Every event as a window or a freeze; never raises for the file.

    `zone`: of all-day events where the file names none.
    """
    found = Found()
    try:
        calendar = _parsed(read_bytes(path))
    except (UnusableFileError, ValueError) as exc:
        found.faults.append(str(exc))
        return found
    fallback = zone or str(calendar.get("x-wr-timezone", "")) or None
    events = list(calendar.walk("VEVENT"))
    if not events:
        found.faults.append("holds no event")
    for n, event in enumerate(events, start=1):
        summary = " ".join(str(event.get("summary", f"event {n}")).split())
        try:
            _take(found, event, summary, fallback, n)
        except ValidationError as exc:
            found.faults += [f"{summary}: {_told(error)}" for error in exc.errors(include_url=False)]
        except ValueError as exc:
            found.faults.append(f"{summary}: {exc}")
    return found


def _told(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {text}" if where else text


def _parsed(raw: bytes) -> Calendar:
    from icalendar import Calendar

    try:
        parsed = Calendar.from_ical(raw)
    except (ValueError, KeyError, IndexError) as exc:
        raise ValueError(f"is not an iCalendar file: {exc}") from exc
    if not isinstance(parsed, Calendar):
        raise ValueError("is not an iCalendar file: it holds no VCALENDAR")
    return parsed


def _take(found: Found, event: Any, summary: str, fallback: str | None, number: int) -> None:
    for name in ("recurrence-id", "exrule"):
        if event.get(name) is not None:
            raise ValueError(f"{name.upper()} cannot be carried over; write this night as a window of its own")
    if isinstance(event.get("rrule"), list):
        raise ValueError("has more than one RRULE")
    if event.get("dtstart") is None:
        raise ValueError("has no DTSTART")
    start = event["dtstart"].dt
    if not isinstance(start, datetime) or FREEZE in _categories(event):
        value = _freeze(event, start, summary, fallback, number)
        model = RecurringFreeze if value["kind"] == "recurring" else DatedFreeze
        model.model_validate(value)
        found.freezes.append(value)
        return
    value = _window(event, start)
    (RecurringWindow if value["kind"] == "recurring" else DatedWindow).model_validate(value)
    found.windows.append((summary, value))


def _categories(event: Any) -> set[str]:
    told = event.get("categories")
    parts = told if isinstance(told, list) else [told] if told is not None else []
    return {str(name).upper() for part in parts for name in getattr(part, "cats", [])}


def _zone_of(event: Any, name: str) -> str:
    """The IANA zone of a property; Windows' own names are translated."""
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

    told = str(event[name].params.get("TZID", ""))
    if not told:
        in_utc = event[name].dt.tzinfo is not None
        raise ValueError(
            f"{name.upper()} {'is in UTC' if in_utc else 'names no zone'}; a window is local time in the client's zone"
        )
    named = WINDOWS_TO_OLSON.get(told, told)
    zone(named)
    return str(named)


def _window(event: Any, start: datetime) -> dict[str, Any]:
    name = _zone_of(event, "dtstart")
    value: dict[str, Any] = {"zone": name, "start": f"{start:%H:%M}", **_end(event, start, name)}
    for choice in _CHOICES:
        if (told := event.get(f"x-changeover-{choice.replace('_', '-')}")) is not None:
            value[choice] = str(told)
    if (late := event.get("x-changeover-late-start-tolerance")) is not None:
        value["late_start_tolerance"] = str(late)
    added = _days(event, "rdate")
    if event.get("rrule") is None and not added:
        return {"kind": "dated", **value, "on": start.date()}
    if event.get("rrule") is None:
        raise ValueError("has RDATE and no RRULE; write each night as a window of its own")
    rule = recurrence.normal_rule(event["rrule"].to_ical().decode())
    if faults := recurrence.rule_faults(rule):
        raise ValueError(f"RRULE: {'; '.join(faults)}")
    if next(recurrence.days(rule, since=start.date(), start=start.time(), zone_name=name), None) != start.date():
        if "COUNT=" in rule:
            raise ValueError(
                "begins on a day that its RRULE does not give, and counts from it; that cannot be carried over"
            )
        added = [start.date(), *added]
    value |= {"kind": "recurring", "rule": rule, "since": start.date()}
    value |= {key: days for key, days in (("left_out", _days(event, "exdate")), ("added", added)) if days}
    return value


def _end(event: Any, start: datetime, name: str) -> dict[str, str]:
    """By the wall clock where the event names an end in the same zone, as people read it in their calendar."""
    if event.get("dtend") is None:
        if event.get("duration") is None:
            raise ValueError("has neither DTEND nor DURATION")
        return {"duration": duration_text(event["duration"].dt)}
    end = event["dtend"].dt
    if not isinstance(end, datetime) or _zone_of(event, "dtend") != name:
        raise ValueError("DTEND is not a time in the zone of DTSTART")
    wall = end.replace(tzinfo=None) - start.replace(tzinfo=None)
    if wall <= timedelta(0):
        raise ValueError("ends before it begins")
    if wall <= timedelta(days=1):
        return {"end": f"{end:%H:%M}"}
    return {"duration": duration_text(end.astimezone(UTC) - start.astimezone(UTC))}


def _days(event: Any, name: str) -> list[date]:
    told = event.get(name)
    parts = told if isinstance(told, list) else [told] if told is not None else []
    moments = [each.dt for part in parts for each in part.dts]
    return sorted({moment.date() if isinstance(moment, datetime) else moment for moment in moments})


def _freeze(event: Any, start: date, summary: str, fallback: str | None, number: int) -> dict[str, Any]:
    all_day = not isinstance(start, datetime)
    name = fallback if all_day else _zone_of(event, "dtstart")
    if name is None:
        raise ValueError("is an all-day event and the file names no zone; say --zone")
    try:
        zone(name)
    except UnknownZoneError as exc:
        raise ValueError(str(exc)) from exc
    value: dict[str, Any] = {
        "name": str(event.get("x-changeover-name", f"imported-{number}")),
        "zone": name,
        "reason": str(event.get("x-changeover-reason", summary)),
    }
    last, times = _last(event, start)
    value |= times
    if event.get("rrule") is None:
        value |= {"kind": "dated", "first": _day(start), "last": last}
    else:
        rule = recurrence.normal_rule(event["rrule"].to_ical().decode())
        if faults := recurrence.rule_faults(rule):
            raise ValueError(f"RRULE: {'; '.join(faults)}")
        if event.get("exdate") is not None or event.get("rdate") is not None:
            raise ValueError(
                "EXDATE and RDATE of a freeze cannot be carried over; write these days as freezes of their own"
            )
        value |= {"kind": "recurring", "rule": rule, "since": _day(start), "days": (last - _day(start)).days + 1}
    for key in ("environments", "ci-classes"):
        if (told := event.get(f"x-changeover-{key}")) is not None:
            value[key.replace("-", "_")] = str(told).split()
    if (may := event.get("x-changeover-may-permit")) is not None:
        value["may_permit"] = [str(role) for role in (may if isinstance(may, list) else [may])]
    return value


def _day(moment: date) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def _last(event: Any, start: date) -> tuple[date, dict[str, str]]:
    """The last day that belongs to it (iCalendar's DTEND does not), and the times of day if they are not midnights."""
    if event.get("dtend") is not None:
        end = event["dtend"].dt
    elif event.get("duration") is not None:
        end = start + event["duration"].dt
    else:
        end = start + timedelta(days=1)
    if isinstance(start, datetime) != isinstance(end, datetime) or _day(end) < _day(start):
        raise ValueError("its end does not go with its beginning")
    if not isinstance(start, datetime):
        return end - timedelta(days=1), {}
    times = {"start": f"{start:%H:%M}"} if start.time() != time(0, 0) else {}
    if end.time() == time(0, 0):
        return end.date() - timedelta(days=1), times
    return end.date(), {**times, "end": f"{end:%H:%M}"}


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

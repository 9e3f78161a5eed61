"""Events of an iCalendar file (RFC 5545) as windows and freezes; what cannot be held the same is refused."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from changeover.adapters.document_files import UnusableFileError, read_bytes
from changeover.adapters.icalendar_files import CHOICES, FREEZE
from changeover.adapters.icalendar_times import named_zone, to_the_minute, wall_in, zone_of
from changeover.domain import recurrence
from changeover.domain.freeze import DatedFreeze, RecurringFreeze
from changeover.domain.wall_clock import moment
from changeover.domain.window import DatedWindow, RecurringWindow, duration_text
from changeover.domain.zones import zone

if TYPE_CHECKING:
    from icalendar import Calendar

ITS_OWN = "write this night as a window of its own"


@dataclass
class Found:
    """What an iCalendar file holds, as plain values of our formats; `faults` when not all of it can be carried over."""

    windows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Summary and the value of a plan's `window` key."""
    freezes: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was read otherwise than it is written there, or left out, rightly."""


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
    withdrawn = str(calendar.get("method", "")).upper() == "CANCEL"
    for n, event in enumerate(events, start=1):
        summary = " ".join(str(event.get("summary", f"event {n}")).split())
        try:
            _take(found, event, summary, fallback, withdrawn=withdrawn)
        except ValidationError as exc:
            found.faults += [f"{summary}: {_told(error)}" for error in exc.errors(include_url=False)]
        except ValueError as exc:
            found.faults.append(f"{summary}: {exc}")
    if events and not (found.windows or found.freezes or found.faults):
        found.faults.append("holds no event that counts: all of them are cancelled")
    return found


def _told(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {text}" if where else text


def _parsed(raw: bytes) -> Calendar:
    from icalendar import Calendar

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about names of zones, which are judged here, event by event
            parsed = Calendar.from_ical(raw)
    except (ValueError, KeyError, IndexError) as exc:
        raise ValueError(f"is not an iCalendar file: {exc}") from exc
    if not isinstance(parsed, Calendar):
        raise ValueError("is not an iCalendar file: it holds no VCALENDAR")
    return parsed


def _take(found: Found, event: Any, summary: str, fallback: str | None, *, withdrawn: bool) -> None:
    for name in ("recurrence-id", "exrule"):
        if event.get(name) is not None:
            raise ValueError(f"{name.upper()} cannot be carried over; {ITS_OWN}")
    if withdrawn or str(event.get("status", "")).upper() == "CANCELLED":
        found.notes.append(f"{summary}: left out, it is cancelled")
        return
    if isinstance(event.get("rrule"), list):
        raise ValueError("has more than one RRULE; write an event for each of them")
    if event.get("dtstart") is None:
        raise ValueError("has no DTSTART; say when it begins")
    start = event["dtstart"].dt
    found.notes += [f"{summary}: {text}" for text in _zones_guessed(event)]
    if not isinstance(start, datetime) or FREEZE in _categories(event):
        value = _freeze(event, start, summary, fallback)
        value["name"] = _free_name(value["name"], {each["name"] for each in found.freezes})
        model = RecurringFreeze if value["kind"] == "recurring" else DatedFreeze
        model.model_validate(value)
        found.freezes.append(value)
        return
    value = _window(event, start)
    (RecurringWindow if value["kind"] == "recurring" else DatedWindow).model_validate(value)
    found.windows.append((summary, value))


def _zones_guessed(event: Any) -> Iterator[str]:
    """RFC 5545 leaves it to each program what comes before the zone's name; people see what became of it."""
    told = (str(event[name].params.get("TZID", "")) for name in ("dtstart", "dtend") if event.get(name) is not None)
    for each in dict.fromkeys(name for name in told if name.startswith("/")):
        yield f"TZID {each} is read as {named_zone(each)}"


def _categories(event: Any) -> set[str]:
    told = event.get("categories")
    parts = told if isinstance(told, list) else [told] if told is not None else []
    return {str(name).upper() for part in parts for name in getattr(part, "cats", [])}


def _window(event: Any, start: datetime) -> dict[str, Any]:
    name, begin = zone_of(event, "dtstart"), to_the_minute(start.replace(tzinfo=None), "DTSTART")
    value: dict[str, Any] = {"zone": name, "start": f"{begin:%H:%M}", **_end(event, begin, name)}
    for choice in CHOICES:
        if (told := event.get(f"x-changeover-{choice.replace('_', '-')}")) is not None:
            value[choice] = str(told)
    if (late := event.get("x-changeover-late-start-tolerance")) is not None:
        value["late_start_tolerance"] = str(late)
    added, left_out = _days(event, "rdate", begin.time(), name), _days(event, "exdate", begin.time(), name)
    if event.get("rrule") is None:
        if added or left_out:
            raise ValueError(f"has {'RDATE' if added else 'EXDATE'} and no RRULE; write each night as its own window")
        return {"kind": "dated", **value, "on": begin.date()}
    rule = _rule(event)
    if next(recurrence.days(rule, since=begin.date(), start=begin.time(), zone_name=name), None) != begin.date():
        if "COUNT=" in rule:
            raise ValueError(
                "begins on a day that its RRULE does not give, and counts from it; let it begin on a day of the RRULE, "
                "or end it with UNTIL"
            )
        if begin.date() in left_out:
            left_out.remove(begin.date())
        else:
            added = sorted({begin.date(), *added})
    value |= {"kind": "recurring", "rule": rule, "since": begin.date()}
    return value | {key: days for key, days in (("left_out", left_out), ("added", added)) if days}


def _rule(event: Any) -> str:
    rule = recurrence.normal_rule(event["rrule"].to_ical().decode())
    if faults := recurrence.rule_faults(rule):
        raise ValueError(f"RRULE: {'; '.join(faults)}")
    return rule


def _end(event: Any, begin: datetime, name: str) -> dict[str, str]:
    """By the wall clock where the event names an end in the same zone, as people read it in their calendar."""
    if event.get("dtend") is None:
        if event.get("duration") is None:
            raise ValueError("has neither DTEND nor DURATION; say until when it is open")
        return {"duration": duration_text(event["duration"].dt)}
    end = event["dtend"].dt
    if not isinstance(end, datetime) or zone_of(event, "dtend") != name:
        raise ValueError("DTEND is not a time in the zone of DTSTART; give both in the client's zone")
    end = end.replace(tzinfo=None)
    if end <= begin:
        raise ValueError("ends before it begins")
    if end - begin <= timedelta(days=1):
        return {"end": f"{to_the_minute(end, 'DTEND'):%H:%M}"}
    opens, closes = (each.replace(tzinfo=zone(name)).astimezone(UTC) for each in (begin, end))
    return {"duration": duration_text(closes - opens)}


def _days(event: Any, name: str, start: time, zone_name: str) -> list[date]:
    """Local dates of nights that are left out or added; each has to be the window's own hour on its day."""
    told = event.get(name)
    parts = told if isinstance(told, list) else [told] if told is not None else []
    return sorted({_day_of(name, each.dt, part, start, zone_name) for part in parts for each in part.dts})


def _day_of(name: str, given: Any, part: Any, start: time, zone_name: str) -> date:
    head = name.upper()
    if isinstance(given, tuple):
        raise ValueError(f"{head} gives a period with an end of its own; {ITS_OWN}")
    if not isinstance(given, datetime):
        if name == "rdate":
            raise ValueError(f"RDATE gives {given} without a time of day; {ITS_OWN}")
        return date(given.year, given.month, given.day)
    wall = wall_in(zone_name, given, part)
    hour = datetime.combine(wall.date(), start)
    opens = moment(hour, zone_name, end="start").instant  # elsewhere on the wall where the clocks skip the hour
    if wall != hour and (opens is None or wall_in(zone_name, opens, None) != wall):
        then = ITS_OWN if name == "rdate" else "correct it in the calendar, it takes no night away"
        raise ValueError(f"{head} is {wall:%Y-%m-%d %H:%M:%S} in {zone_name}, and it begins at {start:%H:%M}; {then}")
    return wall.date()


def _freeze(event: Any, start: date, summary: str, fallback: str | None) -> dict[str, Any]:
    timed = isinstance(start, datetime)
    zone_name = zone_of(event, "dtstart") if timed else fallback
    if zone_name is None:
        raise ValueError("is an all-day event and the file names no zone; say --zone")
    zone_name = named_zone(zone_name)
    first, last, times = _timed(event, start, zone_name) if isinstance(start, datetime) else _all_day(event, start)
    named = event.get("x-changeover-name")
    value: dict[str, Any] = {
        "name": str(named) if named is not None else _name(summary, first),
        "zone": zone_name,
        "reason": str(event.get("x-changeover-reason", summary)),
        **times,
    }
    if event.get("exdate") is not None or event.get("rdate") is not None:
        raise ValueError(
            "EXDATE and RDATE of a freeze cannot be carried over; write these days as freezes of their own"
        )
    if event.get("rrule") is None:
        value |= {"kind": "dated", "first": first, "last": last}
    else:
        rule, begin = _rule(event), start.time() if isinstance(start, datetime) else time()
        if next(recurrence.days(rule, since=first, start=begin, zone_name=zone_name), None) != first:
            raise ValueError(
                f"begins on {first}, a day that its RRULE does not give; write this first time as an event of its own, "
                "and let the other begin on a day of the RRULE"
            )
        value |= {"kind": "recurring", "rule": rule, "since": first, "days": (last - first).days + 1}
    for key in ("environments", "ci-classes"):
        if (told := event.get(f"x-changeover-{key}")) is not None:
            value[key.replace("-", "_")] = str(told).split()
    if (may := event.get("x-changeover-may-permit")) is not None:
        value["may_permit"] = [str(role) for role in (may if isinstance(may, list) else [may])]
    return value


def _all_day(event: Any, first: date) -> tuple[date, date, dict[str, str]]:
    """First and last day; iCalendar's DTEND does not belong to it."""
    if event.get("dtend") is not None:
        end = event["dtend"].dt
    else:
        end = first + (event["duration"].dt if event.get("duration") is not None else timedelta(days=1))
    if isinstance(end, datetime):
        raise ValueError("DTSTART is a day and DTEND a time; give both as days, or both as times")
    if end <= first:
        raise ValueError("ends before it begins")
    return first, end - timedelta(days=1), {}


def _timed(event: Any, start: datetime, zone_name: str) -> tuple[date, date, dict[str, str]]:
    """First and last day that belong to it, and the times of day if they are not midnights."""
    begin = to_the_minute(start.replace(tzinfo=None), "DTSTART")
    if event.get("dtend") is not None:
        if not isinstance(event["dtend"].dt, datetime):
            raise ValueError("DTSTART is a time and DTEND a day; give both as days, or both as times")
        zone_of(event, "dtend", or_utc=True)
        end = wall_in(zone_name, event["dtend"].dt, event["dtend"])
    elif event.get("duration") is not None:
        length = event["duration"].dt
        passed = begin.replace(tzinfo=zone(zone_name)).astimezone(UTC) + length
        end = max(begin + length, wall_in(zone_name, passed, None))  # a freeze is never shorter for a change of clocks
    else:
        raise ValueError("has neither DTEND nor DURATION; say until when it holds")
    if end <= begin:
        raise ValueError("ends before it begins")
    times = {"start": f"{begin:%H:%M}"} if begin.time() != time() else {}
    if to_the_minute(end, "its end").time() == time():
        return begin.date(), end.date() - timedelta(days=1), times
    return begin.date(), end.date(), {**times, "end": f"{end:%H:%M}"}


def _name(summary: str, first: date) -> str:
    """What people call it, and the year: other years' calendars say the same words."""
    plain = unicodedata.normalize("NFKD", summary.casefold()).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", plain)[:50].strip("-") or "imported"
    return words if words.endswith(f"{first:%Y}") else f"{words}-{first:%Y}"


def _free_name(name: str, taken: set[str]) -> str:
    return next(each for n in range(1, len(taken) + 2) if (each := f"{name}-{n}" if n > 1 else name) not in taken)

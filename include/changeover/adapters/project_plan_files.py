"""The project plan for other tools: a table (CSV) and a calendar (iCalendar)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import cast

from changeover.domain.schedule import Entry

HEAD = ("key", "kind", "title", "environment", "first_day", "last_day", "begins_utc", "ends_utc", "decided_by")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def plan_csv(entries: Sequence[Entry]) -> str:
    """RFC 4180. What a spreadsheet would take for a formula is marked as text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(HEAD)
    for entry in entries:
        begins = f"{entry.begins:%Y-%m-%dT%H:%MZ}" if entry.begins else ""
        ends = f"{entry.ends:%Y-%m-%dT%H:%MZ}" if entry.ends else ""
        texts = (entry.key, entry.kind, entry.title, entry.environment, entry.first.isoformat(),
                 entry.last.isoformat(), begins, ends, entry.decided_by)  # fmt: skip
        writer.writerow([f"'{text}" if text.startswith(_FORMULA) else text for text in texts])
    return out.getvalue()


def plan_ics(entries: Sequence[Entry], *, name: str, key: str, dated: date) -> bytes:
    """`key` makes the events' ids unique and the same every time: a calendar that imports it again finds them."""
    from icalendar import Calendar, Event

    calendar = Calendar()
    calendar.add("prodid", "-//Changeover//Project plan//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", name)
    stamp = datetime(dated.year, dated.month, dated.day, tzinfo=UTC)
    for entry in entries:
        event = Event()
        event.add("uid", f"{key}.{entry.key}@changeover")
        event.add("dtstamp", stamp)
        event.add("summary", f"{entry.title}{f' ({entry.environment})' if entry.environment else ''}")
        event.add("dtstart", entry.begins or entry.first)
        event.add("dtend", entry.ends or entry.last + timedelta(days=1))
        event.add("categories", [entry.kind])
        event.add("transp", "OPAQUE" if entry.kind == "window" else "TRANSPARENT")
        if entry.decided_by:
            event.add("description", f"Decided by {entry.decided_by}")
        calendar.add_component(event)
    return cast("bytes", calendar.to_ical())

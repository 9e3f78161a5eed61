"""Windows and zones for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tzdata

from changeover.domain.window import DatedWindow, RecurringWindow
from changeover.domain.zones import zone_names


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def dated(on: str, start: str, end: str, zone: str, **other: Any) -> DatedWindow:
    return DatedWindow.model_validate({"kind": "dated", "zone": zone, "on": on, "start": start, "end": end, **other})


def recurring(rule: str, zone: str, start: str, since: str, **other: Any) -> RecurringWindow:
    value = {"kind": "recurring", "rule": rule, "zone": zone, "start": start, "since": since}
    return RecurringWindow.model_validate(value | other)


def third_saturday(**other: Any) -> RecurringWindow:
    """The window of the case C07."""
    return recurring("FREQ=MONTHLY;BYDAY=3SA", "Pacific/Auckland", "01:00", "2026-08-01", end="05:00", **other)


def zones_by_rules() -> tuple[str, ...]:
    """One zone of each set of rules that holds from now on (the last line of a zone's file), and some odd ones."""
    odd = ("Africa/Casablanca", "Africa/El_Aaiun", "Asia/Gaza", "Asia/Hebron", "Pacific/Apia", "America/Vancouver")
    rules: dict[bytes, str] = {}
    for name in zone_names():
        rules.setdefault((Path(tzdata.__file__).parent / "zoneinfo" / name).read_bytes().splitlines()[-1], name)
    return tuple(sorted({*rules.values(), *odd}))

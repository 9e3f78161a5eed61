"""Times of an iCalendar file: on the wall of which zone, by the pinned zone data and never by the file's own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from changeover.domain.zones import UnknownZoneError, zone


def named_zone(told: str) -> str:
    """The IANA zone that a TZID means: Windows' own names are translated, and what programs write before one dropped.

    Raise `UnknownZoneError` (a ValueError) where none is meant.
    """
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

    named = str(WINDOWS_TO_OLSON.get(told, told))
    if not named.startswith("/"):
        return zone(named).key
    parts = named.strip("/").split("/")
    for length in (3, 2, 1):  # /freeassociation.sourceforge.net/Europe/Berlin
        try:
            return zone("/".join(parts[-length:])).key
        except UnknownZoneError:
            continue
    raise UnknownZoneError(told)


def zone_of(event: Any, name: str, *, or_utc: bool = False) -> str:
    """The IANA zone of a property; `or_utc`: an instant will do as well."""
    if told := str(event[name].params.get("TZID", "")):
        return named_zone(told)
    in_utc = event[name].dt.tzinfo is not None
    if in_utc and or_utc:
        return "UTC"
    raise ValueError(
        f"{name.upper()} {'is in UTC' if in_utc else 'names no zone'}; a window is local time in the client's zone: "
        "let the calendar name it (TZID)"
    )


def wall_in(zone_name: str, given: datetime, holder: Any) -> datetime:
    """What a zone's clock shows at a time. `holder`: the property that says of which zone it is; None: an instant.

    A time without any zone is on this very clock.
    """
    wall, told = given.replace(tzinfo=None), str(holder.params.get("TZID", "")) if holder is not None else ""
    if not told and given.tzinfo is None:
        return wall
    of = zone(named_zone(told)) if told else UTC
    return wall.replace(tzinfo=of).astimezone(zone(zone_name)).replace(tzinfo=None)


def to_the_minute(wall: datetime, what: str) -> datetime:
    if wall.second or wall.microsecond:
        raise ValueError(f"{what} is at {wall:%H:%M:%S}, and times are held to the minute; say a full minute")
    return wall

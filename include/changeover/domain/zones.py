"""Time zones by the pinned zone data (the `tzdata` wheel), and whether the machine's own data says the same."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import tzdata

_ZONE = re.compile(r"UTC|[A-Z][A-Za-z]+(/[A-Za-z0-9_+-]+){1,2}")
_PINNED = Path(tzdata.__file__).parent / "zoneinfo"
_STEP = timedelta(hours=6)
"""No zone has two changes of its clocks in less."""
EVE = timedelta(days=1)
"""Around an instant: more than any two offsets of a zone lie apart."""


class UnknownZoneError(ValueError):
    """Not an IANA zone: abbreviations (CET) and machine-dependent names (localtime) do not say which rules hold."""

    def __init__(self, name: object) -> None:
        if meant := _bare_names().get(str(name)):
            super().__init__(
                f"{name!r} is an abbreviation or an old name, and those are not taken: "
                f"name the client's zone in full, such as {meant!r}, which the zone data have for it"
            )
        else:
            super().__init__(f"{name!r} is not an IANA time zone such as 'Europe/Berlin'")


@cache
def _bare_names() -> dict[str, str]:
    """Names without a region, which the zone data know as links (CET, Japan) → the zone linked to."""
    try:
        lines = (_PINNED / "tzdata.zi").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    links = (line.split() for line in lines if line.startswith("L "))
    return {name: zone for _, zone, name in links if "/" not in name}


@cache
def zone(name: str) -> ZoneInfo:
    """The zone by the pinned data; Python alone would take the machine's, however old, and not say so."""
    if not _ZONE.fullmatch(name):
        raise UnknownZoneError(name)
    found = _read(_PINNED / name, name)
    if found is None:
        raise UnknownZoneError(name)
    return found


@cache
def zone_names() -> tuple[str, ...]:
    """Every IANA zone of the pinned data that a plan may name."""
    names = (Path(tzdata.__file__).parent / "zones").read_text(encoding="ascii").split()
    return tuple(sorted(name for name in names if _ZONE.fullmatch(name)))


def release() -> str:
    """Which release of the zone data decides here."""
    return f"IANA {tzdata.IANA_VERSION} (tzdata {tzdata.__version__})"


def system_release() -> str:
    """What the machine says of its own data; "" where it says nothing."""
    for folder in map(Path, zoneinfo.TZPATH):
        try:
            with (folder / "tzdata.zi").open(encoding="ascii", errors="replace") as file:
                told = re.match(r"# version (\w+)", file.readline())
        except OSError:
            continue
        if told:
            return f"IANA {told[1]}"
    return ""


def disagreement(name: str, first: datetime, last: datetime) -> str:
    """Where the machine's data says otherwise of this zone between two instants (a little around them included).

    Whatever else runs on this machine then reads the window's hours otherwise than we do. A machine without data of
    its own cannot differ.
    """
    system = _system(name)
    if system is None:
        return ""
    pinned = zone(name)
    since = first.astimezone(UTC) - EVE
    ours, theirs = (_changes(each, since, last.astimezone(UTC) + EVE) for each in (pinned, system))
    if ours == theirs:
        return ""
    at = min((mine for mine in (*ours, *theirs) if mine not in ours or mine not in theirs), key=lambda each: each[0])[0]
    named = system_release() or "of unknown release"
    return (
        f"zone data of this machine ({named}) and the pinned data ({release()}) differ for {name}: "
        f"at {at:%Y-%m-%d %H:%MZ} the clock shows {at.astimezone(system):%H:%M} by the one, "
        f"{at.astimezone(pinned):%H:%M} by the other; bring the machine's tzdata package up to date"
    )


def _system(name: str) -> ZoneInfo | None:
    found = (_read(Path(folder) / name, name) for folder in zoneinfo.TZPATH)
    return next((each for each in found if each is not None), None)


def _read(path: Path, name: str) -> ZoneInfo | None:
    try:
        with path.open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (OSError, ValueError):
        return None


def _changes(of: tzinfo, since: datetime, until: datetime) -> list[tuple[datetime, timedelta | None]]:
    """The offset at the beginning, and every change of it with its instant."""
    at, offset = since, since.astimezone(of).utcoffset()
    changes = [(at, offset)]
    while at < until:
        following = at + _STEP
        if (new := following.astimezone(of).utcoffset()) != offset:
            changes.append((change_between(of, at, following), new))
        at, offset = following, new
    return changes


def change_between(of: tzinfo, before: datetime, after: datetime) -> datetime:
    """The instant (to the second) at which the offset that holds at `before` ends; it no longer holds at `after`."""
    offset = before.astimezone(of).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(of).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after

"""From the clock on the client's wall to an instant: the one convention of planner, timetable, page and command line.

A time that the clocks skip has the offset before the change (02:30 becomes 03:30), a time that happens twice means its
first occurrence (PEP 495 and RFC 5545). Both are told, and a plan decides them before it is approved.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from changeover.domain.zones import EVE, change_between, zone

Skipped = Literal["later", "at_change", "leave_out"]
Doubled = Literal["first", "second", "leave_out"]
YEARS = range(1970, 2200)
"""Zone data knows little before, and nobody much after."""


@dataclass(frozen=True)
class Note:
    """Something odd about one end of a window. `choice` names the key that decides it; `decided`, that it was used."""

    end: Literal["start", "end"]
    text: str
    choice: Literal["on_skipped", "on_doubled"]
    decided: bool

    def __str__(self) -> str:
        return f"{self.end}: {self.text}"


@dataclass(frozen=True)
class Choices:
    """What becomes of a skipped and of a doubled time; None: not decided, so the convention holds for now."""

    skipped: Skipped | None = None
    doubled: Doubled | None = None


UNDECIDED = Choices()


@dataclass(frozen=True)
class Moment:
    """A local wall time as an instant (UTC); None where it is to be left out."""

    instant: datetime | None
    note: Note | None = None


def moment(wall: datetime, zone_name: str, choices: Choices = UNDECIDED, *, end: Literal["start", "end"]) -> Moment:
    """`wall` has no zone; `end` says which end of a window it is, for the note."""
    if wall.year not in range(YEARS[0] - 1, YEARS[-1] + 2):
        raise ValueError(f"{wall:%Y-%m-%d} is out of range: years {YEARS[0]} to {YEARS[-1]} are known")
    of = zone(zone_name)
    first, second = (wall.replace(tzinfo=of, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return Moment(first)
    if first > second:
        return _skipped(wall, zone_name, choices.skipped, end, later=first, change=change_between(of, second, first))
    return _doubled(wall, zone_name, choices.doubled, end, first, second)


def _skipped(
    wall: datetime,
    zone_name: str,
    choice: Skipped | None,
    end: Literal["start", "end"],
    *,
    later: datetime,
    change: datetime,
) -> Moment:
    of = zone(zone_name)

    def shown(instant: datetime) -> str:
        local = instant.astimezone(of)
        day = "" if local.date() == wall.date() else f"{local:%Y-%m-%d} "
        return f"{instant:%Y-%m-%d %H:%MZ} ({day}{local:%H:%M} local)"

    head = f"{wall:%H:%M} does not exist on {wall:%Y-%m-%d} in {zone_name}; "
    if choice == "leave_out":
        return Moment(None, Note(end, f"{head}it is left out", "on_skipped", decided=True))
    taken, other = (change, later) if choice == "at_change" else (later, change)
    not_other = "" if taken == other else f", not {shown(other)}"
    text = f"{head}{shown(taken)} is taken{not_other}"
    return Moment(taken, Note(end, text, "on_skipped", decided=choice is not None))


def _doubled(
    wall: datetime,
    zone_name: str,
    choice: Doubled | None,
    end: Literal["start", "end"],
    first: datetime,
    second: datetime,
) -> Moment:
    head = f"{wall:%H:%M} happens twice on {wall:%Y-%m-%d} in {zone_name}; "
    if choice == "leave_out":
        return Moment(None, Note(end, f"{head}it is left out", "on_doubled", decided=True))
    word, taken, other = ("second", second, first) if choice == "second" else ("first", first, second)
    text = f"{head}the {word}, {taken:%Y-%m-%d %H:%MZ}, is taken, not {other:%Y-%m-%d %H:%MZ}"
    return Moment(taken, Note(end, text, "on_doubled", decided=choice is not None))


def span_text(span: timedelta) -> str:
    """Hours and minutes, as on a clock."""
    hours, minutes = divmod(int(span.total_seconds()) // 60, 60)
    return f"{hours} h {minutes:02d}"


def local_text(instant: datetime, zone_name: str) -> str:
    return f"{instant.astimezone(zone(zone_name)):%a %Y-%m-%d %H:%M}"


__all__ = [
    "EVE", "UNDECIDED", "YEARS", "Choices", "Doubled", "Moment", "Note", "Skipped", "local_text", "moment", "span_text",
]  # fmt: skip


def told_instant(text: object) -> datetime | None:
    """An ISO instant as a host wrote it; without a zone it is UTC, and None is what cannot be read as one."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)

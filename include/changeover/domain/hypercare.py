"""The hypercare watch: when it goes on, extends itself, ends by its criteria, or reopens the decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from changeover.domain.plan import Hypercare, Reopening
from changeover.domain.record import Mark, MarkKind

GATE = "hypercare"
CRITICAL = 2
"""Incidents of this severity or graver are critical (1 is the gravest)."""
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Look:
    """What one look found. `errors` is how many error lines the logs of a host's services hold by then."""

    at: datetime
    unwell: tuple[str, ...] = ()
    """Why a host is not well."""
    critical: tuple[str, ...] = ()
    """Numbers of critical incidents that are open."""
    incidents: tuple[str, ...] = ()
    """Numbers of all incidents since the change, open or closed by then."""
    errors: Mapping[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not self.unwell and not self.critical


class Course(StrEnum):
    LOOK_AGAIN = "look_again"
    EXTEND = "extend"
    END = "end"
    ASK = "ask"


@dataclass(frozen=True)
class Step:
    """What follows from the looks so far. `until` is the end of the watch as it stands; `wait`, to the next look."""

    course: Course
    reasons: tuple[str, ...] = ()
    until: datetime | None = None
    wait: timedelta = timedelta()


@dataclass(frozen=True)
class Watched:
    """The watch of a run so far."""

    looks: tuple[Look, ...]
    kept: tuple[datetime, ...] = ()
    """When people decided to keep the release."""
    extended: datetime | None = None

    @property
    def began(self) -> datetime:
        return self.looks[0].at

    @property
    def since(self) -> tuple[Look, ...]:
        """The looks after the newest decision to keep: what was known before was decided upon."""
        return tuple(look for look in self.looks if not self.kept or look.at > self.kept[-1])

    @property
    def known(self) -> frozenset[str]:
        """Incidents that the newest decision knew of."""
        before = self.looks[: len(self.looks) - len(self.since)]
        return frozenset(number for look in before for number in look.incidents)


def next_step(watch: Hypercare, watched: Watched, at: datetime) -> Step:
    """Thresholds first; then, when its time is over, the criteria: an unmet one extends it, up to its longest."""
    if reasons := _reopened(watch.reopens, watched):
        return Step(Course.ASK, reasons)
    end = max(watched.began + watch.length, watched.extended or watched.began)
    if at < end:
        return _looking(Course.LOOK_AGAIN, watch, watched, end, at)
    missing = _unmet(watch, watched.looks)
    if not missing:
        return Step(Course.END, (f"{_plural(_clean(watched.looks), 'clean look')} in a row",), end)
    longest = _longest(watch, watched)
    if at >= longest:
        return Step(Course.ASK, (f"the watch has lasted as long as it may, {longest - watched.began}", *missing))
    needed = max(1, watch.clean_looks - _clean(watched.looks))
    until = min(longest, at + watch.interval * needed)
    return _looking(Course.EXTEND, watch, watched, until, at, missing)


def errors_per_hour(looks: Sequence[Look], host: str) -> float | None:
    """Of the last hour, or since the look before where looks are rarer; None without two readings.

    A count that fell is a log that was begun anew: what it holds now is new.
    """
    read = [(look.at, look.errors[host]) for look in looks if host in look.errors]
    if len(read) < 2:
        return None
    last, added, first = read[-1][0], 0, read[-1][0]
    for (earlier, before), (later, after) in reversed(list(pairwise(read))):
        if later <= last - HOUR:
            break
        added += after - before if after >= before else after
        first = earlier
    return added / max(1.0, (last - first) / HOUR)


def watched_of(marks: Iterable[Mark]) -> Watched:
    """From the ledger, oldest mark first."""
    looks: list[Look] = []
    kept: list[datetime] = []
    extended: datetime | None = None
    for mark in marks:
        data = mark.data
        if mark.kind is MarkKind.HYPERCARE_CHECKED:
            unwell = data.get("unwell", () if data.get("passed") else data.get("reasons", ()))
            looks.append(
                Look(
                    mark.at,
                    tuple(unwell),
                    tuple(data.get("critical", ())),
                    tuple(data.get("incidents", ())),
                    dict(data.get("errors", {})),
                )
            )
        elif mark.kind is MarkKind.HYPERCARE_KEPT:
            kept.append(mark.at)
        elif mark.kind is MarkKind.HYPERCARE_EXTENDED:
            extended = datetime.fromisoformat(str(data["until"]))
    return Watched(tuple(looks), tuple(kept), extended)


def asked_rows(marks: Iterable[Mark]) -> tuple[tuple[str, str], ...]:
    """What the newest request to keep or back out rests on, name and text; nothing when it was never asked."""
    asked = [mark for mark in marks if mark.kind is MarkKind.ASKED and mark.data.get("gate") == GATE]
    return tuple((str(name), str(text)) for name, text in asked[-1].data.get("facts", ())) if asked else ()


def not_ended(marks: Sequence[Mark]) -> str:
    """Why the watch is not over; "" when it ended by its criteria and nothing was said since."""
    for mark in reversed(marks):
        if mark.kind is MarkKind.HYPERCARE_ENDED:
            return ""
        if mark.kind in (MarkKind.HYPERCARE_KEPT, MarkKind.HYPERCARE_EXTENDED):
            break
        if mark.kind is MarkKind.REJECTED and mark.data.get("gate") == GATE:
            against = decided_against(marks)
            return f"{against} decided to back out" if against else "nobody decided whether the release is kept"
        if mark.kind is MarkKind.HYPERCARE_REOPENED:
            return f"the decision is open: {mark.data.get('reason')}"
    return "the hypercare watch has not ended"


def decided_against(marks: Sequence[Mark]) -> str:
    """Who decided in this watch to back out; "" when nobody did, or the release was kept since."""
    for mark in reversed(marks):
        if mark.kind in (MarkKind.HYPERCARE_ENDED, MarkKind.HYPERCARE_KEPT):
            return ""
        if mark.kind is MarkKind.REJECTED and mark.data.get("gate") == GATE:
            by = str(mark.data.get("by"))
            return "" if by.startswith("nobody") else by
    return ""


def ends_told(care: Hypercare, length: Callable[[timedelta], str]) -> str:
    row = "the last look was clean" if care.clean_looks == 1 else f"{care.clean_looks} looks in a row were clean"
    return (
        f"when its time is over, {row} and no critical incident is open; else it extends itself, to "
        f"{length(care.longest)} at most, after which a person decides"
    )


def reopens_told(care: Hypercare) -> str:
    limits = care.reopens
    looks = "a look that finds" if limits.failed_looks == 1 else f"{limits.failed_looks} looks in a row that find"
    when = [
        f"{looks} a host unwell",
        _plural(limits.critical_incidents, "new critical incident"),
        *([_plural(limits.incidents, "new incident")] if limits.incidents else []),
    ]
    errors = f"; unwell is also more than {limits.errors_per_hour} errors in an hour" if limits.errors_per_hour else ""
    return f"by {' or '.join(when)}{errors}"


def for_client(watched: Watched) -> str:
    """Why the watch goes on, without a host or a tool."""
    last = watched.looks[-1]
    if last.critical:
        return "a critical incident is open"
    return "not everything was well at the last look" if last.unwell else "it was not well for long enough yet"


def watch_told(marks: Sequence[Mark]) -> tuple[str, ...]:
    """How the watch went, a line each for what is out of the ordinary and one for how it stands."""
    lines = []
    for mark in marks:
        if mark.kind in _TOLD:
            by, reason = mark.data.get("by"), mark.data.get("reason")
            until = f" until {str(mark.data['until'])[:16].replace('T', ' ')}Z" if mark.data.get("until") else ""
            said = f" by {by}" if by else ""
            lines.append(
                f"{mark.at:%Y-%m-%d %H:%MZ}: {_TOLD[mark.kind]}{until}{said}{f' ({reason})' if reason else ''}"
            )
    looks = [mark for mark in marks if mark.kind is MarkKind.HYPERCARE_CHECKED]
    if not looks:
        return ()
    clean = sum(bool(mark.data.get("passed")) for mark in looks)
    return (f"{_plural(len(looks), 'look')}, {clean} of them clean", *lines)


_TOLD = {
    MarkKind.HYPERCARE_EXTENDED: "extended",
    MarkKind.HYPERCARE_REOPENED: "the decision was reopened",
    MarkKind.HYPERCARE_KEPT: "to be kept",
    MarkKind.HYPERCARE_ENDED: "ended",
}


def _reopened(limits: Reopening, watched: Watched) -> tuple[str, ...]:
    looks = watched.since
    if not looks:
        return ()
    reasons = []
    row = 0
    for look in reversed(looks):
        if not look.unwell:
            break
        row += 1
    if row >= limits.failed_looks:
        reasons.append(f"{_plural(row, 'look')} in a row found a host unwell: {'; '.join(looks[-1].unwell)}")
    critical = [number for number in looks[-1].critical if number not in watched.known]
    if len(critical) >= limits.critical_incidents:
        reasons.append(f"{_plural(len(critical), 'new critical incident')}: {', '.join(critical)}")
    new = [number for number in looks[-1].incidents if number not in watched.known]
    if limits.incidents is not None and len(new) >= limits.incidents:
        reasons.append(f"{_plural(len(new), 'new incident')}: {', '.join(new)}")
    return tuple(reasons)


def _unmet(watch: Hypercare, looks: Sequence[Look]) -> tuple[str, ...]:
    clean = _clean(looks)
    if clean >= watch.clean_looks:
        return ()
    why = (*looks[-1].unwell, *(f"{number} is open" for number in looks[-1].critical))
    return (f"{clean} of {watch.clean_looks} clean looks in a row", *why)


def _clean(looks: Sequence[Look]) -> int:
    row = 0
    for look in reversed(looks):
        if not look.clean:
            break
        row += 1
    return row


def _longest(watch: Hypercare, watched: Watched) -> datetime:
    """Whoever decides to keep the release grants it one more length to become clean in."""
    granted = [moment + watch.length for moment in watched.kept]
    return max((watched.began + watch.longest, *granted))


def _looking(
    course: Course, watch: Hypercare, watched: Watched, end: datetime, at: datetime, reasons: tuple[str, ...] = ()
) -> Step:
    """However long a look takes, the rhythm stays; the last look falls on the end."""
    wait = watch.interval - (at - watched.began) % watch.interval
    return Step(course, reasons, end, min(wait, end - at))


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"

"""Restore points: what makes one trustworthy, whose it is, and when it may be removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from changeover.domain.record import Mark, MarkKind
from changeover.domain.wall_clock import told_instant

SKEW = timedelta(minutes=5)
"""Clocks of hosts may differ from ours by so much; more is refused before, by readiness."""


@dataclass(frozen=True)
class Point:
    """A restore point as the role's `restore_point` and `restore_drill` report it."""

    host: str
    label: str = ""
    digest: str = ""
    path: str = ""
    taken_at: datetime | None = None
    readable: bool = False
    """The drill restored it into scratch, found its rows as counted and its canary row unchanged."""
    current: bool | None = None
    """Whether it holds what is there now; False for one of an earlier try."""
    identity: Mapping[str, str] = field(default_factory=dict)
    """Of which host, and of which database or directory there."""

    def as_data(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "digest": self.digest,
            "path": self.path,
            "taken_at": self.taken_at.isoformat() if self.taken_at else "",
            "identity": dict(self.identity),
        }


@dataclass(frozen=True)
class PointWanted:
    """`recorded`: the digest that the ledger has for this host and label; "" for none."""

    label: str
    not_before: datetime
    now: datetime
    recorded: str = ""


def point_of(host: str, report: Mapping[str, Any]) -> Point:
    """From a host's report; a fact that it lacks counts as not proven."""
    about = report.get("restore_point")
    about = about if isinstance(about, Mapping) else report
    identity = about.get("identity")
    current = about.get("current")
    return Point(
        host,
        str(about.get("label") or ""),
        str(about.get("digest") or ""),
        str(about.get("path") or ""),
        told_instant(about.get("taken_at")),
        about.get("readable") is True,
        current if isinstance(current, bool) else None,
        {str(k): str(v) for k, v in identity.items()} if isinstance(identity, Mapping) else {},
    )


def point_faults(point: Point, wanted: PointWanted) -> tuple[str, ...]:
    """Why nothing may be changed on the strength of it."""
    told = f"restore point {wanted.label} of {point.host}"
    owner = point.identity.get("host", point.host)
    return tuple(
        text
        for wrong, text in (
            (not point.readable, f"{told}: no restore into scratch proved it"),
            (point.label != wanted.label, f"{told}: the host reports {point.label or 'no label'}"),
            (not point.digest, f"{told}: it has no digest"),
            (owner != point.host, f"{told}: it is of {owner}"),
            (
                bool(wanted.recorded and point.digest) and point.digest != wanted.recorded,
                f"{told}: on record with digest {wanted.recorded[:12]}, found with {point.digest[:12]}: not used",
            ),
            (point.current is False, f"{told}: it is of an earlier try, and data was entered since"),
            *_age(point, wanted, told),
        )
        if wrong
    )


def _age(point: Point, wanted: PointWanted, told: str) -> tuple[tuple[bool, str], ...]:
    if point.taken_at is None:
        return ((True, f"{told}: when it was taken cannot be read"),)
    return (
        (point.taken_at < wanted.not_before - SKEW, f"{told}: taken {point.taken_at:%Y-%m-%d %H:%MZ}, before this run"),
        (point.taken_at > wanted.now + SKEW, f"{told}: taken {point.taken_at:%Y-%m-%d %H:%MZ}, which is not yet"),
    )


def recorded_digest(marks: Iterable[Mark], host: str, label: str) -> str:
    """The digest under which a host's label was first recorded."""
    found = (str(mark.data.get("digest", "")) for mark in _of(marks, host) if mark.data.get("label") == label)
    return next(found, "")


def without_point(marks: Sequence[Mark], hosts: Iterable[str], label: str) -> tuple[str, ...]:
    """Hosts that have no restore point of this label on record: nothing on them may be changed."""
    return tuple(host for host in hosts if not recorded_digest(marks, host, label))


@dataclass(frozen=True)
class KeptPoint:
    """A restore point on a host that the ledger has on record and that was not removed yet."""

    environment: str
    host: str
    label: str
    path: str


def kept_points(marks: Sequence[Mark]) -> tuple[KeptPoint, ...]:
    gone = {(m.host, m.data.get("label")) for m in marks if m.kind is MarkKind.RESTORE_POINT_REMOVED}
    taken = {
        (m.host, str(m.data.get("label"))): KeptPoint(
            m.environment, m.host, str(m.data.get("label")), str(m.data.get("path", ""))
        )
        for m in marks
        if m.kind is MarkKind.RESTORE_POINT_TAKEN and m.host
    }
    return tuple(point for key, point in taken.items() if key not in gone)


@dataclass(frozen=True)
class RunOfPoint:
    """What decides whether a run's restore points may go."""

    ended_at: datetime | None
    proven: bool
    """It ended with an outcome that leaves nothing open, or a person closed it."""
    other_open: bool
    """Another run of the same plan is open: it may be taking these very points back."""


def expired(run: RunOfPoint, kept: timedelta, now: datetime) -> bool:
    """Never those of an open run, of one that left open what is true, or beside one that may need them."""
    if run.ended_at is None or not run.proven or run.other_open:
        return False
    return now > run.ended_at + kept


def removable(point: KeptPoint) -> str:
    """Why a recorded path is not removed ("" when it is): it has to end in the label, some levels below the root."""
    parts = point.path.rstrip("/").split("/")
    if not point.path.startswith("/") or ".." in parts or len(parts) < 4:
        return f"{point.path or 'no path'} is no place of a restore point"
    return "" if parts[-1] == point.label and point.label else f"{point.path} does not end in {point.label}"


def _of(marks: Iterable[Mark], host: str) -> Iterable[Mark]:
    return (mark for mark in marks if mark.kind is MarkKind.RESTORE_POINT_TAKEN and mark.host == host)

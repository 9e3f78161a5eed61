"""Until when restore points are kept: so long after their run has ended, and always while it is open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from changeover.domain.record import Mark, MarkKind
from changeover.domain.run_view import utc
from changeover.domain.window import duration_text


@dataclass(frozen=True)
class Retention:
    """`kept` is the plan's; None where the plan cannot be read. `ended_at` is None while the run is open."""

    kept: timedelta | None
    ended_at: datetime | None

    @property
    def until(self) -> datetime | None:
        return None if self.kept is None or self.ended_at is None else self.ended_at + self.kept

    def told(self) -> str:
        if self.kept is None:
            return "nobody knows how long: the plan cannot be read"
        if self.until is None:
            days, rest = divmod(self.kept, timedelta(days=1))
            length = duration_text(self.kept) if rest else f"{days} day{'' if days == 1 else 's'}"
            return f"{length} after the run has ended"
        return f"until {self.until:%Y-%m-%d %H:%MZ}"


@dataclass(frozen=True)
class ProvenPoint:
    """A proven copy that the old release can be restored from."""

    environment: str
    label: str
    proven_at: datetime
    retention: Retention

    def told(self) -> str:
        return f"{self.label}, proven {self.proven_at:%Y-%m-%d %H:%MZ}, kept {self.retention.told()}"

    def as_json(self) -> dict[str, Any]:
        until = self.retention.until
        return {
            "environment": self.environment,
            "label": self.label,
            "proven_at": utc(self.proven_at),
            "kept_until": utc(until) if until else None,
        }


def proven_points(marks: Iterable[Mark], retention: Retention) -> tuple[ProvenPoint, ...]:
    """Each label once, as it was proven last; oldest first."""
    newest = {
        (mark.environment, str(mark.data.get("label") or "")): mark
        for mark in sorted(marks, key=lambda mark: mark.at)
        if mark.kind in (MarkKind.RESTORE_POINT_PROVEN, MarkKind.LEG_RESTORE_POINT)
    }
    points = [ProvenPoint(environment, label, mark.at, retention) for (environment, label), mark in newest.items()]
    return tuple(sorted(points, key=lambda point: point.proven_at))


def ended_at(marks: Iterable[Mark]) -> datetime | None:
    """When the run was closed, the last time if more than once."""
    return max((mark.at for mark in marks if mark.kind is MarkKind.CHANGE_CLOSED), default=None)

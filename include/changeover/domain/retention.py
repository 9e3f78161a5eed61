"""Restore points: until when each is kept. Nothing is deleted here, and nothing before the run is closed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from changeover.domain.record import Mark, MarkKind
from changeover.domain.run_view import utc


@dataclass(frozen=True)
class RestorePoint:
    """A proven copy that the old release can be restored from. `kept_until` is None where the plan is not known."""

    environment: str
    label: str
    proven_at: datetime
    kept_until: datetime | None

    def expired(self, at: datetime) -> bool:
        return self.kept_until is not None and at >= self.kept_until

    def told(self) -> str:
        until = f", kept until {self.kept_until:%Y-%m-%d %H:%MZ}" if self.kept_until else ""
        return f"{self.label}, proven {self.proven_at:%Y-%m-%d %H:%MZ}{until}"

    def as_json(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "label": self.label,
            "proven_at": utc(self.proven_at),
            "kept_until": utc(self.kept_until) if self.kept_until else None,
        }


def restore_points(marks: Iterable[Mark], kept: timedelta | None) -> tuple[RestorePoint, ...]:
    """Each label once, as it was proven last; oldest first."""
    newest = {
        (mark.environment, str(mark.data.get("label") or "")): mark
        for mark in sorted(marks, key=lambda mark: mark.at)
        if mark.kind is MarkKind.RESTORE_POINT_PROVEN
    }
    points = [
        RestorePoint(environment, label, mark.at, None if kept is None else mark.at + kept)
        for (environment, label), mark in newest.items()
    ]
    return tuple(sorted(points, key=lambda point: point.proven_at))

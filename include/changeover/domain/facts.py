"""Facts of hosts that readiness is decided on; None (or a missing key) is a fact that could not be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from changeover.domain.record import Mark, MarkKind
from changeover.domain.release import ReleaseRecord
from changeover.domain.window import Occurrence

Report = Mapping[str, Any]
"""What an application's `discover` said of one host."""


@dataclass(frozen=True)
class HostFacts:
    """What a read-only probe over SSH saw; None where it could not be read (which is a "no" for the gate)."""

    host: str
    reachable: bool
    error: str = ""
    python: str | None = None
    clock_offset: timedelta | None = None
    writable: Mapping[str, bool] = field(default_factory=dict)
    free_bytes: Mapping[str, int] = field(default_factory=dict)
    total_bytes: Mapping[str, int] = field(default_factory=dict)
    free_inodes: Mapping[str, int] = field(default_factory=dict)
    total_inodes: Mapping[str, int] = field(default_factory=dict)
    lock: Mapping[str, Any] | None = None
    """Content of the host's lock, if it is held."""
    memory_bytes: int | None = None
    memory_available_bytes: int | None = None
    load: float | None = None
    """Average over the last minute."""
    processors: int | None = None
    leftovers: Mapping[str, int] = field(default_factory=dict)
    """Path → bytes that left-overs of our own failed tries hold there; the next try clears them."""
    devices: Mapping[str, int] = field(default_factory=dict)
    """Path → number of the device it lies on: paths of one device share its space."""


@dataclass(frozen=True)
class RestorePoint:
    """The newest restore point of a host on record."""

    label: str
    proven_at: datetime
    readable: bool = True


def proven_restore_points(marks: Sequence[Mark], hosts: Sequence[str]) -> Mapping[str, RestorePoint]:
    """Newest proof per host; a mark without a host was written for every host of its environment."""
    found: dict[str, RestorePoint] = {}
    for mark in marks:
        if mark.kind is MarkKind.RESTORE_POINT_PROVEN:
            point = RestorePoint(str(mark.data.get("label", "")), mark.at, mark.data.get("readable", True) is True)
            found |= {host: point for host in hosts if mark.host in ("", host)}
    return found


@dataclass(frozen=True)
class Learnt:
    """What other clients met on the release by now."""

    holds: tuple[str, ...] = ()
    """Each that stands here."""
    waived: tuple[str, ...] = ()
    """Waivers under which others do not count."""
    candidates: tuple[tuple[str, bool], ...] = ()
    """Each check that this upgrade has to look at, as it is told, and whether it is known to pass here."""


@dataclass(frozen=True)
class ReadinessFacts:
    """Everything gathered for one environment, host by host."""

    run: str
    """Key of the run that asks: its own lock is no obstacle."""
    at: datetime
    probes: Mapping[str, HostFacts]
    reports: Mapping[str, Report]
    restore_points: Mapping[str, RestorePoint] = field(default_factory=dict)
    first_leg: ReleaseRecord | None = None
    """Where the way has several legs: the release that the first one goes to."""
    legs: int = 1
    learnt: Learnt | None = None
    certificates: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Host → its certificates, as this run's analysis read them."""
    night: Occurrence | None = None
    """The environment's; None where no window closes."""

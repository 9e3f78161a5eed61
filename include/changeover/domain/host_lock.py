"""The lock and the marker of a host as read on it, and who may take a lock over: the rules, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from changeover.domain.wall_clock import told_instant

LEASE = timedelta(hours=12)
"""No night is longer: a lock that is older is told as overdue. It still frees nobody by itself."""
UNPROVEN = ("unknown", "back_out_failed")
"""Outcomes that leave open what is true on the hosts: they end the run, and not its hold on them."""
BEGUN = ("implementing", "backing_out", "fixing")
"""Phases of a marker that stands before the end of what it names."""


@dataclass(frozen=True)
class Lock:
    """Who holds a host. `unreadable` is what its file says when nobody can read it."""

    run: str
    step: str = ""
    environment: str = ""
    token: str = ""
    taken_at: datetime | None = None
    unreadable: str = ""


@dataclass(frozen=True)
class Marker:
    """How far a run got on a host; it stays when the lock is given back."""

    run: str
    step: str = ""
    token: str = ""
    phase: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class LiveProcess:
    pid: int
    token: str
    command: str


@dataclass(frozen=True)
class HostHold:
    """What one host says of itself over a fresh connection. `processes` None: it cannot tell which belong to whom."""

    host: str
    reached: bool
    error: str = ""
    lock: Lock | None = None
    marker: Marker | None = None
    processes: tuple[LiveProcess, ...] | None = ()


class Controller(StrEnum):
    """The process that runs Ansible for a run, as far as it can be seen from here."""

    RUNS = "runs"
    GONE = "gone"
    NOT_HERE = "not here"
    """Its records are not on this machine."""


@dataclass(frozen=True)
class RunStanding:
    """What the ledger says of the run that a lock names. `tokens` are those of its executions."""

    key: str
    known: bool
    title: str = ""
    outcome: str | None = None
    closed_by: str = ""
    controller: Controller = Controller.NOT_HERE
    tokens: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Forced:
    """A named person takes it on themselves."""

    by: str
    reason: str


@dataclass(frozen=True)
class Takeover:
    """Whether a lock may be taken from its run, and every reason for the answer."""

    allowed: bool
    reasons: tuple[str, ...]
    may_be_forced: bool = False
    """A named person with a reason would be enough."""


def read_lock(content: Mapping[str, Any] | None) -> Lock | None:
    """A lock that cannot be understood is held by somebody, as far as anybody can tell."""
    if content is None:
        return None
    if not content.get("run") or "unreadable" in content:
        return Lock("", unreadable=str(content.get("unreadable") or dict(content))[:200])
    return Lock(
        str(content["run"]),
        str(content.get("step", "")),
        str(content.get("environment", "")),
        str(content.get("token", "")),
        told_instant(content.get("taken_at")),
    )


def read_marker(content: Mapping[str, Any] | None) -> Marker | None:
    if content is None or not content.get("run"):
        return None
    return Marker(
        str(content["run"]),
        str(content.get("step", "")),
        str(content.get("token", "")),
        str(content.get("phase", "")),
        told_instant(content.get("at")),
    )


def own_processes(hold: HostHold, run: str, tokens: frozenset[str]) -> tuple[LiveProcess, ...]:
    """Processes on the host that carry a token of the run: of its ledger, its lock or its marker."""
    told = {held.token for held in (hold.lock, hold.marker) if held is not None and held.run == run}
    return tuple(process for process in hold.processes or () if process.token in (tokens | told) - {""})


def takeover(hold: HostHold, standing: RunStanding | None, *, forced: Forced | None = None) -> Takeover:
    """Only from a run that is ended and proven in the ledger, or by a named person; never beside living processes."""
    lock = hold.lock
    if not hold.reached:
        return Takeover(False, (f"the host cannot be asked: {hold.error}",))
    if lock is None:
        return Takeover(True, ("the host is not locked",))
    if alive := _alive(hold, lock, standing):
        return Takeover(False, alive)
    open_points = _not_ended(lock, standing)
    if not open_points:
        return Takeover(True, (f"run {lock.run} is ended in the ledger and none of its processes is left",))
    if forced is None:
        return Takeover(False, open_points, may_be_forced=True)
    if missing := [name for name, text in (("name", forced.by), ("reason", forced.reason)) if not text.strip()]:
        return Takeover(False, (*open_points, f"to force it takes a {' and a '.join(missing)}"), may_be_forced=True)
    return Takeover(True, (f"forced by {forced.by}: {forced.reason}", *open_points))


def _alive(hold: HostHold, lock: Lock, standing: RunStanding | None) -> tuple[str, ...]:
    if hold.processes is None:
        return ("the host cannot tell which processes belong to the run",)
    tokens = standing.tokens if standing else frozenset()
    # A lock that nobody can read names no token: then every execution's process may be its own.
    mine = own_processes(hold, lock.run, tokens) if lock.run else hold.processes
    return (
        *(("the run's controller process still runs",) if standing and standing.controller is Controller.RUNS else ()),
        *(f"process {process.pid} of the run lives on the host: {process.command}" for process in mine),
    )


def _not_ended(lock: Lock, standing: RunStanding | None) -> tuple[str, ...]:
    if lock.unreadable:
        return (f"the lock cannot be read: {lock.unreadable}",)
    if standing is None or not standing.known:
        return (f"run {lock.run} is not in the ledger",)
    if standing.outcome is None:
        return (f"run {lock.run} has not ended in the ledger",)
    if standing.outcome in UNPROVEN and not standing.closed_by:
        return (f"run {lock.run} ended {standing.outcome}, and nobody has settled it",)
    if standing.controller is Controller.NOT_HERE:
        return ("the run's controller process is not on this machine, and may still be at work there",)
    return ()


def overdue(lock: Lock, now: datetime) -> bool:
    return lock.taken_at is not None and now - lock.taken_at > LEASE


def advice(hold: HostHold, standing: RunStanding | None, verdict: Takeover) -> str:
    """What a person may do now, in one sentence."""
    if not hold.reached:
        return "look whether the host is up and its recorded address, key and host key are right"
    if hold.lock is None:
        return "nothing: the host is free"
    run = hold.lock.run
    if standing and standing.controller is Controller.RUNS:
        return f"wait: the run is at work (`changeover status {run}`)"
    if verdict.allowed:
        return f"`changeover settle {run} --do close --by LOGIN --reason TEXT` gives the lock back"
    if not verdict.may_be_forced:
        return "wait until these processes have ended, or end them on the host; then ask again"
    if standing and standing.known:
        return f"`changeover settle {run}`: it says what is true and what is possible"
    release = f"`changeover host release {hold.host} --by LOGIN --reason TEXT`"
    return f"find out whose lock it is; who knows that its run is dead gives it back: {release}"

"""Who holds the hosts of a plan or a client: each asked over a fresh connection, its lock held against the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from changeover.domain.estate import IMPORT, Host
from changeover.domain.execution import execution_token
from changeover.domain.host_lock import (
    Controller,
    HostHold,
    RunStanding,
    Takeover,
    advice,
    overdue,
    own_processes,
    takeover,
)
from changeover.domain.plan import Plan
from changeover.domain.record import MarkKind, Run, StepRecord, StepStatus
from changeover.domain.retention import ProvenPoint, Retention, ended_at, proven_points
from changeover.domain.run_view import utc
from changeover.domain.settlement import closed_by
from changeover.errors import CmdbError
from changeover.ports import Cmdb, Executor, Holds, Ledger, Vault

LOOKED_AT = 200
"""Runs of the ledger, the newest first."""
LIMIT = timedelta(seconds=15)
"""For one host, from the connection to the last word of its answer."""


@dataclass(frozen=True)
class HostStatus:
    """One host, as it stands at the time of asking."""

    client: str
    application: str
    environment: str
    hold: HostHold
    standing: RunStanding | None
    takeover: Takeover
    overdue: bool
    ways_back: tuple[ProvenPoint, ...] = ()
    """Restore points of its environment that are on record, and until when each is kept."""

    @property
    def advice(self) -> str:
        return advice(self.hold, self.standing, self.takeover)

    @property
    def in_order(self) -> bool:
        """It was asked, and is free or held by a run that is at work."""
        at_work = self.standing is not None and self.standing.known and self.standing.outcome is None
        return self.hold.reached and (self.hold.lock is None or (at_work and not self.overdue))

    def as_json(self) -> dict[str, Any]:
        lock, marker, standing = self.hold.lock, self.hold.marker, self.standing
        mine = own_processes(self.hold, lock.run, standing.tokens) if lock and standing else self.hold.processes
        return {
            "client": self.client,
            "application": self.application,
            "environment": self.environment,
            "host": self.hold.host,
            "reached": self.hold.reached,
            "error": self.hold.error,
            "lock": {
                "run": lock.run,
                "step": lock.step,
                "environment": lock.environment,
                "since": utc(lock.taken_at) if lock.taken_at else None,
                "overdue": self.overdue,
                "unreadable": lock.unreadable,
            }
            if lock
            else None,
            "marker": {
                "run": marker.run,
                "step": marker.step,
                "phase": marker.phase,
                "at": utc(marker.at) if marker.at else None,
            }
            if marker
            else None,
            "run": {
                "known": standing.known,
                "title": standing.title,
                "outcome": standing.outcome,
                "closed_by": standing.closed_by,
                "controller": str(standing.controller),
            }
            if standing
            else None,
            "processes": None if mine is None else [{"pid": p.pid, "command": p.command} for p in mine],
            "restore_points": [point.as_json() for point in self.ways_back],
            "takeover": {"allowed": self.takeover.allowed, "reasons": list(self.takeover.reasons)},
            "may_do": self.advice,
        }


@dataclass(frozen=True)
class Place:
    """One environment of one application, with the hosts that the CMDB has for it."""

    client: str
    application: str
    environment: str
    hosts: tuple[Host, ...]


def places_of(cmdb: Cmdb, plans: Sequence[Plan], environments: Iterable[str] = ()) -> tuple[Place, ...]:
    """Every environment of the plans once; raise `CmdbError` for one that the CMDB does not know."""
    wanted = set(environments)
    names = dict.fromkeys(
        (plan.client, plan.application, environment.name)
        for plan in plans
        for environment in plan.environments
        if not wanted or environment.name in wanted
    )
    places = []
    for client, application, name in names:
        found = cmdb.environment(client, application, name)
        if found is None:
            raise CmdbError(
                "the CMDB does not know this environment",
                where=f"{client} {application} {name}",
                then=IMPORT,
            )
        places.append(Place(client, application, name, found.hosts))
    return tuple(places)


def host_status(
    places: Sequence[Place],
    *,
    ledger: Ledger,
    holds: Holds,
    vault: Vault,
    executor: Executor,
    now: datetime,
    kept: Mapping[str, timedelta] = MappingProxyType({}),
) -> tuple[HostStatus, ...]:
    """All hosts at once; one that does not answer says so and hides no other. `kept`: plan → how long its restore
    points are kept.
    """
    hosts = {host.name: host for place in places for host in place.hosts}
    found = read_holds(tuple(hosts.values()), holds, vault)
    held = {(hold.lock.run, hold.lock.environment) for hold in found.values() if hold.lock and hold.lock.run}
    standings = {key: standing_of(*key, ledger, executor) for key in sorted(held)}
    told = []
    for place in places:
        points = ways_back(place, ledger, kept, now)
        told += [replace(_status(place, found[host.name], standings, now), ways_back=points) for host in place.hosts]
    return tuple(told)


def ways_back(place: Place, ledger: Ledger, kept: Mapping[str, timedelta], now: datetime) -> tuple[ProvenPoint, ...]:
    """Of the runs that the ledger shows, of which the time has not come yet; newest first."""
    found: list[ProvenPoint] = []
    for run in ledger.runs(limit=LOOKED_AT):
        if (run.client, run.application) == (place.client, place.application):
            marks = ledger.marks(run.key)
            mine = [mark for mark in marks if mark.environment == place.environment]
            found += proven_points(mine, Retention(kept.get(run.dag_id), ended_at(marks)))
    lasting = [point for point in found if point.retention.until is None or point.retention.until > now]
    return tuple(sorted(lasting, key=lambda point: point.proven_at, reverse=True))


def read_holds(hosts: Sequence[Host], holds: Holds, vault: Vault) -> Mapping[str, HostHold]:
    if not hosts:
        return {}
    credentials = vault.credentials(sorted({host.connection for host in hosts}))
    return holds.holds(hosts, credentials, timeout=LIMIT)


def standing_of(key: str, environment: str, ledger: Ledger, executor: Executor) -> RunStanding:
    """Of a run, for its lock in this environment."""
    run = ledger.run(key)
    if run is None:
        return RunStanding(key, known=False)
    steps = ledger.steps(key)
    outcome = ledger.outcomes(key).get("")
    settled = ledger.marks(key, kind=MarkKind.SETTLED)
    return RunStanding(
        key,
        known=True,
        title=_title(run),
        outcome=str(outcome.outcome) if outcome else None,
        closed_by=closed_by(mark for mark in settled if mark.environment in ("", environment)),
        controller=controller_of(steps, executor),
        tokens=tokens_of(steps),
    )


def controller_of(steps: Iterable[StepRecord], executor: Executor) -> Controller:
    """Of the steps that have not ended in the ledger, and of every one whose execution is alive all the same."""
    directories = [(step, Path(step.directory)) for step in steps if step.directory]
    if any(executor.running(directory) for _, directory in directories):
        return Controller.RUNS
    open_ones = [directory for step, directory in directories if step.status is StepStatus.RUNNING]
    return Controller.GONE if all(map(executor.here, open_ones)) else Controller.NOT_HERE


def tokens_of(steps: Iterable[StepRecord]) -> frozenset[str]:
    """A step that has not ended has no token on record; it follows from its names."""
    return frozenset(
        token
        for step in steps
        for token in (step.token, execution_token(step.run, step.environment, step.step, step.generation))
        if token
    )


def _title(run: Run) -> str:
    return f"{run.client} {run.upgrade}, {run.mode}, asked for by {run.requested_by}"


def _status(
    place: Place, hold: HostHold, standings: Mapping[tuple[str, str], RunStanding], now: datetime
) -> HostStatus:
    standing = standings.get((hold.lock.run, hold.lock.environment)) if hold.lock else None
    late = hold.lock is not None and overdue(hold.lock, now)
    return HostStatus(
        place.client, place.application, place.environment, hold, standing, takeover(hold, standing), late
    )

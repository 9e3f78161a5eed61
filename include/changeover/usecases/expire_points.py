"""Remove restore points that are past their time: housekeeping, long after a run's closeout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from changeover.domain.host_lock import UNPROVEN
from changeover.domain.record import MarkKind, Run
from changeover.domain.restore_point import KeptPoint, RunOfPoint, expired, kept_points, removable
from changeover.domain.settlement import closed_by
from changeover.errors import ChangeoverError
from changeover.ports import Ledger, fresh
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import Tools, Upgrade, hosts_of, mark

STEP = "expire"
NOT_AGAIN_BEFORE = timedelta(days=1)
"""A host that could not be reached is tried again after this long, not at every turn of the housekeeping."""
LOOKED_AT = 1000


@dataclass
class Expiry:
    """What one pass did. `left` are points whose time has come and that are still there, each with the reason."""

    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{len(self.removed)} restore points removed, {len(self.left)} left: {'; '.join(self.left) or 'none'}"


def expire_points(tools: Tools, upgrade_of: Callable[[Run], Upgrade]) -> Expiry:
    """A run that cannot be read hides no other; nothing of an open or unproven run is touched."""
    found, ledger = Expiry(), tools.ledger
    runs = ledger.runs(limit=LOOKED_AT)
    open_plans = {run.dag_id for run in runs if ledger.outcomes(run.key).get("") is None}
    for run in runs:
        points = kept_points(ledger.marks(run.key))
        if not points:
            continue
        try:
            upgrade = upgrade_of(run)
            if expired(_standing(run, ledger, open_plans), upgrade.plan.restore_points_kept, tools.clock()):
                _remove(upgrade, tools, points, found)
        except ChangeoverError as exc:
            found.left.append(f"{run.key}: {exc}")
    return found


def _standing(run: Run, ledger: Ledger, open_plans: set[str]) -> RunOfPoint:
    outcome, marks = ledger.outcomes(run.key).get(""), ledger.marks(run.key)
    closed = fresh(MarkKind.CHANGE_CLOSED, marks)
    by_person = closed_by(m for m in marks if not m.environment)
    return RunOfPoint(
        _end(closed.at if closed else None, run, outcome is not None),
        outcome is not None and (outcome.outcome not in UNPROVEN or bool(by_person)),
        run.dag_id in open_plans,
    )


def _end(closed: datetime | None, run: Run, ended: bool) -> datetime | None:
    """A run that has an outcome and no word of its closing counts from its opening."""
    return (closed or run.opened_at) if ended else None


def _remove(upgrade: Upgrade, tools: Tools, points: tuple[KeptPoint, ...], found: Expiry) -> None:
    for environment in dict.fromkeys(point.environment for point in points):
        mine = [point for point in points if point.environment == environment]
        found.left += [f"{p.host}: {why}" for p in mine if (why := removable(p))]
        going = [point for point in mine if not removable(point)]
        if going and not _tried_lately(upgrade, tools, environment):
            _remove_in(upgrade, tools, environment, going, found)


def _remove_in(upgrade: Upgrade, tools: Tools, environment: str, points: list[KeptPoint], found: Expiry) -> None:
    hosts = tuple(h for h in hosts_of(upgrade, tools, environment) if any(p.host == h.name for p in points))
    paths = {host.name: [p.path for p in points if p.host == host.name] for host in hosts}
    work = HostWork(
        STEP,
        "expire.yml",
        environment,
        upgrade.plan.from_version,
        changes=False,  # repeatable: what is gone stays gone, so a try that was lost is simply made again
        hosts=hosts,
        variables={"changeover_expired": paths},
    )
    done = run_on_hosts(upgrade, tools, work)
    gone = {(one.host, path) for one in done.hosts for path in one.report.get("removed") or ()}
    for point in points:
        if (point.host, point.path) in gone:
            found.removed.append(f"{point.host}:{point.path}")
            mark(
                upgrade,
                tools,
                MarkKind.RESTORE_POINT_REMOVED,
                environment,
                host=point.host,
                key=f"removed-{environment}-{point.host}-{point.label}",
                label=point.label,
                path=point.path,
                by=f"housekeeping: kept for {upgrade.plan.restore_points_kept} after closeout",
            )
        else:
            found.left.append(f"{point.host}:{point.path}: {'; '.join(done.reasons) or 'it is still there'}")


def _tried_lately(upgrade: Upgrade, tools: Tools, environment: str) -> bool:
    steps = tools.ledger.steps(upgrade.run.key, environment=environment)
    tries = [step.started_at for step in steps if step.step == STEP]
    return bool(tries) and tools.clock() - max(tries) < NOT_AGAIN_BEFORE

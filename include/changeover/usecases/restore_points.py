"""Restore points on record: judged when they are taken, asked for before anything is changed."""

from __future__ import annotations

from changeover.domain.execution import ExecutionResult
from changeover.domain.record import MarkKind
from changeover.domain.restore_point import PointWanted, point_faults, point_of, recorded_digest, without_point
from changeover.usecases.tools import Tools, Upgrade, hosts_of, mark


def record_points(
    upgrade: Upgrade, tools: Tools, environment: str, label: str, taken: ExecutionResult
) -> tuple[str, ...]:
    """Every fault of the restore points that hosts of this environment report; the faultless ones go on record."""
    marks = tools.ledger.marks(upgrade.run.key, environment=environment)
    own = {host.name for host in hosts_of(upgrade, tools, environment)}
    faults: list[str] = []
    for result in taken.hosts:
        if result.host not in own:
            continue
        point = point_of(result.host, result.report)
        before = recorded_digest(marks, result.host, label)
        wrong = point_faults(point, PointWanted(label, upgrade.run.opened_at, tools.clock(), before))
        faults += wrong
        if not wrong:
            mark(
                upgrade,
                tools,
                MarkKind.RESTORE_POINT_TAKEN,
                environment,
                host=result.host,
                key=f"point-{environment}-{result.host}-{label}",
                **point.as_data(),
            )
    return tuple(faults)


def no_way_back(upgrade: Upgrade, tools: Tools, environment: str, label: str, hosts: tuple[str, ...]) -> str:
    """Why nothing may be changed on these hosts ("" when it may): no upgrade without a restored backup (C19)."""
    missing = without_point(tools.ledger.marks(upgrade.run.key, environment=environment), hosts, label)
    if not missing:
        return ""
    return f"no restore point {label} that a restore into scratch proved is on record for {', '.join(missing)}"

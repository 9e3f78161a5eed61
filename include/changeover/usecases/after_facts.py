"""What people read when they decide after the lanes: how the watch went, the way back, and what it would lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from changeover.domain.hypercare import CRITICAL, watch_told
from changeover.domain.plan import Environment
from changeover.domain.record import MarkKind
from changeover.domain.retention import ProvenPoint, Retention, ended_at, proven_points
from changeover.errors import ChangeoverError
from changeover.ports import fresh
from changeover.usecases.evidence import business_data_before, evidence_path
from changeover.usecases.incidents import open_before, ours, still_open
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import Tools, Upgrade

BEFORE = "business-data-before.json"
READING = "hypercare_verify"
"""A step of this name that is done again is no rework: KPIs leave out every `…verify`."""
Rows = Mapping[tuple[str, str], int]
"""(Host, set of data) → how many rows."""


def after_rows(upgrade: Upgrade, tools: Tools, *, read_data: bool) -> Iterator[tuple[str, str]]:
    """`read_data`: the hosts are read to say how much was entered since; else only since when."""
    marks = tools.ledger.marks(upgrade.run.key)
    reopened = fresh(MarkKind.HYPERCARE_REOPENED, marks)
    if reopened and read_data:
        yield "why", str(reopened.data.get("reason") or "")
    yield "the watch", "; ".join(watch_told(marks)) or "it has not looked yet"
    yield "open incidents", _incidents(upgrade, tools)
    if before := open_before(upgrade, tools):
        yield "open before the change", "; ".join(incident.told for incident in before)
    retention = Retention(upgrade.plan.restore_points_kept, ended_at(marks))
    points = {point.environment: point for point in proven_points(marks, retention)}
    for lane in upgrade.lanes:
        point = points.get(lane.name)
        yield f"way back of {lane.name}", point.told() if point else "no proven restore point is on record"
        if point:
            yield f"lost by going back, {lane.name}", _lost(upgrade, tools, lane, point, read_data=read_data)


def _incidents(upgrade: Upgrade, tools: Tools) -> str:
    told = [
        f"{incident.number} (severity {incident.severity}{', critical' if incident.severity <= CRITICAL else ''}): "
        f"{incident.summary}"
        for incident in still_open(ours(upgrade, tools))
    ]
    return "; ".join(told) or "none"


def _lost(upgrade: Upgrade, tools: Tools, lane: Environment, point: ProvenPoint, *, read_data: bool) -> str:
    since = tools.clock() - point.proven_at
    hours = int(since.total_seconds() // 3600)
    told = f"everything entered since {point.proven_at:%Y-%m-%d %H:%MZ} ({hours // 24} d {hours % 24} h)"
    return f"{told}: {_counted(upgrade, tools, lane)}" if read_data else told


def _counted(upgrade: Upgrade, tools: Tools, lane: Environment) -> str:
    """Rows then and now. A host that cannot be read must not keep anybody from deciding."""
    try:
        before, now = _before(upgrade, tools, lane), _now(upgrade, tools, lane)
    except (ChangeoverError, OSError, ValueError) as exc:
        return f"how much that is could not be read ({exc})"
    told = [
        f"{host} {name} {before[host, name]} rows then, {count} now"
        for (host, name), count in sorted(now.items())
        if (host, name) in before
    ]
    return ", ".join(told) or "how much that is could not be read"


def _before(upgrade: Upgrade, tools: Tools, lane: Environment) -> Rows:
    path = evidence_path(upgrade, tools, lane.name, BEFORE)
    kept = business_data_before(path) if path.exists() else {}
    return {(host, name): len(rows) for host, sets in kept.items() for name, rows in sets.items()}


def _now(upgrade: Upgrade, tools: Tools, lane: Environment) -> Rows:
    read = run_on_hosts(
        upgrade, tools, HostWork(READING, "verify.yml", lane.name, upgrade.plan.to_version, changes=False)
    )
    data = {host.host: host.report["data"] for host in read.hosts if host.report.get("data")}
    return {(host, name): len(rows) for host, sets in data.items() for name, rows in sets.items()}

"""All plans together: the coming nights of every environment, and what clashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from changeover.domain.cap import Caps, Claim, cap_conflicts
from changeover.domain.conflict import Conflict, Work, conflicts, environment_ci, works_of
from changeover.domain.estate import Host
from changeover.domain.finding import Finding, Severity
from changeover.domain.freeze import Freezes
from changeover.domain.plan import Plan
from changeover.domain.window import AnyTime
from changeover.ports import Cmdb
from changeover.usecases.tools import Tools, Upgrade

NO_CAPS = Caps()


@dataclass(frozen=True)
class Fleet:
    """`unplanned`: environments without a coming night, and why."""

    works: tuple[Work, ...]
    conflicts: tuple[Conflict, ...]
    unplanned: tuple[str, ...]
    at_work: tuple[Claim, ...] = ()
    """Who holds a place now."""

    def as_json(self) -> dict[str, Any]:
        """Stable: keys are added, never changed, under one `schema_version`."""
        return {
            "schema_version": 1,
            "works": [
                {
                    "plan": work.plan,
                    "client": work.client,
                    "environment": work.environment,
                    "opens": _instant(work.night.opens),
                    "closes": _instant(work.night.closes),
                    "zone": work.night.zone,
                    "items": sorted(work.cis),
                    "people": sorted(work.people),
                }
                for work in self.works
            ],
            "conflicts": [
                {
                    "kind": str(each.kind),
                    "subject": each.subject,
                    "works": list(each.works),
                    "begins": _instant(each.begins),
                    "ends": _instant(each.ends),
                    "text": each.told(),
                }
                for each in self.conflicts
            ],
            "unplanned": list(self.unplanned),
            "at_work": [
                {
                    "plan": claim.plan,
                    "environment": claim.environment,
                    "run": claim.run,
                    "since": _instant(claim.since),
                    "items": list(claim.cis),
                    "people": list(claim.people),
                }
                for claim in self.at_work
            ],
        }


def fleet(
    plans: Sequence[Plan],
    freezes: Mapping[str, Freezes],
    cmdb: Cmdb | None,
    *,
    now: datetime,
    at_most: int | None = None,
    caps: Caps = NO_CAPS,
    at_work: Sequence[Claim] = (),
) -> Fleet:
    """`freezes`: client → its own. Without a CMDB only environments are compared, not hosts."""
    works: list[Work] = []
    found: list[Conflict] = []
    unplanned: list[str] = []
    parents: dict[str, str] = {}
    for plan in sorted(plans, key=lambda plan: plan.dag_id):
        hosts = _hosts(plan, cmdb)
        parents |= {host: environment_ci(plan, name) for name, its in hosts.items() for host in its}
        its_works, lost = works_of(plan, freezes.get(plan.client, ()), hosts, after=now)
        works += its_works
        found += lost
        planned = {work.environment for work in its_works}
        unplanned += [
            f"{plan.dag_id} {lane.name}: "
            + ("may be worked on at any time" if isinstance(lane.window, AnyTime) else "no night is offered any more")
            for lane in plan.lanes
            if lane.name not in planned
        ]
    clashing = conflicts(works, parents=parents, at_most=at_most)
    ordered = sorted(works, key=lambda work: (work.night.opens, work.name))
    over = cap_conflicts(works, caps)
    return Fleet(tuple(ordered), (*found, *clashing, *over), tuple(unplanned), tuple(at_work))


def clashes(upgrade: Upgrade, tools: Tools) -> tuple[Finding, ...]:
    """What of this plan clashes with the others on the shelf: told to whoever approves; the night itself decides."""
    if tools.shelf is None:
        return ()
    readings = tools.shelf.plans([tools.settings.plans])
    others = [r.document for r in readings if r.document and r.document.dag_id != upgrade.plan.dag_id]
    plans = [upgrade.plan, *others]
    caps = tools.fleet.caps() if tools.fleet else NO_CAPS
    found = fleet(plans, read_freezes(plans, tools), tools.cmdb, now=tools.clock(), caps=caps)
    ours = {f"{upgrade.plan.dag_id} {lane.name}": lane.name for lane in upgrade.lanes}
    return tuple(
        Finding(
            f"clash-{str(each.kind).replace('_', '-')}",
            next(ours[name] for name in each.works if name in ours),
            each.told(),
            Severity.ADVISORY,
            "agree on another night for one of them, or say who stands in",
        )
        for each in found.conflicts
        if len(each.works) > 1 and any(name in ours for name in each.works)
    )


def read_freezes(plans: Sequence[Plan], tools: Tools) -> dict[str, Freezes]:
    """Of every client; a calendar that cannot be read stops its own plan, not this one."""
    shelf = tools.shelf
    calendars = {plan.client: shelf.freezes(plan.client).document for plan in plans} if shelf else {}
    return {client: calendar.freezes for client, calendar in calendars.items() if calendar}


def _hosts(plan: Plan, cmdb: Cmdb | None) -> dict[str, tuple[str, ...]]:
    if cmdb is None:
        return {}
    recorded = {lane.name: cmdb.environment(plan.client, plan.application, lane.name) for lane in plan.lanes}
    return {name: tuple(map(host_ci, environment.hosts)) for name, environment in recorded.items() if environment}


def host_ci(host: Host) -> str:
    """By its address: two clients' hosts of one name are two hosts, and one machine under two names is one."""
    return f"host {host.address}:{host.port}"


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

"""Incidents as a run saw them: kept in the ledger, so that they are counted with the upgrade they followed."""

from __future__ import annotations

from changeover.domain.record import MarkKind
from changeover.ports import Incident
from changeover.usecases.tools import Tools, Upgrade, mark, tell_cmdb


def open_incidents(upgrade: Upgrade, tools: Tools) -> tuple[Incident, ...]:
    """Those opened since the run began on what it upgraded; one without an environment counts for each.

    Each is marked once, and again when its severity changes; once the run has a change it is linked to it in the CMDB.
    """
    changed = tools.ledger.marks(upgrade.run.key, kind=MarkKind.CHANGE_OPENED)
    found = ours(upgrade, tools)
    for incident in found:
        mark(
            upgrade,
            tools,
            MarkKind.INCIDENT_SEEN,
            key=f"incident-{incident.number}-{incident.severity}",
            number=incident.number,
            severity=incident.severity,
            opened_at=incident.opened_at.isoformat(),
            summary=incident.summary,
        )
        if changed:
            tell_cmdb(upgrade, tools, "link_incident", f"incident-{incident.number}", number=incident.number)
    return found


def ours(upgrade: Upgrade, tools: Tools) -> tuple[Incident, ...]:
    plan = upgrade.plan
    places = {"", *(lane.name for lane in upgrade.lanes)}
    since = tools.cmdb.open_incidents(plan.client, plan.application, since=upgrade.run.opened_at)
    return tuple(incident for incident in since if incident.environment in places)

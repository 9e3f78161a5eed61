"""Incidents as a run saw them: kept in the ledger, so that they are counted with the upgrade they followed."""

from __future__ import annotations

from datetime import datetime

from changeover.domain.incident import IncidentState
from changeover.domain.record import MarkKind
from changeover.ports import Incident
from changeover.usecases.tools import Tools, Upgrade, mark, tell_cmdb


def see_incidents(upgrade: Upgrade, tools: Tools) -> tuple[Incident, ...]:
    """Those of the run, open or closed by now.

    Each is marked once, and again when its severity or state is another than the last time; once the run has a change
    it is linked to it in the CMDB.
    """
    seen = tools.ledger.marks(upgrade.run.key, kind=MarkKind.INCIDENT_SEEN)
    changed = tools.ledger.marks(upgrade.run.key, kind=MarkKind.CHANGE_OPENED)
    found = ours(upgrade, tools)
    for incident in found:
        state = IncidentState.CLOSED if incident.closed_at else IncidentState.OPEN
        before = [each.data for each in seen if each.data.get("number") == incident.number]
        if not before or (before[-1].get("severity"), before[-1].get("state")) != (incident.severity, state):
            mark(
                upgrade,
                tools,
                MarkKind.INCIDENT_SEEN,
                key=f"incident-{incident.number}-{len(before) + 1}",
                number=incident.number,
                severity=incident.severity,
                state=str(state),
                opened_at=incident.opened_at.isoformat(),
                closed_at=incident.closed_at.isoformat() if incident.closed_at else None,
                summary=incident.summary,
            )
        if changed:
            tell_cmdb(upgrade, tools, "link_incident", f"incident-{incident.number}", number=incident.number)
    return found


def ours(upgrade: Upgrade, tools: Tools) -> tuple[Incident, ...]:
    """Opened on an environment since the run began to change it; one without an environment, since it changed any."""
    began = _began(upgrade, tools)
    if not began:
        return ()
    plan = upgrade.plan
    since = {"": min(began.values()), **began}
    found = tools.cmdb.incidents_since(plan.client, plan.application, since[""])
    return tuple(
        incident
        for incident in found
        if incident.environment in since and incident.opened_at >= since[incident.environment]
    )


def still_open(incidents: tuple[Incident, ...]) -> tuple[Incident, ...]:
    return tuple(incident for incident in incidents if incident.closed_at is None)


def open_before(upgrade: Upgrade, tools: Tools) -> tuple[Incident, ...]:
    """Open still, and from before the change: of the old release, and no word against the new one."""
    plan, places = upgrade.plan, {"", *(lane.name for lane in upgrade.lanes)}
    mine = {incident.number for incident in ours(upgrade, tools)}
    return tuple(
        incident
        for incident in tools.cmdb.open_incidents(plan.client, plan.application)
        if incident.environment in places and incident.number not in mine
    )


def _began(upgrade: Upgrade, tools: Tools) -> dict[str, datetime]:
    """Lane → when its first host began to be changed; lanes that were not changed are not in it."""
    found: dict[str, datetime] = {}
    lanes = {lane.name for lane in upgrade.lanes}
    for each in tools.ledger.marks(upgrade.run.key, kind=MarkKind.IMPLEMENTING):
        if each.environment in lanes:
            found.setdefault(each.environment, each.at)
    return found

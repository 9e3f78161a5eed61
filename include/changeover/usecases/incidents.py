"""Incidents as a run saw them: kept in the ledger, so that they are counted with the upgrade they followed."""

from __future__ import annotations

from changeover.domain.record import MarkKind
from changeover.ports import Incident
from changeover.usecases.tools import Tools, Upgrade, mark


def open_incidents(upgrade: Upgrade, tools: Tools) -> tuple[Incident, ...]:
    """Those opened on the application since the run began; each is marked once, and again when its severity changes."""
    plan = upgrade.plan
    incidents = tools.cmdb.open_incidents(plan.client, plan.application, since=upgrade.run.opened_at)
    for incident in incidents:
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
    return incidents

"""Incidents of the embedded CMDB: recorded once per key of the system that tells them, and linked to a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from changeover.adapters import cmdb_estate as estates
from changeover.adapters import cmdb_rules as rules
from changeover.adapters.cmdb_tables import incident
from changeover.domain.incident import IncidentReport, IncidentState, Taken
from changeover.ports import Incident


def as_incident(row: Any) -> Incident:
    return Incident(
        row.number, row.severity, row.opened_at, row.closed_at, row.summary, row.caused_by, row.environment, row.host
    )


def of(
    connection: sa.Connection, client: str, application: str, *wanted: sa.ColumnElement[bool]
) -> tuple[Incident, ...]:
    """Oldest first."""
    query = sa.select(incident).where(
        incident.c.client_id == estates.find_client(connection, client),
        incident.c.application_id == estates.find_application(connection, application),
        *wanted,
    )
    rows = connection.execute(query.order_by(incident.c.opened_at, incident.c.id)).all()
    return tuple(as_incident(row) for row in rows)


def record(
    connection: sa.Connection, report: IncidentReport, *, number: Callable[[], str]
) -> tuple[Incident, Taken] | tuple[str, ...]:
    """Within the caller's transaction, which no other write shares."""
    if faults := unknown(connection, report):
        return faults
    client = estates.find_client(connection, report.client)
    told = (incident.c.client_id == client, incident.c.told_as == report.key)
    row = connection.execute(sa.select(incident).where(*told)).first()
    if row is None:
        return _insert(connection, report, client, number()), Taken.CREATED
    known = as_incident(row)
    if row.application_id != estates.find_application(connection, report.application):
        return (rules.other_application(known, report),)
    if row.told_at > report.at:
        return known, Taken.STALE
    now, differs = rules.follows(known, report)
    values = {
        "severity": now.severity,
        "summary": now.summary,
        "opened_at": now.opened_at,
        "closed_at": now.closed_at,
        "environment": now.environment,
        "host": now.host,
        "told_at": report.at,
    }
    connection.execute(sa.update(incident).where(incident.c.id == row.id).values(**values))
    return now, Taken.UPDATED if differs else Taken.UNCHANGED


def unknown(connection: sa.Connection, report: IncidentReport) -> tuple[str, ...]:
    """What the CMDB does not know of the place that a report names."""
    if estates.find_client(connection, report.client) is None:
        return (f"client: the CMDB has no client {report.client}",)
    if estates.find_application(connection, report.application) is None:
        return (f"application: the CMDB has no application {report.application}",)
    if not estates.runs_at(connection, report.client, report.application):
        return (rules.not_run(report),)
    if not report.environment:
        return ()
    place = (report.client, report.application, report.environment)
    environment = estates.read_environment(connection, *place)
    if environment is None:
        return (f"environment: the CMDB has no {'/'.join(place)}",)
    if report.host and report.host not in {host.name for host in environment.hosts}:
        return (f"host: the CMDB has no host {report.host} in {'/'.join(place)}",)
    return ()


def link(connection: sa.Connection, number: str, change: str) -> bool:
    """Whether there is such an incident; what it is put down to already stands."""
    own = incident.c.number == number
    connection.execute(sa.update(incident).where(own, incident.c.caused_by == "").values(caused_by=change))
    return connection.execute(sa.select(incident.c.id).where(own)).first() is not None


def _insert(connection: sa.Connection, report: IncidentReport, client: str | None, number: str) -> Incident:
    new = Incident(
        number,
        report.severity,
        report.opened_at,
        report.at if report.state is IncidentState.CLOSED else None,
        report.summary,
        "",
        report.environment or "",
        report.host or "",
    )
    connection.execute(
        sa.insert(incident).values(
            number=number,
            client_id=client,
            application_id=estates.find_application(connection, report.application),
            severity=new.severity,
            summary=new.summary,
            opened_at=new.opened_at,
            closed_at=new.closed_at,
            caused_by="",
            environment=new.environment,
            host=new.host,
            told_as=report.key,
            told_at=report.at,
        )
    )
    return new

"""Mounts the console in Airflow's API server, behind its login."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from changeover.domain.incident import Caller, IncidentReport, Taken
    from changeover.domain.survey import Survey, SurveyAnswer
    from changeover.ports import Incident

PREFIX = "/changeover"
INCIDENTS = "changeover_incidents"
"""Airflow connection whose password is the webhook's token; `extra.clients` lists whom it may speak for, or `*`."""


def mounted(build_app: Callable[..., Any]) -> dict[str, Any]:
    """What a plugin hands to Airflow. A mounted app inherits no login, so it brings the question along."""
    from airflow.api_fastapi.core_api.security import requires_access_dag

    app = build_app(
        may_read=requires_access_dag(method="GET"), page=record_page, survey=LedgerSurvey(), incidents=CmdbIncidents()
    )
    return {"app": app, "url_prefix": PREFIX, "name": "Changeover"}


def record_page(key: str) -> str | None:
    from changeover import wiring
    from changeover.adapters.report_html import report_html

    settings = wiring.load_settings()
    ledger = wiring.ledger(settings)
    if ledger.run(key) is None:
        return None
    return report_html(wiring.report(ledger, wiring.cmdb(settings), key))


class LedgerSurvey:
    """Surveys of the ledger's runs, under links that this installation signed."""

    def open(self, token: str) -> Survey | None:
        from changeover import wiring
        from changeover.usecases.survey import survey_of

        run = self._run(token)
        return None if run is None else survey_of(wiring.ledger(wiring.load_settings()), run)

    def answer(self, token: str, answer: SurveyAnswer) -> bool:
        from changeover import wiring
        from changeover.usecases.survey import answer_survey

        run = self._run(token)
        if run is None:
            return False
        return answer_survey(wiring.ledger(wiring.load_settings()), run, answer, wiring.now())

    @staticmethod
    def _run(token: str) -> str | None:
        from changeover import wiring

        return wiring.survey_links(wiring.load_settings()).run_of(token, wiring.now())


class CmdbIncidents:
    """Incidents for the embedded CMDB, from whoever knows the token in Airflow's connection."""

    def caller(self) -> Caller | None:
        from airflow.models import Connection
        from airflow.sdk.exceptions import AirflowNotFoundException

        from changeover.domain.incident import Caller

        try:
            found = Connection.get_connection_from_secrets(INCIDENTS)
        except AirflowNotFoundException:
            return None
        clients = found.extra_dejson.get("clients")  # extra that cannot be read lists nobody
        return Caller(found.password or "", tuple(map(str, clients)) if isinstance(clients, list) else ())

    def now(self) -> datetime:
        from changeover import wiring

        return wiring.now()

    def record(self, report: IncidentReport) -> tuple[Incident, Taken] | tuple[str, ...]:
        from changeover import wiring

        return wiring.incident_log(wiring.load_settings()).record_incident(report)

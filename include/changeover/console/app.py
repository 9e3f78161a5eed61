"""Records behind Airflow's login, the survey behind a signed link, incidents behind a token. Knows no Airflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse

from changeover.console.incidents import IncidentDesk, incident_routes
from changeover.console.survey import SurveyDesk, survey_routes
from changeover.domain.record import run_key

Page = Callable[[str], str | None]
"""Run key → the record as HTML; None when there is no such run."""


def build_app(*, may_read: Callable[..., Any], page: Page, survey: SurveyDesk, incidents: IncidentDesk) -> FastAPI:
    """`may_read` is a dependency that raises 401 or 403; it is asked before every route that has no key of its own."""
    app = FastAPI(title="Changeover", openapi_url=None)
    behind_login = APIRouter(dependencies=[Depends(may_read)])

    @behind_login.get("/record/{dag_id}", response_class=HTMLResponse)
    def record(dag_id: str, run: str) -> HTMLResponse:
        """The record of a run of this plan."""
        text = page(run_key(dag_id, run))
        if text is None:
            raise HTTPException(404, "The ledger has no such run yet: its first task opens it.")
        return HTMLResponse(text)

    app.include_router(behind_login)
    app.include_router(survey_routes(survey))
    app.include_router(incident_routes(incidents))
    return app

"""Every route of the console asks who you are (C04), but the survey's, which asks for a signed link instead."""

from __future__ import annotations

import pytest
from fastapi import Header, HTTPException
from fastapi.testclient import TestClient

from changeover.console.app import build_app
from changeover.domain.record import run_key
from tests.support.incidents import Incidents
from tests.support.surveys import Desk


def may_read(authorization: str = Header("")) -> None:
    """As Airflow's own dependency does: 401 for nobody."""
    if not authorization:
        raise HTTPException(401)


@pytest.fixture
def client() -> TestClient:
    known = run_key("acme.tracker", "manual__1")
    return TestClient(
        build_app(
            may_read=may_read,
            page=lambda key: "<h1>record</h1>" if key == known else None,
            survey=Desk(),
            incidents=Incidents(),
        )
    )


def test_every_route_refuses_a_caller_without_a_login(client: TestClient) -> None:
    paths = [route.path.replace("{dag_id}", "acme.tracker") for route in client.app.routes]  # type: ignore[attr-defined]
    assert paths
    assert {client.get(path, params={"run": "manual__1"}).status_code for path in paths} <= {401, 404, 405}
    assert {client.post(path, json={}).status_code for path in paths} <= {401, 404, 405}
    assert client.post("/incidents", json={}).status_code == 401
    assert client.get("/record/acme.tracker", params={"run": "manual__1"}).status_code == 401


def test_a_reader_sees_the_record_of_the_run(client: TestClient) -> None:
    answer = client.get("/record/acme.tracker", params={"run": "manual__1"}, headers={"Authorization": "x"})
    assert (answer.status_code, answer.text) == (200, "<h1>record</h1>")


def test_an_unknown_run_is_not_found(client: TestClient) -> None:
    answer = client.get("/record/acme.tracker", params={"run": "another"}, headers={"Authorization": "x"})
    assert answer.status_code == 404

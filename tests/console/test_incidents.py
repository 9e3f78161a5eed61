"""The incidents' webhook over real HTTP: who may tell, what is taken, and what is refused with every fault."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import HTTPException

from changeover.console.app import build_app
from changeover.domain.incident import LARGEST
from tests.support.incidents import TOKEN, Incidents
from tests.support.records import NOW
from tests.support.surveys import Desk

REPORT = {
    "schema_version": 1, "key": "MON-77", "client": "nordwind", "application": "tryton", "environment": "production",
    "host": "prod-app1", "severity": 2, "summary": "no login", "opened_at": NOW.isoformat(), "at": NOW.isoformat(),
}  # fmt: skip


def nobody() -> None:
    raise HTTPException(401)


@pytest.fixture
def desk() -> Incidents:
    return Incidents()


@pytest.fixture
def http(desk: Incidents) -> Iterator[httpx.Client]:
    app = build_app(may_read=nobody, page=lambda key: None, survey=Desk(), incidents=desk)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        yield client
    server.should_exit = True
    thread.join(20)


def tell(http: httpx.Client, token: str | None = TOKEN, /, **changes: Any) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}".strip()}
    return http.post("/incidents", json=REPORT | changes, headers=headers)


def send(http: httpx.Client, content: Any, kind: str = "application/json") -> httpx.Response:
    return http.post("/incidents", content=content, headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": kind})


def recorded(desk: Incidents) -> list[str]:
    return [incident.number for incident in desk.cmdb.open_incidents("nordwind", "tryton")]


def test_an_incident_is_taken_once_however_often_it_is_told(http: httpx.Client, desk: Incidents) -> None:
    first, again = tell(http), tell(http)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == {
        "schema_version": 1, "number": "INC0000001", "state": "open", "severity": 2, "taken": "created",
    }  # fmt: skip
    assert again.json()["taken"] == "unchanged"
    assert recorded(desk) == ["INC0000001"]


def test_it_is_closed_by_the_same_key(http: httpx.Client, desk: Incidents) -> None:
    tell(http)
    answer = tell(http, state="closed")
    assert (answer.status_code, answer.json()["state"], recorded(desk)) == (200, "closed", [])


def test_many_at_once_are_one_incident(http: httpx.Client, desk: Incidents) -> None:
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(tell(http).status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert set(answers) <= {200, 201}
    assert len(answers) == 8
    assert recorded(desk) == ["INC0000001"]


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1]])
def test_nobody_without_the_token_gets_anywhere(http: httpx.Client, desk: Incidents, token: str | None) -> None:
    answer = tell(http, token, schema_version=9)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "schema_version" not in answer.text
    assert http.post("/incidents", json=REPORT, auth=("x", TOKEN)).status_code == 401
    assert recorded(desk) == []


def test_a_token_speaks_for_its_clients_only(http: httpx.Client, desk: Incidents) -> None:
    desk.clients = ("acme",)
    assert tell(http).status_code == 403
    desk.clients = ("acme", "nordwind")
    assert tell(http).status_code == 201


@pytest.mark.parametrize("token", [None, "", "short"])
def test_without_a_token_worth_its_name_nothing_is_taken(
    http: httpx.Client, desk: Incidents, token: str | None
) -> None:
    desk.token = token
    assert tell(http, token or "").status_code == 503
    assert recorded(desk) == []


def test_every_fault_is_told_at_once(http: httpx.Client, desk: Incidents) -> None:
    wrong = {**REPORT, "severity": 7, "summary": "two\nlines", "opened_at": "2026-11-28 10:00", "colour": "red"}
    del wrong["key"]
    answer = send(http, json.dumps(wrong))
    assert answer.status_code == 422
    assert sorted(fault.partition(":")[0] for fault in answer.json()["faults"]) == [
        "colour", "key", "opened_at", "severity", "summary",
    ]  # fmt: skip
    assert recorded(desk) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schema_version": 2}, "schema_version:"),
        ({"schema_version": True}, "schema_version: has to be a whole number"),
        ({"severity": "1"}, "severity: has to be a whole number"),
        ({"summary": "  "}, "summary:"),
        ({"summary": 5}, "summary:"),
        ({"at": 1764300000}, "at: has to be a time"),
        ({"environment": None}, "environment: has to be named with the host"),
        ({"at": "2020-01-01T00:00:00Z"}, "at: lies before opened_at"),
        ({"at": "2999-01-01T00:00:00Z"}, "at: lies in the future"),
        ({"state": "resolved"}, "state:"),
        ({"host": "app99"}, "host: the CMDB has no host app99 in nordwind/tryton/production"),
        ({"client": "nobody"}, "client: the CMDB has no client nobody"),
    ],
)
def test_a_fault_names_its_place(http: httpx.Client, desk: Incidents, changes: dict[str, Any], told: str) -> None:
    answer = tell(http, **changes)
    assert answer.status_code == 422
    assert answer.json()["faults"][0].startswith(told)
    assert recorded(desk) == []


def test_a_body_that_is_no_report_is_refused(http: httpx.Client, desk: Incidents) -> None:
    assert send(http, b"\xff{}").status_code == 422
    assert send(http, b"[" * 9000).status_code == 422
    assert send(http, b"[]").json()["faults"] == ["body: has to be an object"]
    assert "given twice" in send(http, b'{"key": "a", "key": "b"}').text
    assert send(http, json.dumps(REPORT), "text/plain").status_code == 415
    assert send(http, b'{"key": "' + b"x" * LARGEST + b'"}').status_code == 413
    assert send(http, iter([b"x" * 10_000] * 50)).status_code == 413
    assert http.get("/incidents").status_code == 405
    assert recorded(desk) == []


def test_a_cmdb_that_does_not_answer_is_told_so_that_it_is_tried_again(http: httpx.Client, desk: Incidents) -> None:
    desk.unavailable = True
    answer = tell(http)
    assert answer.status_code == 503
    assert "memory" not in answer.text
    desk.unavailable = False
    assert tell(http).status_code == 201

"""The client of Airflow's REST API: logging in, refusals, outages, and questions to people."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from changeover.orchestration.airflow_client import SETTLED, AirflowClient, AirflowError, DagRun, Request

RUN = DagRun("nordwind.a", "manual__1", "running", None, None, None)


@dataclass
class TinyAirflow:
    """Answers as Airflow's API does; `fail` may answer first."""

    tokens: int = 0
    valid: set[str] = field(default_factory=set)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    connections: dict[str, Any] = field(default_factory=dict)
    answered: str | None = None
    fail: Callable[[httpx.Request], httpx.Response | None] = lambda _request: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        if request.url.path == "/auth/token":
            return self._log_in(body)
        if request.headers["Authorization"].removeprefix("Bearer ") not in self.valid:
            return httpx.Response(401, json={"detail": "Token Expired"})
        self.calls.append((request.method, request.url.path.removeprefix("/api/v2"), body))
        return self.fail(request) or self._route(request, body)

    def _log_in(self, body: Any) -> httpx.Response:
        if body["password"] != "right":
            return httpx.Response(401, json={"detail": "Invalid credentials"})
        self.tokens += 1
        self.valid = {f"token-{self.tokens}"}
        return httpx.Response(201, json={"access_token": f"token-{self.tokens}"})

    def _route(self, request: httpx.Request, body: Any) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v2")
        if path.endswith("/hitlDetails") and request.method == "PATCH":
            self.answered = body["chosen_options"][0]
            return httpx.Response(200, json={})
        if path == "/connections":
            if body["connection_id"] in self.connections:
                return httpx.Response(409, json={"detail": "exists"})
            self.connections[body["connection_id"]] = body
            return httpx.Response(201, json={})
        if path.startswith("/connections/"):
            self.connections[body["connection_id"]] = body
            return httpx.Response(200, json={})
        if path.endswith("/taskInstances"):
            return _page(request)
        if path == "/dags/gone":
            return httpx.Response(404, json={"detail": "not found"})
        return httpx.Response(200, json={"dag_id": "nordwind.a", "dag_run_id": "manual__1", "state": "success"})


def _page(request: httpx.Request) -> httpx.Response:
    offset, limit = int(request.url.params["offset"]), int(request.url.params["limit"])
    ids = [f"task{number}" for number in range(250)]
    items = [
        {"task_id": name, "state": None, "try_number": 0, "start_date": None, "end_date": None}
        for name in ids[offset : offset + limit]
    ]
    return httpx.Response(200, json={"task_instances": items, "total_entries": len(ids)})


def client(airflow: TinyAirflow, *, password: str = "right") -> AirflowClient:
    return AirflowClient("http://airflow", user="anna", password=password, transport=httpx.MockTransport(airflow))


def test_it_logs_in_once_and_again_when_the_token_has_expired() -> None:
    """An upgrade lasts longer than a token."""
    airflow = TinyAirflow()
    anna = client(airflow)
    anna.run("nordwind.a", "manual__1")
    anna.run("nordwind.a", "manual__1")
    assert airflow.tokens == 1
    airflow.valid = set()
    assert anna.run("nordwind.a", "manual__1").ended
    assert airflow.tokens == 2


def test_a_wrong_password_is_told_and_not_tried_again() -> None:
    airflow = TinyAirflow()
    with pytest.raises(AirflowError, match="anna cannot log in") as refused:
        client(airflow, password="wrong").runs("nordwind.a")
    assert refused.value.status == 401


def test_a_refusal_carries_the_status_and_the_reason() -> None:
    """Who is not asked gets 403; the caller can tell it from an outage."""
    airflow = TinyAirflow(fail=lambda _request: httpx.Response(403, json={"detail": "not assigned"}))
    request = Request("nordwind.a", "manual__1", "approve", "Go?", "", ("Approve",), ("petra",), None, ())
    with pytest.raises(AirflowError, match="not assigned") as refused:
        client(airflow).answer(request, "Approve")
    assert refused.value.status == 403
    assert airflow.answered is None


def test_an_answer_comes_no_sooner_than_airflow_can_take_it() -> None:
    """Its scheduler drops an answer that overtakes the end of the asking process; four such fail the gate."""
    came: list[datetime] = []
    airflow = TinyAirflow(fail=lambda _request: came.append(datetime.now(UTC)))
    asked_at = datetime.now(UTC)
    request = Request(
        "nordwind.a", "manual__1", "approve", "Go?", "", ("Approve",), ("anna",), None, (), asked_at=asked_at
    )
    client(airflow).answer(request, "Approve")
    assert airflow.answered == "Approve"
    assert came[-1] >= asked_at + timedelta(seconds=SETTLED)


def test_a_request_put_again_by_a_new_try_is_new() -> None:
    """Airflow keeps the time at which the first try asked."""
    task = {"dag_id": "a", "dag_run_id": "r", "task_id": "approve", "start_date": "2026-11-25T02:00:07Z"}
    detail = {"task_instance": task, "subject": "Go?", "options": ["Approve"], "assigned_users": []}
    detail["created_at"] = "2026-11-25T02:00:00Z"
    page = {"hitl_details": [detail], "total_entries": 1}
    (request,) = client(TinyAirflow(fail=lambda _request: httpx.Response(200, json=page))).requests()
    assert request.asked_at == datetime(2026, 11, 25, 2, 0, 7, tzinfo=UTC)


def test_a_locked_database_is_tried_again() -> None:
    """SQLite's lock makes Airflow answer 500 with nothing done; that is no reason to give up an upgrade."""
    answers = [httpx.Response(500, json={"detail": {"reason": "Database error"}})]
    airflow = TinyAirflow(fail=lambda _request: answers.pop() if answers else None)
    assert client(airflow).trigger("nordwind.a").run_id == "manual__1"
    assert len(airflow.calls) == 2


def test_another_failure_of_the_server_is_not_tried_again() -> None:
    """A trigger that may have been done must not be done twice."""
    airflow = TinyAirflow(fail=lambda _request: httpx.Response(500, text="Internal Server Error"))
    with pytest.raises(AirflowError, match="500"):
        client(airflow).trigger("nordwind.a")
    assert len(airflow.calls) == 1


def test_reading_outlives_a_restart_of_the_api_server() -> None:
    """It answers again within the minute."""
    outages = [httpx.ConnectError("refused"), httpx.ConnectError("refused")]

    def fail(_request: httpx.Request) -> None:
        if outages:
            raise outages.pop()

    assert client(TinyAirflow(fail=fail)).run("nordwind.a", "manual__1").state == "success"


def test_writing_through_an_outage_is_an_error_at_once() -> None:
    """It is not known whether it was done; a person decides."""

    def fail(_request: httpx.Request) -> None:
        raise httpx.ReadError("reset")

    with pytest.raises(AirflowError, match="does not answer") as broken:
        client(TinyAirflow(fail=fail)).trigger("nordwind.a")
    assert broken.value.status is None


def test_every_page_of_tasks_is_read() -> None:
    """A plan with many environments has more tasks than a page."""
    assert len(client(TinyAirflow()).tasks(RUN)) == 250


def test_parts_that_do_not_beat_are_named() -> None:
    """The API answers, and the scheduler is dead: a part that was never started is nobody's loss."""

    def health(request: httpx.Request) -> httpx.Response | None:
        parts = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}}
        parts |= {"dag_processor": {"status": "healthy"}, "triggerer": {"status": None}}  # type: ignore[dict-item]
        return httpx.Response(200, json=parts) if request.url.path.endswith("/monitor/health") else None

    assert client(TinyAirflow(fail=health)).unhealthy() == ("scheduler",)


def test_an_unknown_dag_is_an_answer() -> None:
    assert client(TinyAirflow()).dag_version("gone") is None


def test_a_connection_is_made_or_replaced() -> None:
    """The extra field goes as JSON text, as Airflow wants it."""
    airflow = TinyAirflow()
    admin = client(airflow)
    admin.put_connection("ssh_nordwind", {"conn_type": "ssh", "extra": {"private_key": "one"}})
    admin.put_connection("ssh_nordwind", {"conn_type": "ssh", "extra": {"private_key": "two"}})
    assert json.loads(airflow.connections["ssh_nordwind"]["extra"]) == {"private_key": "two"}


def test_names_are_quoted_in_addresses() -> None:
    """Run ids hold colons and plus signs."""
    airflow = TinyAirflow()
    seen: list[bytes] = []
    airflow.fail = lambda request: seen.append(request.url.raw_path)
    client(airflow).run("nordwind.a", "manual__2026-01-01T00:00:00+00:00")
    assert seen == [b"/api/v2/dags/nordwind.a/dagRuns/manual__2026-01-01T00%3A00%3A00%2B00%3A00"]

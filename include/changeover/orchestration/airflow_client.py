"""Airflow through its public REST API, as one person who may log in; nothing of Airflow is imported."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import quote

import httpx

from changeover.errors import ChangeoverError

ENDED = ("success", "failed")
PATIENCE = 60.0
"""Seconds for which reading is tried again while the API server does not answer (it may be starting again)."""
SETTLED = 0.75
"""Seconds that a request is left alone: the scheduler takes an answer that comes before it has heard that the asking
task's process ended for a task killed from outside, drops the answer, and counts a try (Airflow 3.3.2)."""


class AirflowError(ChangeoverError):
    """Airflow did not start, cannot be reached, or refused a request (`status` is the HTTP status then)."""

    def __init__(self, what: str, *, status: int | None = None, where: str = "", then: str = "") -> None:
        self.status = status
        super().__init__(what, where=where, then=then)


@dataclass(frozen=True)
class DagRun:
    dag_id: str
    run_id: str
    state: str
    started_at: datetime | None
    ended_at: datetime | None
    bundle_version: str | None
    version_numbers: tuple[int, ...] = ()

    @property
    def ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True)
class Task:
    """One task instance; `state` is None until it is scheduled."""

    task_id: str
    state: str | None
    try_number: int
    started_at: datetime | None
    ended_at: datetime | None
    title: str = ""
    id: str = ""
    """Of this very try; processes carry it in their title."""


@dataclass(frozen=True)
class Request:
    """A question a run asks of people; `asked` are the logins that may answer."""

    dag_id: str
    run_id: str
    task_id: str
    subject: str
    body: str
    options: tuple[str, ...]
    asked: tuple[str, ...]
    answered_by: str | None
    chosen: tuple[str, ...]
    state: str | None = None
    """Of the task that asks. A request whose time is over has no answer, and its task has ended."""
    asked_at: datetime | None = None

    @property
    def waits(self) -> bool:
        return self.answered_by is None and self.state not in _TASK_ENDED


_BEATING = ("scheduler", "dag_processor", "triggerer")
_TASK_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class AirflowClient:
    """Logs in on first use and again when the token has expired. Safe to keep for the length of an upgrade."""

    def __init__(
        self, url: str, *, user: str, password: str, timeout: float = 60.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.user, self._password = user, password
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=False, transport=transport)
        self._token = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # ---- DAGs and runs

    def dag_version(self, dag_id: str) -> int | None:
        """Number of the newest version of a DAG; None while Airflow does not know the DAG, or no longer offers it."""
        if self._offered(dag_id) is None:
            return None
        versions = self._read(f"/dags/{_part(dag_id)}/dagVersions", order_by="-version_number", limit=1)
        found = versions["dag_versions"] if versions else []
        return int(found[0]["version_number"]) if found else None

    def bundle_version(self, dag_id: str) -> str | None:
        """The version of the plans that a run started now is pinned to; None while Airflow offers no such DAG."""
        dag = self._offered(dag_id)
        return dag["bundle_version"] if dag else None

    def _offered(self, dag_id: str) -> Any:
        dag = self._read(f"/dags/{_part(dag_id)}", absent_ok=True)
        return dag if dag and not dag["is_stale"] else None

    def wait_for_dag(self, dag_id: str, *, timeout: float = 60.0, newer_than: int = 0) -> int:
        """Wait until the DAG is offered in a version above `newer_than`; its number."""
        deadline = time.monotonic() + timeout
        while True:
            version = self.dag_version(dag_id)
            if version is not None and version > newer_than:
                return version
            if time.monotonic() > deadline:
                faults = "; ".join(self.import_errors().values())
                raise AirflowError(
                    f"Airflow did not show {dag_id} within {timeout:.0f} s" + (f": {faults}" if faults else ""),
                    then="check the plan with `changeover plan check`, and the log of the dag-processor",
                )
            time.sleep(0.3)

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, note: str | None = None) -> DagRun:
        """Start a run now."""
        body = {"logical_date": None, "conf": dict(conf or {}), "note": note}
        return _run(self._call("POST", f"/dags/{_part(dag_id)}/dagRuns", json_body=body))

    def run(self, dag_id: str, run_id: str) -> DagRun:
        return _run(self._read(_run_path(dag_id, run_id)))

    def runs(self, dag_id: str, *, limit: int = 20) -> tuple[DagRun, ...]:
        """Newest first."""
        page = self._read(f"/dags/{_part(dag_id)}/dagRuns", order_by="-run_after", limit=limit)
        return tuple(_run(run) for run in page["dag_runs"])

    def wait(
        self,
        run: DagRun,
        *,
        timeout: float,
        on_poll: Callable[[DagRun], None] = lambda run: None,
        interval: float = 0.5,
    ) -> DagRun:
        """Wait for the run's end, telling `on_poll` each time; raise `AirflowError` when it does not come in time."""
        deadline = time.monotonic() + timeout
        while True:
            now = self.run(run.dag_id, run.run_id)
            on_poll(now)
            if now.ended:
                return now
            if time.monotonic() > deadline:
                raise AirflowError(
                    f"{run.run_id} has not ended after {timeout:.0f} s; it is {now.state}",
                    where=run.dag_id,
                    then="look at the run in Airflow; it goes on by itself",
                )
            time.sleep(interval)

    def mark_run(self, run: DagRun, state: str) -> DagRun:
        """Set the run's state by hand: success, failed or queued."""
        return _run(self._call("PATCH", _run_path(run.dag_id, run.run_id), json_body={"state": state}))

    def pause(self, dag_id: str, *, paused: bool) -> None:
        self._call("PATCH", f"/dags/{_part(dag_id)}", json_body={"is_paused": paused})

    def is_paused(self, dag_id: str) -> bool:
        return bool(self._read(f"/dags/{_part(dag_id)}")["is_paused"])

    # ---- tasks

    def tasks(self, run: DagRun) -> Mapping[str, Task]:
        """Every task of the run by id."""
        found: dict[str, Task] = {}
        while True:
            page = self._read(f"{_run_path(run.dag_id, run.run_id)}/taskInstances", limit=100, offset=len(found))
            found |= {item["task_id"]: _task(item) for item in page["task_instances"]}
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def task(self, run: DagRun, task_id: str) -> Task:
        return _task(self._read(f"{_run_path(run.dag_id, run.run_id)}/taskInstances/{_part(task_id)}"))

    def clear(
        self,
        run: DagRun,
        task_ids: Iterable[str],
        *,
        downstream: bool = True,
        only_failed: bool = False,
        latest_version: bool | None = None,
    ) -> tuple[str, ...]:
        """Have tasks run again; the answer names what was cleared."""
        body = {
            "dry_run": False,
            "dag_run_id": run.run_id,
            "task_ids": list(task_ids),
            "include_downstream": downstream,
            "only_failed": only_failed,
            "reset_dag_runs": True,
            "run_on_latest_version": latest_version,
        }
        page = self._call("POST", f"/dags/{_part(run.dag_id)}/clearTaskInstances", json_body=body)
        return tuple(item["task_id"] for item in page["task_instances"])

    def mark_task(self, run: DagRun, task_id: str, state: str) -> None:
        """Set a task's state by hand: success, failed or skipped."""
        path = f"{_run_path(run.dag_id, run.run_id)}/taskInstances/{_part(task_id)}"
        self._call("PATCH", path, json_body={"new_state": state})

    def log(self, run: DagRun, task_id: str, *, try_number: int = 1) -> str:
        """What a task wrote, as text, with the reason of every exception."""
        path = f"{_run_path(run.dag_id, run.run_id)}/taskInstances/{_part(task_id)}/logs/{try_number}"
        document = self._read(path, full_content=True)
        return "\n".join(text for line in document["content"] for text in _log_lines(line))

    # ---- people

    def requests(self, run: DagRun | None = None, *, answered: bool | None = False) -> tuple[Request, ...]:
        """Questions to people, of one run or of all; by default those still open."""
        path = _run_path(run.dag_id, run.run_id) if run else "/dags/~/dagRuns/~"
        query: dict[str, Any] = {"limit": 100}
        if answered is not None:
            query["response_received"] = answered
        found: list[Request] = []
        while True:
            page = self._read(f"{path}/hitlDetails", offset=len(found), **query)
            found += map(_request, page["hitl_details"])
            if not page["hitl_details"] or len(found) >= page.get("total_entries", 0):
                return tuple(found)

    def answer(self, request: Request, option: str, *, comment: str = "") -> None:
        """Answer as this client's person; `AirflowError` has status 403 for who is not asked, 409 once answered.

        An answer to a request of this very second waits until Airflow can take it.
        """
        if request.asked_at:
            age = (datetime.now(UTC) - request.asked_at).total_seconds()
            time.sleep(min(SETTLED, max(0.0, SETTLED - age)))  # the server's clock may be another
        path = f"{_run_path(request.dag_id, request.run_id)}/taskInstances/{_part(request.task_id)}/-1/hitlDetails"
        said = {"comment": comment} if comment else {}
        self._call("PATCH", path, json_body={"chosen_options": [option], "params_input": said})

    # ---- administration

    def unhealthy(self) -> tuple[str, ...]:
        """Components whose heartbeat is too old, while the API answers."""
        parts = self._read("/monitor/health")
        return tuple(
            name.replace("_", "-") for name in _BEATING if (parts.get(name) or {}).get("status") == "unhealthy"
        )

    def import_errors(self) -> Mapping[str, str]:
        """What Airflow cannot import: file below its bundle → the reason."""
        page = self._read("/importErrors", limit=100)
        return {item["filename"]: item["stack_trace"] for item in page["import_errors"]}

    def put_connection(self, name: str, fields: Mapping[str, Any]) -> None:
        """Make the connection hold exactly these fields (conn_type, host, login, password, port, extra)."""
        extra = fields.get("extra")
        body = {
            **fields,
            "connection_id": name,
            "extra": json.dumps(extra) if isinstance(extra, Mapping) else extra,
        }
        try:
            self._call("POST", "/connections", json_body=body)
        except AirflowError as exc:
            if exc.status != 409:
                raise
            self._call("PATCH", f"/connections/{_part(name)}", json_body=body)

    # ---- transport

    def _read(self, path: str, *, absent_ok: bool = False, **query: Any) -> Any:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._call("GET", path, query=query)
            except AirflowError as exc:
                if exc.status == 404 and absent_ok:
                    return None
                if exc.status is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _call(self, method: str, path: str, *, json_body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        response = self._send(method, path, json_body, query)
        for _ in range(3):
            if response.status_code == 401:
                self._token = ""  # it has expired
            elif response.status_code != 500 or "Database error" not in response.text:
                break
            # Otherwise SQLite stayed locked and the request was rolled back: nothing of it was done.
            response = self._send(method, path, json_body, query)
        if response.is_error:
            raise AirflowError(
                f"Airflow refused {method} {path} for {self.user}: {_detail(response)}",
                status=response.status_code,
                where=str(response.request.url),
            )
        return response.json() if response.content else None

    def _send(self, method: str, path: str, json_body: Any, query: Mapping[str, Any] | None) -> httpx.Response:
        try:
            if not self._token:
                self._token = self._log_in()
            headers = {"Authorization": f"Bearer {self._token}"}
            return self._http.request(method, f"/api/v2{path}", json=json_body, params=query, headers=headers)
        except httpx.TransportError as exc:
            raise AirflowError(
                f"Airflow's API does not answer: {exc}",
                where=str(self._http.base_url),
                then="start it with `changeover serve`, or read the log of the api-server",
            ) from exc

    def _log_in(self) -> str:
        response = self._http.post("/auth/token", json={"username": self.user, "password": self._password})
        if response.is_error:
            raise AirflowError(
                f"{self.user} cannot log in to Airflow: {_detail(response)}",
                status=response.status_code,
                where=str(self._http.base_url),
                then="logins are fixed when Airflow starts; start it again for a new person",
            )
        return str(response.json()["access_token"])


def _detail(response: httpx.Response) -> str:
    try:
        detail = response.json().get("detail")
    except (ValueError, AttributeError):
        return f"{response.status_code} {response.text[:200]}"
    return f"{response.status_code} {detail if isinstance(detail, str) else json.dumps(detail)}"


def _log_lines(line: Any) -> list[str]:
    if not isinstance(line, Mapping):
        return [str(line)]
    reasons = line.get("error_detail") or ()
    return [str(line.get("event", "")), *(f"{reason.get('exc_type')}: {reason.get('exc_value')}" for reason in reasons)]


def _part(name: str) -> str:
    return quote(name, safe="~")


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{_part(dag_id)}/dagRuns/{_part(run_id)}"


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _run(item: Mapping[str, Any]) -> DagRun:
    return DagRun(
        item["dag_id"],
        item["dag_run_id"],
        item["state"],
        _time(item.get("start_date")),
        _time(item.get("end_date")),
        item.get("bundle_version"),
        tuple(int(version["version_number"]) for version in item.get("dag_versions") or ()),
    )


def _task(item: Mapping[str, Any]) -> Task:
    return Task(
        item["task_id"],
        item["state"],
        int(item["try_number"]),
        _time(item["start_date"]),
        _time(item["end_date"]),
        item.get("task_display_name") or "",
        str(item.get("id") or ""),
    )


def _request(item: Mapping[str, Any]) -> Request:
    task = item["task_instance"]
    answered = item.get("responded_by_user") or {}
    return Request(
        task["dag_id"],
        task["dag_run_id"],
        task["task_id"],
        item["subject"],
        item.get("body") or "",
        tuple(item["options"]),
        tuple(person["id"] for person in item["assigned_users"]),
        answered.get("id"),
        tuple(item.get("chosen_options") or ()),
        task.get("state"),
        max(filter(None, map(_time, (item.get("created_at"), task.get("start_date")))), default=None),
    )

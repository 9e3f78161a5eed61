"""The watch under a real scheduler: it waits without a worker, asks by itself, and goes on or ends as people say."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from changeover import wiring
from changeover.cli_approve import open_gates
from changeover.domain.estate import Estate
from changeover.domain.hypercare import asked_rows
from changeover.domain.record import MarkKind, run_key
from changeover.orchestration.airflow_client import AirflowError, DagRun, Request
from changeover.settings import PROJECT
from tests.support.airflow import TestAirflow, airflow, settings_at
from tests.support.content import put
from tests.support.sshd import free_port

pytestmark = pytest.mark.e2e
DAG = "lindgren.roundup-2.6"
TEXT = (PROJECT / "include/plans/lindgren/roundup-2.6.yaml").read_text(encoding="utf-8")
TOKEN = "t" * 40
PEOPLE = {"jonas.weber": "op", "petra.lang": "op", "erik.lindgren": "op", "mira.schulz": "op"}
WATCH = """hypercare:
    length: 1h
    interval: 3s
    reopens: {failed_looks: 1}
    decided_by: {by: [petra.lang], wait: 10m}
"""


def a_key() -> str:
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        .decode()
    )


def an_estate() -> Estate:
    """Hosts on ports at which nothing listens."""
    port = free_port()
    environments: list[dict[str, Any]] = [
        {
            "name": name,
            "kind": name,
            "application": "roundup",
            "version": "2.6.0",
            "hosts": [
                {
                    "name": f"{name}1",
                    "address": f"127.0.88.{n}",
                    "port": port,
                    "user": "nobody",
                    "connection": "ssh_lindgren",
                }
            ],
        }
        for n, name in enumerate(("baseline", "training", "production"), start=1)
    ]
    client = {"slug": "lindgren", "name": "Lindgren Maskin AB"}
    return Estate.model_validate(
        {"client": client, "applications": [{"slug": "roundup"}], "environments": environments}
    )


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAirflow]:
    root = tmp_path_factory.mktemp("hypercare")
    watched = "hypercare: {length: 5s, interval: 2s}\n"
    assert watched in TEXT
    put(root / "plans" / "lindgren" / "roundup-2.6.yaml", TEXT.replace(watched, WATCH, 1))
    settings = settings_at(root / "home", plans=root / "plans")
    wiring.make_own_databases(settings)
    wiring.cmdb(settings).import_estate(an_estate())
    with airflow(
        settings,
        people=PEOPLE,
        plan_builder="tests.support.watch_dag.build_dag",
        environment={
            "PYTHONPATH": os.pathsep.join((str(PROJECT / "include"), str(PROJECT))),
            "AIRFLOW_CONN_CHANGEOVER_INCIDENTS": json.dumps(
                {"conn_type": "generic", "password": TOKEN, "extra": {"clients": ["lindgren"]}}
            ),
            "AIRFLOW_CONN_SSH_LINDGREN": json.dumps({"conn_type": "ssh", "extra": {"private_key": a_key()}}),
        },
    ) as running:
        yield running


def waiting(started: TestAirflow, run: DagRun, *, timeout: float = 150) -> Request:
    """The request that waits, once somebody has had the time to read it (see test_quorum)."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = [request for request in started.client().requests(run) if request.state == "awaiting_input"]
        if found:
            time.sleep(4)
            return found[0]
        time.sleep(0.3)
    raise AssertionError(f"nobody is asked\n{started.logs()}")


def until_asked(started: TestAirflow, key: str, *, times: int, timeout: float = 90) -> None:
    """The request before is shown until the next one is put in its place."""
    ledger, deadline = wiring.ledger(started.settings), time.monotonic() + timeout
    while len(ledger.marks(key, kind=MarkKind.HYPERCARE_REOPENED)) < times:
        assert time.monotonic() < deadline, started.logs()
        time.sleep(0.3)


def tell(started: TestAirflow, token: str) -> httpx.Response:
    """A critical incident of production, over the console that Airflow's API server carries."""
    now = datetime.now(UTC).isoformat()
    report = {
        "schema_version": 1, "key": "MON-1", "client": "lindgren", "application": "roundup", "severity": 1,
        "environment": "production", "summary": "issues are lost", "opened_at": now, "at": now,
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(f"{started.server.url}/changeover/incidents", json=report, headers=headers, timeout=30)


def test_a_reopened_decision_is_put_to_people_and_followed(started: TestAirflow) -> None:
    started.client().wait_for_dag(DAG, timeout=150)
    run = started.client("jonas.weber").trigger(DAG)
    key = run_key(run.dag_id, run.run_id)
    ledger = wiring.ledger(started.settings)
    asked = waiting(started, run)
    assert asked.asked == ("petra.lang",)
    assert "[record](/changeover/record/lindgren.roundup-2.6?run=" in asked.body
    assert "production1: it gave no report" in dict(asked_rows(ledger.marks(key)))["why"]
    assert [gate.gate for gate in open_gates(started.client().requests(run))] == ["hypercare"]
    assert not started.task_processes(run), "no worker is held while people are waited for"
    with pytest.raises(AirflowError) as refused:
        started.client("erik.lindgren").answer(asked, "Approve")
    assert refused.value.status == 403
    assert tell(started, "wrong" * 8).status_code == 401
    told = tell(started, TOKEN)
    assert (told.status_code, told.json()["number"]) == (201, "INC0000001")
    petra = started.client("petra.lang")
    petra.answer(asked, "Approve", comment="the network is being repaired")
    until_asked(started, key, times=2)
    second = waiting(started, run)
    assert "INC0000001 (severity 1, critical): issues are lost" in dict(asked_rows(ledger.marks(key)))["open incidents"]
    looks = len(ledger.marks(key, kind=MarkKind.HYPERCARE_CHECKED))
    assert looks == 2, "after a keep it waited, looked once more, and asked again"
    petra.answer(second, "Reject")
    assert started.client().wait(run, timeout=90).state == "failed"
    assert [mark.data["by"] for mark in ledger.marks(key, kind=MarkKind.HYPERCARE_KEPT)] == ["petra.lang"]
    said = [(mark.kind, mark.data["by"]) for mark in ledger.marks(key) if mark.data.get("gate") == "hypercare"
            and mark.kind in (MarkKind.APPROVED, MarkKind.REJECTED)]  # fmt: skip
    assert said == [(MarkKind.APPROVED, "petra.lang"), (MarkKind.REJECTED, "petra.lang")]
    assert len(ledger.marks(key, kind=MarkKind.HYPERCARE_REOPENED)) == 2

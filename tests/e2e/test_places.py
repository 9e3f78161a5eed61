"""A lane that finds no place, under a real scheduler: it waits without a worker, and goes on when the place is free."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from changeover import wiring
from changeover.adapters.cmdb_sql import SqlCmdb
from changeover.domain.cap import Claim
from changeover.domain.estate import Estate
from changeover.domain.record import MarkKind, run_key
from changeover.settings import PROJECT
from tests.support.airflow import TestAirflow, airflow, settings_at
from tests.support.content import put

pytestmark = pytest.mark.e2e
DAG = "lindgren.roundup-2.6"
OTHER = Claim("other.run", "other.erp", "other", "erp", "production", "production", ("other",), (), datetime.now(UTC))
CAPS = "schema_version: 1\ncaps:\n  - {name: engineers, at_most: 1, reason: one is on duty}\n"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAirflow]:
    root: Path = tmp_path_factory.mktemp("places")
    put(
        root / "plans/lindgren/roundup-2.6.yaml",
        (PROJECT / "include/plans" / f"{DAG.replace('.', '/', 1)}.yaml").read_text(),
    )
    put(root / "caps.yaml", CAPS)
    settings = replace(settings_at(root / "home", plans=root / "plans"), caps=root / "caps.yaml")
    wiring.make_own_databases(settings)
    estate = {
        "client": {"slug": "lindgren", "name": "Lindgren"},
        "applications": [{"slug": "roundup"}],
        "environments": [],
    }
    SqlCmdb(settings.cmdb_url).import_estate(Estate.model_validate(estate))
    with airflow(
        settings,
        people={"jonas.weber": "op"},
        plan_builder="tests.support.place_dag.build_dag",
        environment={"PYTHONPATH": os.pathsep.join((str(PROJECT / "include"), str(PROJECT)))},
    ) as running:
        yield running


def test_a_lane_waits_for_its_place_without_a_worker(started: TestAirflow) -> None:
    client, fleet = started.client(), wiring.fleet(started.settings)
    client.wait_for_dag(DAG, timeout=150)
    assert fleet.take(OTHER, lambda held: ()) == ()
    run = started.client("jonas.weber").trigger(DAG)
    ledger, key = wiring.ledger(started.settings), run_key(run.dag_id, run.run_id)
    deadline = time.monotonic() + 60
    while not ledger.marks(key, kind=MarkKind.WAITING):
        assert time.monotonic() < deadline, started.logs()
        time.sleep(0.5)
    (waits,) = ledger.marks(key, kind=MarkKind.WAITING)
    assert "engineers allows 1 at a time (one is on duty), taken by other.erp production" in waits.data["reason"]
    time.sleep(4)
    assert started.task_processes(run) == []
    fleet.give_back(OTHER.run, OTHER.environment, datetime.now(UTC))
    assert client.wait(run, timeout=120).state == "success"
    assert [claim.plan for claim in fleet.held()] == [DAG]
    assert len(ledger.marks(key, kind=MarkKind.WAITING)) == 1

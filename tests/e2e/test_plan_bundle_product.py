"""The product's own plans and factory under a real scheduler: they are presented, steady, and pinned."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from changeover import wiring
from changeover.adapters.plan_files import plan_digest
from changeover.domain.record import run_key
from changeover.orchestration.plan_store import PlanStore
from changeover.orchestration.take_plan import wait_until_taken
from changeover.orchestration.workflow import ApiWorkflow
from changeover.settings import PROJECT
from tests.support.airflow import TestAirflow, airflow, settings_at
from tests.support.records import a_run

pytestmark = pytest.mark.e2e
DAGS = ("nordwind.tryton-8.0", "lindgren.roundup-2.6")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAirflow]:
    root = tmp_path_factory.mktemp("product")
    shutil.copytree(PROJECT / "include" / "plans", root / "plans")
    with airflow(settings_at(root / "home", plans=root / "plans")) as running:
        yield running


def test_every_shipped_plan_is_a_dag_and_nothing_is_wrong(started: TestAirflow) -> None:
    """The housekeeping and the sweep as well."""
    for dag_id in (*DAGS, "changeover.housekeeping", "changeover.sweep", "changeover.notices"):
        started.client().wait_for_dag(dag_id)
    assert started.client().import_errors() == {}


def test_no_version_is_added_by_parsing_again(started: TestAirflow) -> None:
    """Two dag-processors, one after the other, see the same DAGs."""
    before = {dag_id: started.client().wait_for_dag(dag_id) for dag_id in DAGS}
    started.wait_restarted("dag-processor", started.kill("dag-processor"))
    time.sleep(8)
    assert {dag_id: started.client().dag_version(dag_id) for dag_id in DAGS} == before


def test_a_run_is_recorded_on_the_text_it_began_with(started: TestAirflow) -> None:
    """Edited a moment after the start; the CMDB is empty, so the run is refused and touches nothing."""
    client, settings = started.client(), started.settings
    path: Path = settings.plans / "nordwind" / "tryton-8.0.yaml"
    version, old = client.wait_for_dag(DAGS[0]), path.read_bytes()
    run = client.trigger(DAGS[0], {"mode": "implement", "reason": "a test"})
    path.write_bytes(old.replace(b"title: ", b"title: Edited "))
    client.wait_for_dag(DAGS[0], newer_than=version)
    ended = client.wait(run, timeout=180)
    assert ended.state == "failed"
    recorded = wiring.ledger(settings).run(run_key(run.dag_id, run.run_id))
    assert recorded is not None
    assert recorded.plan_digest == plan_digest(old)
    assert str(wiring.ledger(settings).outcomes(recorded.key)[""].outcome) == "refused"


def test_a_run_that_waited_for_its_text_is_one_of_that_text(started: TestAirflow) -> None:
    """The store has an edited text before Airflow's DAG has it; five edits, each started at once."""
    client, settings = started.client(), started.settings
    path: Path = settings.plans / "nordwind" / "tryton-8.0.yaml"
    store, text = PlanStore(settings.plan_store), path.read_bytes()
    for number in range(5):
        edited = text.replace(b"title: ", f"title: Edited {number} times, ".encode())
        path.write_bytes(edited)
        wait_until_taken(client, store, DAGS[0], plan_digest(edited), timeout=60)
        run = client.trigger(DAGS[0], {"mode": "implement", "reason": "a test"})
        assert run.bundle_version is not None
        assert store.manifest(run.bundle_version).plans[DAGS[0]].digest == plan_digest(edited)
        client.wait(run, timeout=180)


def test_a_sweep_sees_what_became_of_other_runs(started: TestAirflow) -> None:
    """One run that Airflow ended and one that it does not know; the API for people tells the same of both."""
    client, ledger = started.client(), wiring.ledger(started.settings)
    client.wait_for_dag("changeover.housekeeping")
    kept = client.wait(client.trigger("changeover.housekeeping"), timeout=180)
    ended = ledger.open_run(a_run("ended-run", dag_id=kept.dag_id, dag_run_id=kept.run_id))
    lost = ledger.open_run(a_run("lost-run", opened_at=datetime.now(UTC) - timedelta(days=1)))
    api = ApiWorkflow(client)
    assert (api.state(ended), api.state(lost)) == (kept.state, None)
    client.wait_for_dag("changeover.sweep")
    swept = client.wait(client.trigger("changeover.sweep"), timeout=180)
    assert swept.state == "failed"
    told = client.log(swept, "compare")
    assert "run ended-run has no end in the ledger, and Airflow's run ended" in told
    assert "run lost-run has no end in the ledger, and Airflow does not know it" in told

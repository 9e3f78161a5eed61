"""A quorum under a real scheduler: Airflow keeps one answer per request, so the same request is put again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from changeover import wiring
from changeover.cli import app
from changeover.domain.record import MarkKind, run_key
from changeover.orchestration.airflow_client import AirflowError, DagRun, Request
from changeover.settings import PROJECT
from tests.support.airflow import TestAirflow, airflow, settings_at
from tests.support.content import put

pytestmark = pytest.mark.e2e
DAG = "lindgren.roundup-2.6"
TEXT = (PROJECT / "include/plans/lindgren/roundup-2.6.yaml").read_text(encoding="utf-8")
PEOPLE = {"jonas.weber": "op", "petra.lang": "op", "erik.lindgren": "op", "mira.schulz": "op"}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAirflow]:
    root = tmp_path_factory.mktemp("quorum")
    asked = "  by: [erik.lindgren, petra.lang]\n"
    assert asked in TEXT
    text = TEXT.replace(asked, f"{asked}  quorum: 2\n", 1)
    put(root / "plans" / "lindgren" / "roundup-2.6.yaml", text)
    with airflow(
        settings_at(root / "home", plans=root / "plans"),
        people=PEOPLE,
        plan_builder="tests.support.gate_dag.build_dag",
        environment={"PYTHONPATH": os.pathsep.join((str(PROJECT / "include"), str(PROJECT)))},
    ) as running:
        yield running


def waiting(started: TestAirflow, run: DagRun, *, timeout: float = 90) -> Request:
    """The request that waits, once somebody has had the time to read it.

    An answer in the second in which Airflow parks the task can be lost; the task's retry then asks once more.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = [request for request in started.client().requests(run) if request.state == "awaiting_input"]
        if found:
            time.sleep(4)
            return found[0]
        time.sleep(0.3)
    raise AssertionError(f"nobody is asked\n{started.logs()}")


def begin(started: TestAirflow) -> DagRun:
    started.client().wait_for_dag(DAG, timeout=150)
    return started.client("jonas.weber").trigger(DAG)


def test_the_request_is_put_again_until_the_quorum_is_reached(started: TestAirflow) -> None:
    run = begin(started)
    asked = waiting(started, run)
    assert set(asked.asked) == {"erik.lindgren", "petra.lang"}
    assert "| client | lindgren |" in asked.body
    with pytest.raises(AirflowError) as refused:
        started.client("jonas.weber").answer(asked, "Approve")
    assert refused.value.status == 403
    with pytest.raises(AirflowError) as guessed:
        started.server.client("petra.lang", password="guessed").answer(asked, "Approve")
    assert guessed.value.status == 401, "as `approve --as` tells whoever has somebody else's session"
    petra = started.client("petra.lang")
    petra.answer(asked, "Approve", comment="looks well")
    petra.answer(waiting(started, run), "Approve", comment="looks well")  # counts once
    started.client("erik.lindgren").answer(waiting(started, run), "Approve")
    assert started.client().wait(run, timeout=90).state == "success"
    marks = wiring.ledger(started.settings).marks(run_key(run.dag_id, run.run_id), kind=MarkKind.APPROVED)
    assert [(mark.data["by"], mark.data.get("comment")) for mark in marks] == [
        ("petra.lang", "looks well"),
        ("erik.lindgren", None),
    ]


def test_an_abort_withdraws_the_request(started: TestAirflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads on their list what an answer could not begin any more."""
    run = begin(started)
    asked = waiting(started, run)
    monkeypatch.setenv("CHANGEOVER_HOME", str(started.settings.home))
    monkeypatch.setenv("CHANGEOVER_PLANS", str(started.settings.plans))
    key = run_key(run.dag_id, run.run_id)
    told = CliRunner().invoke(app, ["abort", key, "--by", "petra.lang", "--reason", "the vendor recalled it"])
    assert (told.exit_code, f"withdrawn: the request of {asked.task_id}" in told.output) == (0, True), told.output
    assert started.client().wait(run, timeout=90).state == "failed"
    assert [request for request in started.client().requests(run) if request.waits] == []
    assert wiring.ledger(started.settings).marks(key, kind=MarkKind.APPROVED) == ()


def test_a_rejection_after_an_approval_fails_the_run(started: TestAirflow) -> None:
    run = begin(started)
    started.client("petra.lang").answer(waiting(started, run), "Approve")
    started.client("erik.lindgren").answer(waiting(started, run), "Reject")
    assert started.client().wait(run, timeout=90).state == "failed"

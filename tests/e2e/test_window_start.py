"""Unattended plans under a real scheduler: started at the opening, or missed and nothing touched; never caught up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from changeover import wiring
from changeover.domain.record import Mark, MarkKind, run_key
from changeover.orchestration.airflow_client import DagRun
from changeover.settings import PROJECT
from tests.support.airflow import TestAirflow, airflow, settings_at
from tests.support.content import put

pytestmark = pytest.mark.e2e
TEXT = (PROJECT / "include/plans/lindgren/roundup-2.6.yaml").read_text(encoding="utf-8")
ANY_TIME = "    window:\n      kind: any_time\n      reason: The lab is nobody's production\n"


def write(plans: Path, name: str, opens: datetime, *, tolerance: str, end: datetime | None = None) -> str:
    """A plan that starts by itself at an opening in UTC; its DAG id."""
    end = end or opens + timedelta(hours=4)
    window = (
        f'    window: {{kind: dated, zone: UTC, on: {opens:%Y-%m-%d}, start: "{opens:%H:%M}", end: "{end:%H:%M}", '
        f"late_start_tolerance: {tolerance}}}\n"
    )
    head, _, tail = TEXT.rpartition(ANY_TIME)
    text = f"{head}{window}{tail}".replace("upgrade: roundup-2.6\n", f"upgrade: {name}\n")
    put(plans / "lindgren" / f"{name}.yaml", f"{text}\nunattended: {{window_of: production}}\n")
    return f"lindgren.{name}"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAirflow]:
    root = tmp_path_factory.mktemp("windows")
    now = datetime.now(UTC)
    write(root / "plans", "late", now - timedelta(minutes=40), tolerance="1m")
    write(root / "plans", "over", now - timedelta(hours=2), tolerance="1m", end=now - timedelta(hours=1))
    with airflow(settings_at(root / "home", plans=root / "plans")) as running:
        yield running


def wait_for_run(started: TestAirflow, dag_id: str, *, timeout: float) -> DagRun:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if runs := started.client().runs(dag_id):
            return started.client().wait(runs[0], timeout=120)
        time.sleep(0.5)
    raise AssertionError(f"no run of {dag_id} within {timeout:.0f} s\n{started.logs()}")


def outcome(started: TestAirflow, run: DagRun) -> str:
    return str(wiring.ledger(started.settings).outcomes(run_key(run.dag_id, run.run_id))[""].outcome)


def missed(started: TestAirflow, run: DagRun) -> tuple[Mark, ...]:
    return wiring.ledger(started.settings).marks(run_key(run.dag_id, run.run_id), kind=MarkKind.WINDOW_MISSED)


def next_minute(*, ahead: float) -> datetime:
    soon = datetime.now(UTC) + timedelta(seconds=ahead + 60)
    return soon.replace(second=0, microsecond=0)


def test_a_window_opens_and_the_upgrade_starts_by_itself(started: TestAirflow) -> None:
    """To the second, once, with the night it is for in its name; the empty CMDB then refuses it."""
    opens = next_minute(ahead=20)
    dag_id = write(started.settings.plans, "soon", opens, tolerance="1m")
    started.client().wait_for_dag(dag_id)
    assert started.client()._read(f"/dags/{dag_id}")["next_dagrun_run_after"].startswith(f"{opens:%Y-%m-%dT%H:%M:%S}")
    run = wait_for_run(started, dag_id, timeout=120)
    assert run.run_id == f"scheduled__{opens.isoformat()}"
    assert run.started_at is not None
    assert timedelta(0) <= run.started_at - opens < timedelta(seconds=15)
    assert (run.state, outcome(started, run)) == ("failed", "refused")
    assert missed(started, run) == ()
    time.sleep(5)
    assert len(started.client().runs(dag_id)) == 1


def test_a_start_that_comes_too_late_is_missed_and_touches_nothing(started: TestAirflow) -> None:
    """The plan was parsed 40 minutes after the opening, and allows one."""
    run = wait_for_run(started, "lindgren.late", timeout=60)
    assert (run.state, outcome(started, run)) == ("failed", "missed")
    assert {mark.environment for mark in missed(started, run)} == {"training", "production"}
    assert wiring.ledger(started.settings).steps(run_key(run.dag_id, run.run_id)) == ()


def test_a_night_that_is_over_is_not_caught_up(started: TestAirflow) -> None:
    started.client().wait_for_dag("lindgren.over")
    assert started.client().runs("lindgren.over") == ()


def test_a_scheduler_that_was_down_at_the_opening_misses_it(started: TestAirflow) -> None:
    opens = next_minute(ahead=5)
    dag_id = write(started.settings.plans, "down", opens, tolerance="5s")
    started.client().wait_for_dag(dag_id)
    scheduler = started.server.pid("scheduler")
    assert scheduler is not None
    os.kill(scheduler, signal.SIGSTOP)
    try:
        time.sleep((opens - datetime.now(UTC)).total_seconds() + 12)
        assert started.client().runs(dag_id) == ()
    finally:
        os.kill(scheduler, signal.SIGCONT)
    run = wait_for_run(started, dag_id, timeout=60)
    assert (run.state, outcome(started, run)) == ("failed", "missed")
    assert "later than 0:00:05 after the opening" in str(missed(started, run)[0].data["reason"])

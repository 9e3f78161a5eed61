"""A real Airflow is started, loses components, and is ended; what it runs meanwhile goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from changeover.orchestration import serve
from changeover.orchestration.airflow_client import AirflowError
from changeover.settings import PROJECT
from tests.support.airflow import TestAirflow, airflow, settings_at
from tests.support.tiny_dag import PLACE

pytestmark = pytest.mark.e2e
DAG = "nordwind.tryton-8.0"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAirflow]:
    root = tmp_path_factory.mktemp("serve")
    (root / "place").mkdir()
    with airflow(
        settings_at(root / "home"),
        people={"anna.berg": "user", "vera.gast": "viewer"},
        plan_builder="tests.support.tiny_dag.build_dag",
        environment={
            PLACE: str(root / "place"),
            "PYTHONPATH": os.pathsep.join((str(PROJECT / "include"), str(PROJECT))),
        },
    ) as running:
        yield running


def test_everybody_has_a_login_with_their_rights(started: TestAirflow) -> None:
    """Who may answer may start a run; a viewer may only look."""
    started.client().wait_for_dag(DAG)
    vera, anna = started.client("vera.gast"), started.client("anna.berg")
    assert vera.dag_version(DAG) is not None
    with pytest.raises(AirflowError) as refused:
        vera.trigger(DAG)
    assert refused.value.status == 403
    (started.settings.home.parent / "place" / "go").touch()
    assert anna.wait(anna.trigger(DAG), timeout=60).state == "success"


def test_nothing_is_served_beyond_this_machine(started: TestAirflow) -> None:
    """Passwords of a demonstration are no protection."""
    listening = set()
    for component in started.server.components:
        process = psutil.Process(started.server.pid(component))
        for one in (process, *process.children(recursive=True)):
            listening |= {str(c.laddr.ip) for c in one.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_the_first_task_does_not_pay_for_the_execution_api(started: TestAirflow) -> None:
    """Ready means that a task's first request is answered at once."""
    began = time.monotonic()
    httpx.get(f"http://127.0.0.1:{started.server.execution_port}/execution/health", trust_env=False)
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("component", ["scheduler", "api-server", "execution-api"])
def test_a_killed_component_comes_back_and_the_run_goes_on(started: TestAirflow, component: str) -> None:
    """The run that was under way ends well."""
    place = started.settings.home.parent / "place"
    (place / "go").unlink(missing_ok=True)
    run = started.client().trigger(DAG)
    deadline = time.monotonic() + 30
    while not (place / f"{run.run_id}.started").exists():
        assert time.monotonic() < deadline, started.logs()
        time.sleep(0.2)
    started.wait_restarted(component, started.kill(component))
    (place / "go").touch()
    assert started.client().wait(run, timeout=120).state == "success", started.logs()


def test_a_second_start_of_the_same_home_takes_the_first_ones_place(tmp_path: Path) -> None:
    """A leftover whose keeper was killed outright is ended by its pid files; no process of it stays."""
    settings = settings_at(tmp_path)
    first = serve.start(settings, components=("api-server", "dag-processor"))
    try:
        serve.wait_ready(first)
        pids = [first.pid(name) for name in ("keeper", *first.components)]
        keeper = first.pid("keeper")
        assert keeper is not None
        os.kill(keeper, signal.SIGKILL)
        second = serve.start(settings, components=("api-server",))
        for pid in pids:
            assert pid is not None
            assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        serve.wait_ready(second)
        assert serve.running(settings) == second
    finally:
        serve.stop(settings)
    assert serve.running(settings) is None

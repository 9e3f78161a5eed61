"""The whole upgrade under a real scheduler, on real SSH hosts: what is true when it ends well, and when it does not."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from changeover import lab, wiring
from changeover.domain.outcome import Outcome
from changeover.domain.record import Run, run_key
from changeover.orchestration import introduce_site
from changeover.orchestration.airflow_client import DagRun
from tests.support.airflow import TestAirflow, airflow, settings_at

pytestmark = [pytest.mark.e2e, pytest.mark.lab, pytest.mark.slow]
DAG = "lindgren.roundup-2.6"
LONGEST = 900.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = Path(f"/var/tmp/co-{os.getpid()}")
    yield root
    lab.down("roundup", root=root, remove=True)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def running(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAirflow]:
    home = tmp_path_factory.mktemp("upgrade")
    plans = home / "plans"
    shutil.copytree(settings_at(home).plans / "lindgren", plans / "lindgren")
    text = (plans / "lindgren/roundup-2.6.yaml").read_text(encoding="utf-8")
    # So that there is time to kill the task while its play runs.
    (plans / "lindgren/roundup-2.6.yaml").write_text(_with_pause(text), encoding="utf-8")
    state = lab.up("roundup", root=place, port=0)
    settings = settings_at(home / "home", plans=plans, artefacts=state.artefacts_path)
    people = introduce_site.logins(
        [reading.document for reading in wiring.shelf(settings).plans([plans]) if reading.document]
    )
    with airflow(settings, people=people) as started:
        introduce_site.import_estate(settings, state.estate_path, reset=True)
        with started.client() as client:
            introduce_site.store_connections(client, state.secrets_path)
        yield started


def _with_pause(text: str) -> str:
    marker = "    kind: training\n"
    assert text.count(marker) == 1
    return text.replace(marker, f"{marker}    variables:\n      roundup_implement_pause: 12\n")


def _reset(running: TestAirflow, place: Path, fault: str | None = None) -> None:
    state = lab.reset("roundup", root=place, fault=fault)
    introduce_site.import_estate(running.settings, state.estate_path, reset=True)


def _go(running: TestAirflow, *, kill: str = "") -> tuple[DagRun, Run]:
    """Start the upgrade, answer every request as the first person asked, and wait for the end."""
    with running.client() as client:
        client.wait_for_dag(DAG)
        run = client.trigger(DAG, {"mode": "implement", "reason": "test"})
        killed: list[int] = []

        def look(_now: DagRun) -> None:
            for request in client.requests(run):
                with running.client(request.asked[0]) as person:
                    person.answer(request, "Approve")
            if kill and not killed and _implementing(running, run, kill):
                for process in running.task_processes(run):
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append(process.pid)

        ended = client.wait(run, timeout=LONGEST, on_poll=look, interval=1.0)
    assert not kill or killed, "the task was never seen at work"
    recorded = wiring.ledger(running.settings).run(run_key(DAG, run.run_id))
    assert recorded is not None
    return ended, recorded


def _implementing(running: TestAirflow, run: DagRun, environment: str) -> bool:
    folder = running.settings.executions_directory(run_key(DAG, run.run_id)) / f"{environment}.implement.1"
    if not (folder / "started.json").exists():
        return False
    time.sleep(2)
    return True


def _outcomes(running: TestAirflow, run: Run) -> dict[str, Any]:
    return {name: verdict.outcome for name, verdict in wiring.ledger(running.settings).outcomes(run.key).items()}


def test_an_upgrade_whose_task_is_killed_goes_on_and_ends_successful(running: TestAirflow, place: Path) -> None:
    """SIGKILL of the task process during implement: the play ran once, the lane goes on, CMDB and hosts agree."""
    ended, run = _go(running, kill="training")
    assert ended.state == "success", running.logs()
    assert _outcomes(running, run) == dict.fromkeys(("training", "production", ""), Outcome.SUCCESSFUL)
    steps = wiring.ledger(running.settings).steps(run.key, environment="training")
    assert [step.generation for step in steps if step.step == "implement"] == [1]
    versions = wiring.cmdb(running.settings).versions("lindgren", "roundup", "production")
    assert versions == {"prod1": "2.6.0", "prod2": "2.6.0"}


def test_a_green_installer_with_a_broken_integration_is_backed_out(running: TestAirflow, place: Path) -> None:
    """C01: acceptance on production is red, production is backed out and proven, the run is failed."""
    _reset(running, place, fault="integration")
    ended, run = _go(running)
    assert ended.state == "failed"
    assert _outcomes(running, run) == {
        "training": Outcome.SUCCESSFUL,
        "production": Outcome.BACKED_OUT,
        "": Outcome.BACKED_OUT,
    }
    versions = wiring.cmdb(running.settings).versions("lindgren", "roundup", "production")
    assert versions == {"prod1": "2.0.0", "prod2": "2.0.0"}
    change = wiring.cmdb(running.settings).change(run.key)
    assert change is not None
    assert change.close_code == "unsuccessful"

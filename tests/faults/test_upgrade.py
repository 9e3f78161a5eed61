"""Whole upgrades under a real scheduler, on real SSH hosts: what is true when it ends well, and when it does not."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from changeover import lab, wiring
from changeover.adapters.plan_files import plan_digest
from changeover.domain.outcome import Outcome
from changeover.domain.record import Run, run_key
from changeover.lab import hosts
from changeover.orchestration import introduce_site
from changeover.orchestration.airflow_client import DagRun
from changeover.orchestration.plan_store import PlanStore
from changeover.orchestration.take_plan import wait_until_taken
from tests.support.airflow import TestAirflow, settings_at
from tests.support.site_airflow import introduced, own_lab

pytestmark = [pytest.mark.e2e, pytest.mark.lab]
PLAN, DAG = "lindgren/roundup-2.6.yaml", "lindgren.roundup-2.6"
LONGEST = 600.0
NOT_TAKEN = ("skipped", False)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with own_lab("roundup") as root:
        yield root


@pytest.fixture(scope="module")
def running(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAirflow]:
    home = tmp_path_factory.mktemp("upgrade")
    plans = home / "plans"
    shutil.copytree(settings_at(home).plans / "lindgren", plans / "lindgren")
    state = lab.up("roundup", root=place, port=0, artefacts=lab.default_root() / "artefacts")
    settings = settings_at(home / "home", plans=plans, artefacts=state.artefacts_path)
    with introduced(settings, state) as started:
        yield started


@pytest.fixture(autouse=True)
def fresh(running: TestAirflow, place: Path) -> None:
    """Every host back at the old release, and the CMDB as new."""
    state = lab.reset("roundup", root=place)
    introduce_site.import_estate(running.settings, state.estate_path, reset=True)


def go(
    running: TestAirflow, *, variables: dict[str, str], look: Callable[[DagRun], None] = lambda run: None
) -> tuple[DagRun, Run]:
    """Upgrade by the plan with these variables (environment -> variable), answer every request, wait for the end."""
    plan(running, variables)
    with running.client() as client:
        run = client.trigger(DAG, {"mode": "implement", "reason": "test"})

        def answer(now: DagRun) -> None:
            for request in client.requests(run):
                with running.client(request.asked[0]) as person:
                    person.answer(request, "Approve")
            look(now)

        ended = client.wait(run, timeout=LONGEST, on_poll=answer, interval=0.5)
    recorded = wiring.ledger(running.settings).run(run_key(DAG, run.run_id))
    assert recorded is not None, running.logs()
    return ended, recorded


def plan(running: TestAirflow, variables: dict[str, str]) -> None:
    """Write the shipped plan with these variables, and wait until Airflow runs by it."""
    text = (settings_at(running.settings.home).plans / PLAN).read_text(encoding="utf-8")
    for environment, variable in variables.items():
        marker = f"    kind: {environment}\n"
        assert text.count(marker) == 1
        text = text.replace(marker, f"{marker}    variables: {{{variable}}}\n")
    (running.settings.plans / PLAN).write_text(text, encoding="utf-8")
    with running.client() as client:
        wait_until_taken(client, PlanStore(running.settings.plan_store), DAG, plan_digest(text.encode()), timeout=60)


def outcomes(running: TestAirflow, run: Run) -> dict[str, Any]:
    return {name: verdict.outcome for name, verdict in wiring.ledger(running.settings).outcomes(run.key).items()}


def ways(running: TestAirflow, run: DagRun) -> dict[str, tuple[str | None, bool]]:
    """Production's ways out of its verdict → state, and whether a process ran for it: the others take no time."""
    tasks = running.client().tasks(run)
    found = {name: tasks[f"s08_s09_production.{name}"] for name in ("commit", "back_out", "stand_down")}
    return {name: (task.state, task.started_at != task.ended_at) for name, task in found.items()}


def versions(running: TestAirflow) -> dict[str, str | None]:
    return dict(wiring.cmdb(running.settings).versions("lindgren", "roundup", "production"))


BUSINESS = {
    "issues": "select id, _title, _cost_centre, _effort_hours, __retired__ from _issue order by id",
    "users": "select id, _username, __retired__ from _user order by id",
    "messages": "select id, _summary, __retired__ from _msg order by id",
}
"""What people entered; what the integration stamps and Roundup notes of it is left out."""


def entered(place: Path) -> dict[str, list[Any]]:
    """The business data of both hosts of production, row by row, as it lies in their databases."""
    state = lab.status("roundup", root=place)
    assert state is not None
    found: dict[str, list[Any]] = {}
    for name in ("prod1", "prod2"):
        database = state.state.host(name).app / "tracker/db/db"
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
            found |= {f"{name} {what}": connection.execute(query).fetchall() for what, query in BUSINESS.items()}
    assert all(found.values()), "a database without business data proves nothing"
    return found


def close_code(running: TestAirflow, run: Run) -> str:
    change = wiring.cmdb(running.settings).change(run.key)
    assert change is not None
    return str(change.close_code)


def test_an_upgrade_whose_task_is_killed_goes_on_and_ends_successful(running: TestAirflow, place: Path) -> None:
    """SIGKILL of the task process during implement: the play ran once, the lane goes on, CMDB and hosts agree."""
    killed: list[int] = []
    before = entered(place)

    def kill_the_task(run: DagRun) -> None:
        folder = running.settings.executions_directory(run_key(DAG, run.run_id)) / "training.implement.1"
        if killed or not (folder / "started.json").exists():
            return
        time.sleep(2)
        for process in running.task_processes(run):
            process.kill()
            killed.append(process.pid)

    ended, run = go(running, variables={"training": "roundup_implement_pause: 12"}, look=kill_the_task)
    assert killed, "the task was never seen at work"
    assert ended.state == "success", running.logs()
    assert outcomes(running, run) == dict.fromkeys(("training", "production", ""), Outcome.SUCCESSFUL)
    steps = wiring.ledger(running.settings).steps(run.key, environment="training")
    assert [step.generation for step in steps if step.step == "implement"] == [1]
    assert versions(running) == {"prod1": "2.6.0", "prod2": "2.6.0"}
    assert entered(place) == before
    assert ways(running, ended) == {"commit": ("success", True), "back_out": NOT_TAKEN, "stand_down": NOT_TAKEN}
    plan(running, {"training": "roundup_implement_pause: 1"})
    assert_parsed_and_left_alone(running)


def assert_parsed_and_left_alone(running: TestAirflow) -> None:
    """After a task was lost Airflow would parse its file seven times a second, for good."""
    logs = running.settings.airflow_home / "logs"
    assert "Detected a task instance without a heartbeat" in (logs / "scheduler.log").read_text()
    before, until = -1, time.monotonic() + 60
    while (parses := (logs / "dag-processor.log").read_text().count("Bulk-writing dags")) != before:
        assert time.monotonic() < until, f"parsed {parses} times, and still again and again"
        before = parses
        time.sleep(5)


def test_a_green_installer_with_a_broken_integration_is_backed_out(running: TestAirflow, place: Path) -> None:
    """C01: acceptance on production is red, production is backed out and proven, nothing lost, the run is failed."""
    before = entered(place)
    ended, run = go(running, variables={"production": "roundup_break: integration"})
    assert ended.state == "failed"
    assert outcomes(running, run) == {
        "training": Outcome.SUCCESSFUL,
        "production": Outcome.BACKED_OUT,
        "": Outcome.BACKED_OUT,
    }
    assert versions(running) == {"prod1": "2.0.0", "prod2": "2.0.0"}
    assert entered(place) == before
    assert close_code(running, run) == "unsuccessful"
    assert ways(running, ended) == {"commit": NOT_TAKEN, "back_out": ("success", True), "stand_down": NOT_TAKEN}


def test_a_rehearsal_that_fails_keeps_every_client_environment_untouched(running: TestAirflow, place: Path) -> None:
    """The migration dies on the baseline: no execution ever names a host of training or production."""
    before = entered(place)
    ended, run = go(running, variables={"baseline": "roundup_break: migrate"})
    assert ended.state == "failed"
    assert outcomes(running, run) == {"": Outcome.REFUSED}
    ledger = wiring.ledger(running.settings)
    changed = {step.environment for step in ledger.steps(run.key) if step.step != "discover"}
    assert changed == {"baseline"}
    assert entered(place) == before
    assert versions(running) == {"prod1": "2.0.0", "prod2": "2.0.0"}
    assert close_code(running, run) == "unsuccessful"


def test_a_migration_killed_half_way_on_production_is_backed_out(running: TestAirflow, place: Path) -> None:
    """SIGKILL of the client's program in the middle of implement: backed out, proven, nothing lost."""
    state = lab.status("roundup", root=place)
    assert state is not None
    killed: list[int] = []
    before = entered(place)

    def kill_the_migration(_now: DagRun) -> None:
        for process in hosts.processes_of([state.state.host("prod2")]):
            with suppress(psutil.NoSuchProcess):
                if not killed and "before_migration.py" in " ".join(process.cmdline()):
                    process.kill()
                    killed.append(process.pid)

    ended, run = go(running, variables={"production": "roundup_implement_pause: 15"}, look=kill_the_migration)
    assert killed, "the migration was never seen at work"
    assert ended.state == "failed"
    assert outcomes(running, run)["production"] == Outcome.BACKED_OUT
    assert versions(running) == {"prod1": "2.0.0", "prod2": "2.0.0"}
    assert entered(place) == before

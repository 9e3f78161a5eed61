"""Stop under a real scheduler, on real SSH hosts: people end work in Airflow, or its worker is only lost."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from changeover import lab, wiring
from changeover.adapters.ansible_inventory import TOKEN_VARIABLE
from changeover.adapters.environment_vault import EnvironmentVault
from changeover.domain.execution import execution_token
from changeover.domain.outcome import Outcome
from changeover.domain.record import MarkKind, Run, StepRecord, StepStatus, run_key
from changeover.domain.settlement import Way
from changeover.orchestration import introduce_site
from changeover.orchestration.airflow_client import AirflowClient, DagRun
from changeover.orchestration.workflow import ApiWorkflow
from changeover.usecases.settle_run import Case, Order, carry_out, look
from changeover.usecases.stop_work import stop_what_is_over
from changeover.usecases.tools import Tools, Upgrade
from tests.support.airflow import TestAirflow, settings_at
from tests.support.site_airflow import introduced, own_lab

pytestmark = [pytest.mark.e2e, pytest.mark.lab]
PLAN, DAG, LANE = "lindgren/roundup-2.6.yaml", "lindgren.roundup-2.6", "s08_s09_training"
LONGEST = 240.0
NOTICED = 25.0
"""Seconds: a heartbeat, the questions to Airflow, the end of Ansible, and the proof over a fresh connection."""


@dataclass(frozen=True)
class Site:
    running: TestAirflow
    state: lab.LabState
    root: Path

    def tools(self) -> Tools:
        vault = EnvironmentVault({}, (self.state.secrets_path,))
        return wiring.tools(vault=vault, tell=lambda line: None, settings=self.running.settings)

    def upgrade(self, run: Run) -> Upgrade:
        return wiring.pinned_upgrade(self.running.settings, run)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The lane of training alone: its change stands still for a minute, with a process on the host."""
    home = tmp_path_factory.mktemp("stop")
    plans = home / "plans"
    text = (settings_at(home).plans / PLAN).read_text(encoding="utf-8")
    text = text.replace("    kind: training\n", "    kind: training\n    variables: {roundup_implement_pause: 60}\n")
    shutil.copytree(settings_at(home).plans / "lindgren", plans / "lindgren")
    (plans / PLAN).write_text(text, encoding="utf-8")
    with own_lab("roundup") as root:
        state = lab.up("roundup", root=root, port=0, artefacts=lab.default_root() / "artefacts")
        settings = settings_at(home / "home", plans=plans, artefacts=state.artefacts_path)
        with introduced(settings, state, plan_builder="tests.support.lane_dag.build_dag") as started:
            with started.client() as client:
                client.wait_for_dag(DAG, timeout=90)
            yield Site(started, state, root)


@pytest.fixture(autouse=True)
def fresh(site: Site) -> None:
    introduce_site.import_estate(site.running.settings, lab.reset("roundup", root=site.root).estate_path, reset=True)


@pytest.fixture
def client(site: Site) -> Iterator[AirflowClient]:
    with site.running.client() as client:
        yield client


def until(true: Callable[[], Any], what: str, *, within: float = LONGEST) -> float:
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < within, f"not within {within:.0f} s: {what}"
        time.sleep(0.2)
    return time.monotonic() - begun


def on_host(run: DagRun) -> list[int]:
    """Processes of the change that work on the host: they carry its token."""
    token = execution_token(run_key(DAG, run.run_id), "training", "implement", 1)
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and f"{TOKEN_VARIABLE}={token}".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def at_its_change(client: AirflowClient, site: Site) -> DagRun:
    """A run whose change has a process at work on the host."""
    run = client.trigger(DAG, {})

    def at_work() -> bool:
        assert not client.run(DAG, run.run_id).ended, site.running.logs()
        return any(b"before_migration" in (Path("/proc") / str(pid) / "cmdline").read_bytes() for pid in on_host(run))

    def looked() -> bool:
        with suppress(OSError):
            return at_work()
        return False

    until(looked, "the change is at work")
    return run


def implements(site: Site, run: DagRun) -> list[StepRecord]:
    steps = wiring.ledger(site.running.settings).steps(run_key(DAG, run.run_id), environment="training")
    return [step for step in steps if step.step == "implement"]


def outcomes(site: Site, run: DagRun) -> dict[str, str]:
    found = wiring.ledger(site.running.settings).outcomes(run_key(DAG, run.run_id))
    return {name: str(verdict.outcome) for name, verdict in found.items()}


def versions(site: Site) -> set[str | None]:
    return set(wiring.cmdb(site.running.settings).versions("lindgren", "roundup", "training").values())


def test_a_task_that_is_marked_failed_ends_on_its_host_and_the_lane_backs_out(
    client: AirflowClient, site: Site
) -> None:
    """Then its acceptance is cleared, after the back-out: what is installed is seen, and nothing is done again."""
    run = at_its_change(client, site)
    client.mark_task(run, f"{LANE}.implement", "failed")
    took = until(lambda: not on_host(run), "nothing of it is left on the host", within=NOTICED)
    print(f"ended on the host {took:.1f} s after the task was marked failed")  # noqa: T201  # a figure to report
    assert client.wait(run, timeout=LONGEST).state == "failed"
    (step,) = implements(site, run)
    assert (step.generation, step.status) == (1, StepStatus.FAILED)
    assert step.reasons[0] == "stopped: its task is failed in Airflow"
    assert outcomes(site, run) == {"training": Outcome.BACKED_OUT, "": Outcome.BACKED_OUT}
    assert versions(site) == {"2.0.0"}

    client.mark_task(run, f"{LANE}.implement", "success")  # or acceptance would not even be tried
    client.clear(run, [f"{LANE}.acceptance"])
    assert client.wait(run, timeout=LONGEST).state == "failed"
    tasks = client.tasks(run)
    assert {name: tasks[f"{LANE}.{name}"].state for name in ("acceptance", "commit", "back_out")} == {
        "acceptance": "failed",
        "commit": "skipped",
        "back_out": "skipped",
    }
    assert outcomes(site, run) == {"training": Outcome.BACKED_OUT, "": Outcome.BACKED_OUT}
    assert [step.generation for step in implements(site, run)] == [1]
    marks = wiring.ledger(site.running.settings).marks(run_key(DAG, run.run_id), environment="training")
    assert [mark.kind for mark in marks].count(MarkKind.BACKED_OUT) == 1


def test_a_worker_that_is_restarted_only_lets_go_and_a_task_that_is_cleared_ends(
    client: AirflowClient, site: Site
) -> None:
    """A task that succeeded and is cleared beside it attaches to what it did, and does nothing again."""
    run = at_its_change(client, site)
    for process in site.running.task_processes(run):
        os.kill(process.pid, signal.SIGTERM)
    directory = site.running.settings.executions_directory(run_key(DAG, run.run_id))
    point = directory / "training.restore_point.1" / "result.json"
    taken = point.stat().st_mtime_ns
    client.clear(run, [f"{LANE}.restore_point"], downstream=False)
    again = until(lambda: client.task(run, f"{LANE}.restore_point").state == "success", "it attached", within=60)
    assert point.stat().st_mtime_ns == taken
    assert len(list(directory.glob("training.restore_point.*"))) == 1
    time.sleep(max(0.0, 4 - again))
    assert on_host(run), "a worker's end is nobody's order to stop"
    assert not (directory / "training.implement.1" / "stop").exists()

    until(lambda: client.task(run, f"{LANE}.implement").state == "running", "its task is followed again", within=60)
    client.clear(run, [f"{LANE}.implement"])
    took = until(lambda: not on_host(run), "nothing of it is left on the host", within=NOTICED)
    print(f"ended on the host {took:.1f} s after the task was cleared")  # noqa: T201  # a figure to report
    assert client.wait(run, timeout=LONGEST).state == "failed"
    (step,) = implements(site, run)
    assert (step.generation, step.status) == (1, StepStatus.FAILED)
    assert step.reasons[0] == "stopped: its task was cleared in Airflow"
    assert outcomes(site, run)["training"] == Outcome.BACKED_OUT
    assert versions(site) == {"2.0.0"}


def test_a_run_that_is_marked_failed_while_its_worker_is_lost_is_ended_by_the_sweep_and_settled(
    client: AirflowClient, site: Site
) -> None:
    """Nobody gets the signal; the sweep finds work whose run is over, ends it and proves it. A person backs it out."""
    run = at_its_change(client, site)
    for process in site.running.task_processes(run):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    client.mark_run(run, "failed")
    assert client.wait(run, timeout=LONGEST).state == "failed"
    recorded = wiring.ledger(site.running.settings).run(run_key(DAG, run.run_id))
    assert recorded is not None
    workflow, broken = ApiWorkflow(client), list[str]()
    ledger, tools = wiring.ledger(site.running.settings), site.tools()
    for _ in range(2):  # of two sweeps the second finds nothing, be the first one Airflow's own
        stop_what_is_over(ledger, workflow, lambda one: (site.upgrade(one), tools), runs=[recorded], broken=broken)
    assert (on_host(run), broken) == ([], [])
    (step,) = implements(site, run)
    assert step.status is StepStatus.FAILED, step.reasons
    assert "in Airflow" in step.reasons[0]
    stops = ledger.marks(recorded.key, kind=MarkKind.STOPPED)
    assert [mark.data["confirmed"] for mark in stops] == [True]
    assert outcomes(site, run)[""] != Outcome.SUCCESSFUL

    case = Case(site.upgrade(recorded), tools, wiring.holds(), workflow)
    found = look(case)
    assert [one.option(Way.BACK_OUT).possible for one in found.to_settle] == [True]
    done = carry_out(case, found, Order(Way.BACK_OUT, "jonas.weber", "the wrong night"))
    assert not done.refused, done
    assert client.wait(run, timeout=LONGEST).state == "failed"
    assert outcomes(site, run)["training"] == Outcome.BACKED_OUT

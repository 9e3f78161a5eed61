"""What Airflow costs between tasks: with our settings against its own, and with many plans against one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median

import pytest

from changeover.orchestration.airflow_client import AirflowClient, Task
from changeover.settings import PROJECT
from tests.support.airflow import airflow, settings_at
from tests.support.chain_dag import LENGTH

pytestmark = [pytest.mark.benchmark, pytest.mark.e2e]
SOURCE = PROJECT / "include" / "plans" / "nordwind" / "tryton-8.0.yaml"
WARM = 8
"""Links before this one are slow whatever the settings: every worker's first task is."""
DEFAULTS = {"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1"}
"""What Airflow 3.3 does without our settings; the rest of them is not on the way from one task to the next."""


def _write(plans: Path, upgrade: str) -> None:
    lines = SOURCE.read_text(encoding="utf-8").splitlines()
    text = "\n".join(f"upgrade: {upgrade}" if line.startswith("upgrade:") else line for line in lines)
    (plans / "nordwind").mkdir(parents=True, exist_ok=True)
    (plans / "nordwind" / f"{upgrade}.yaml").write_text(text, encoding="utf-8")


@contextmanager
def _started(home: Path, *, plans: int, extra: dict[str, str] | None = None) -> Iterator[AirflowClient]:
    directory = home / "plans"
    for number in range(plans):
        _write(directory, f"chain-{number}")
    settings = settings_at(home / "home", plans=directory)
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "include")])
    environment = {"PYTHONPATH": path, **(extra or {})}
    with (
        airflow(settings, environment=environment, plan_builder="tests.support.chain_dag.build_dag") as running,
        running.client() as client,
    ):
        for number in range(plans):  # they are not parsed in this order
            client.wait_for_dag(f"nordwind.chain-{number}", timeout=180)
        yield client


def _chain(client: AirflowClient, upgrade: str) -> list[Task]:
    run = client.trigger(f"nordwind.{upgrade}")
    client.wait(run, timeout=120)
    tasks = client.tasks(run)
    return [tasks[f"link_{number:02}"] for number in range(LENGTH)]


def _seconds(begin: datetime | None, end: datetime | None) -> float:
    assert begin
    assert end
    return (end - begin).total_seconds()


def _links(tasks: list[Task]) -> list[float]:
    """From the end of one task to the end of the next, in seconds, once the workers are warm."""
    return [_seconds(a.ended_at, b.ended_at) for a, b in zip(tasks[WARM:], tasks[WARM + 1 :], strict=False)]


def _say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text} (load {os.getloadavg()[0]:.1f})\n")


def test_a_link_of_the_chain_costs_a_third_of_airflows_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with _started(tmp_path / "ours", plans=1) as client:
        _chain(client, "chain-0")
        ours = median(_links(_chain(client, "chain-0")))
    with _started(tmp_path / "theirs", plans=1, extra=DEFAULTS) as client:
        _chain(client, "chain-0")
        theirs = median(_links(_chain(client, "chain-0")))
    _say(capsys, f"one link of a chain: {ours:.3f} s, with Airflow's defaults {theirs:.3f} s, {ours / theirs:.2f}")
    assert ours / theirs <= 0.3


def test_a_task_takes_as_long_with_a_hundred_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def duration(client: AirflowClient) -> float:
        tasks = _chain(client, "chain-0")[WARM:]
        return median(_seconds(task.started_at, task.ended_at) for task in tasks)

    with _started(tmp_path / "one", plans=1) as client:
        duration(client)
        one = duration(client)
    with _started(tmp_path / "many", plans=100) as client:
        duration(client)
        many = duration(client)
    _say(capsys, f"a task with 100 plans: {many:.3f} s, with one {one:.3f} s, {many / one:.2f}")
    assert many / one <= 1.3

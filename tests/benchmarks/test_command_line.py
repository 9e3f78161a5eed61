"""What the command line costs, against Airflow's own in the same run."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from changeover.adapters.plan_files import parse_plan
from changeover.settings import PROJECT

pytestmark = pytest.mark.benchmark


def cpu_seconds(*command: str, times: int, environment: dict[str, str]) -> float:
    """Of the cheapest of several tries: what disturbs only ever adds."""
    spent = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(spent)


def test_help_costs_a_small_part_of_airflows_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "include"), "AIRFLOW_HOME": str(tmp_path)}
    airflow = cpu_seconds(sys.executable, "-m", "airflow", "version", times=2, environment=environment)
    ours = cpu_seconds(sys.executable, "-P", "-m", "changeover.cli", "--help", times=5, environment=environment)
    with capsys.disabled():
        sys.stdout.write(f"\n--help {ours:.3f} s, airflow version {airflow:.3f} s of CPU: {ours / airflow:.3f}")
    assert ours / airflow <= 0.15


def test_reading_a_plan_is_a_small_part_of_a_dag(capsys: pytest.CaptureFixture[str]) -> None:
    """A DAG of 50 tasks may cost 12 ms; of these the plan's text is to take a quarter at most."""
    path = PROJECT / "include/plans/nordwind/tryton-8.0.yaml"
    raw, best = path.read_bytes(), 1.0
    for _ in range(20):
        begun = time.process_time()
        parse_plan(raw, name=str(path))
        best = min(best, time.process_time() - begun)
    with capsys.disabled():
        sys.stdout.write(f"\nparsing a plan: {best * 1000:.2f} ms of CPU")
    assert best <= 0.003

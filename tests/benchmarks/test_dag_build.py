"""What it costs to make a DAG from a plan, against dag-factory making as many tasks in the same run."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from changeover.adapters.plan_files import parse_plan
from changeover.settings import load

pytestmark = pytest.mark.benchmark
PLAN = load({}).plans / "nordwind" / "tryton-8.0.yaml"
TIMES = 20


def cpu(work: Callable[[], Any]) -> float:
    """CPU seconds of one call, the cheapest of three rounds of many."""
    work()
    rounds = []
    for _ in range(3):
        began = time.process_time()
        for _ in range(TIMES):
            work()
        rounds.append((time.process_time() - began) / TIMES)
    return min(rounds)


def test_plan_to_dag_costs_a_third_of_dag_factory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    monkeypatch.setenv("SCARF_NO_ANALYTICS", "true")
    from dagfactory.dagfactory import _DagFactory

    from changeover.orchestration.dag_factory import build_dag

    raw = PLAN.read_bytes()
    digest, text = hashlib.sha256(raw).hexdigest(), raw.decode()

    def ours() -> Any:
        return build_dag(parse_plan(raw, name=str(PLAN)), plan_digest=digest, plan_text=text)

    count = len(ours().tasks)
    tasks = {
        f"task_{number}": {
            "operator": "airflow.providers.standard.operators.bash.BashOperator",
            "bash_command": "true",
            "dependencies": [f"task_{number - 1}"] if number else [],
        }
        for number in range(count)
    }
    config = {"peer": {"default_args": {"owner": "peer", "start_date": "2026-01-01"}, "schedule": None, "tasks": tasks}}
    written = yaml.safe_dump(config)

    def theirs() -> Any:
        return _DagFactory(config_dict=yaml.load(written, yaml.CSafeLoader)).build_dags()

    assert theirs()
    own, peer = cpu(ours), cpu(theirs)
    with capsys.disabled():
        sys.stdout.write(
            f"\nplan to DAG, {count} tasks: {own * 1000:.1f} ms, dag-factory {peer * 1000:.1f} ms, {own / peer:.2f}"
            f" (load {os.getloadavg()[0]:.1f})\n"
        )
    assert own / peer <= 1 / 3

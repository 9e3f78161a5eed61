"""What it costs to make a DAG from a plan, against dag-factory making the same graph from its own YAML, in one run."""

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
BUDGET = 0.012
"""CPU seconds for each 50 tasks."""


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


def key(task_id: str) -> str:
    """dag-factory wants one name for a task in the whole DAG, and puts the group's before it."""
    return task_id.replace(".", "-")


def same_graph(dag: Any) -> dict[str, Any]:
    """The DAG in dag-factory's words: the same tasks, groups, edges, rules and texts; only the operator is its Bash."""
    return {
        dag.dag_id: {
            "dag_display_name": dag.dag_display_name,
            "description": dag.description,
            "default_args": {"owner": dag.default_args["owner"], "retries": 3, "start_date": "2026-01-01"},
            "schedule": None,
            "catchup": False,
            "max_active_runs": 1,
            "render_template_as_native_obj": True,
            "tags": sorted(dag.tags),
            "doc_md": dag.doc_md,
            "task_groups": {
                name: {"group_display_name": group.group_display_name, "tooltip": group.tooltip}
                for name, group in dag.task_group.get_task_group_dict().items()
                if name
            },
            "tasks": {key(task.task_id): same_task(task) for task in dag.tasks},
        }
    }


def same_task(task: Any) -> dict[str, Any]:
    group = task.task_group.group_id
    return {
        "operator": "airflow.providers.standard.operators.bash.BashOperator",
        "bash_command": "true",
        "task_display_name": task.task_display_name,
        "doc_md": task.doc_md,
        "trigger_rule": task.trigger_rule.value,
        "dependencies": sorted(map(key, task.upstream_task_ids)),
        **({"task_group_name": group} if group else {}),
    }


def edges(dag: Any, name: Callable[[str], str]) -> set[tuple[str, str]]:
    return {(name(above), name(task.task_id)) for task in dag.tasks for above in task.upstream_task_ids}


def test_plan_to_dag_keeps_its_budget_and_costs_a_third_of_dag_factory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    monkeypatch.setenv("SCARF_NO_ANALYTICS", "true")
    from dagfactory.dagfactory import _DagFactory

    from changeover.orchestration.dag_factory import build_dag

    def ours() -> Any:
        raw = PLAN.read_bytes()
        return build_dag(
            parse_plan(raw, name=str(PLAN)), plan_digest=hashlib.sha256(raw).hexdigest(), plan_text=raw.decode()
        )

    wanted = ours()
    written = tmp_path / "peer.yaml"
    written.write_text(yaml.safe_dump(same_graph(wanted), sort_keys=False))

    def theirs() -> Any:
        return _DagFactory(config_filepath=str(written)).build_dags()

    (made,) = theirs().values()
    assert edges(made, lambda task_id: task_id.rpartition(".")[2]) == edges(wanted, key)
    own, peer = cpu(ours), cpu(theirs)
    of_fifty = own * 50 / len(wanted.tasks)
    with capsys.disabled():
        sys.stdout.write(
            f"\nplan to DAG, {len(wanted.tasks)} tasks: {own * 1000:.1f} ms, dag-factory {peer * 1000:.1f} ms,"
            f" {own / peer:.2f}; {of_fifty * 1000:.1f} ms for 50 tasks of {BUDGET * 1000:.0f} ms"
            f" (load {os.getloadavg()[0]:.1f})\n"
        )
    assert own / peer <= 1 / 3
    assert of_fifty <= BUDGET

"""Settling a run reaches the tasks that the DAG really has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from changeover.adapters.plan_files import parse_plan
from changeover.orchestration.airflow_client import Request
from changeover.orchestration.dag_factory import build_dag
from changeover.orchestration.workflow import ApiWorkflow
from changeover.settings import load
from tests.support.records import a_run

PLAN = load({}).plans / "lindgren" / "roundup-2.6.yaml"
STAGES = ("window", "restore_point", "implement", "acceptance", "verdict", "commit", "back_out", "stand_down")


@dataclass
class PlayedClient:
    cleared: list[str] = field(default_factory=list)
    marked: list[tuple[str, str]] = field(default_factory=list)

    def run(self, dag_id: str, run_id: str) -> str:
        return run_id

    def requests(self, run: Any) -> tuple[Request, ...]:
        asks = Request("d", "r", "a", "", "", (), (), None, (), state="awaiting_input")
        return (asks, *(replace(asks, task_id=state, state=state) for state in ("deferred", "failed", "scheduled")))

    def mark_task(self, run: Any, task_id: str, state: str) -> None:
        self.marked.append((task_id, state))

    def clear(self, run: Any, task_ids: list[str]) -> tuple[str, ...]:
        self.cleared += task_ids
        return tuple(task_ids)


def test_every_stage_it_may_go_on_from_is_a_task_of_the_lane() -> None:
    raw = PLAN.read_bytes()
    plan = parse_plan(raw, name=str(PLAN))
    dag = build_dag(plan, plan_digest=hashlib.sha256(raw).hexdigest(), plan_text=raw.decode())
    client = PlayedClient()
    workflow = ApiWorkflow(client)  # type: ignore[arg-type]  # the part of it that is used
    for lane in plan.lanes:
        for stage in STAGES:
            workflow.again(a_run(), lane.name, stage)
    workflow.again(a_run(), "", "")
    assert len(client.cleared) == len(plan.lanes) * len(STAGES) + 1
    assert set(client.cleared) <= set(dag.task_ids)


def test_only_tasks_that_wait_for_people_are_ended_by_an_abort() -> None:
    """A watch between two looks is not one of them."""
    client = PlayedClient()
    assert ApiWorkflow(client).withdraw(a_run()) == ("a",)  # type: ignore[arg-type]  # the part of it that is used
    assert client.marked == [("a", "failed")]

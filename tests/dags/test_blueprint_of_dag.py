"""The blueprint has exactly the tasks of the DAG that the factory builds: a task more or less anywhere fails here."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.blueprint import Task
from tests.support import papers

LANES = papers.NORDWIND.read_text(encoding="utf-8").replace(
    "  - name: production\n    kind: production\n",
    "  - name: acceptance.eu-1\n    kind: staging\n    window: {kind: any_time, reason: agreed}\n"
    "    go_no_go: {by: [petra.lang]}\n  - name: production\n    kind: production\n",
).replace("[baseline, training, production]", "[baseline, training, acceptance.eu-1, production]")  # fmt: skip
PLANS = {
    "nordwind": (papers.NORDWIND, papers.NORDWIND.read_text(encoding="utf-8")),
    "lindgren": (papers.LINDGREN, papers.LINDGREN.read_text(encoding="utf-8")),
    "three lanes, one with a dot in its name": (papers.NORDWIND, LANES),
}


@pytest.fixture(scope="module", params=PLANS, ids=str)
def both(request: pytest.FixtureRequest) -> tuple[Any, dict[str, Task]]:
    """The DAG, and the blueprint's tasks by id."""
    from changeover.orchestration.dag_factory import build_dag

    path, text = PLANS[request.param]
    given = papers.given(text, path=Path(path))
    digest = hashlib.sha256(text.encode()).hexdigest()
    dag = build_dag(given.plan, plan_digest=digest, plan_text=text)
    tasks = papers.subject(text, path=Path(path)).tasks
    by_id = {task.id: task for task in tasks}
    assert len(by_id) == len(tasks)
    return dag, by_id


def test_every_task_of_the_dag_is_in_the_blueprint_and_no_other(both: tuple[Any, dict[str, Task]]) -> None:
    dag, tasks = both
    assert sorted(tasks) == sorted(dag.task_ids)


def test_every_task_lies_in_its_sub_process(both: tuple[Any, dict[str, Task]]) -> None:
    dag, tasks = both
    for task_id, task in tasks.items():
        group = dag.get_task(task_id).task_group.group_id
        assert (group or "s11_closeout").startswith(task.process.group), task_id


def test_every_task_has_the_title_and_the_effect_that_operators_read(both: tuple[Any, dict[str, Task]]) -> None:
    dag, tasks = both
    for task_id, task in tasks.items():
        operator = dag.get_task(task_id)
        assert task.title == operator.task_display_name
        assert task.effect == operator.doc_md or "Nobody is asked" in task.effect


def test_the_tasks_follow_one_another_as_in_the_dag(both: tuple[Any, dict[str, Task]]) -> None:
    dag, tasks = both
    assert {task_id: set(task.after) for task_id, task in tasks.items()} == {
        task_id: dag.get_task(task_id).upstream_task_ids for task_id in dag.task_ids
    }


def test_people_decide_where_the_dag_asks_them(both: tuple[Any, dict[str, Task]]) -> None:
    dag, tasks = both
    asked = {task.task_id: tuple(user["id"] for user in task.assigned_users) for task in dag.tasks
             if getattr(task, "assigned_users", None)}  # fmt: skip
    assert {task.id: task.asked.by for task in tasks.values() if task.asked} == asked

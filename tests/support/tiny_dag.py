"""A small DAG of a plan, for tests of the bundle: it waits for a file, then says which text its tasks ran."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from changeover.domain.plan import Plan

PLACE = "CHANGEOVER_TEST_PLACE"


def build_dag(plan: Plan, *, plan_digest: str, plan_text: str) -> Any:
    """Two tasks: `first` waits for <place>/go, then both write their digest to <place>/<run>.<task>."""
    from airflow.sdk import DAG, Param, task

    if plan.title.startswith("unbuildable"):
        raise RuntimeError("this plan passes every check and still cannot be built")
    params = {"plan_digest": Param(plan_digest, const=plan_digest), "length": Param(len(plan_text), type="integer")}
    with DAG(dag_id=plan.dag_id, schedule=None, params=params) as dag:

        @task(task_id="first")
        def first(run_id: Any = None) -> None:
            place = Path(os.environ[PLACE])
            (place / f"{run_id}.started").touch()
            while not (place / "go").exists():
                time.sleep(0.1)
            (place / f"{run_id}.first").write_text(plan_digest)

        @task(task_id="second")
        def second(run_id: Any = None) -> None:
            (Path(os.environ[PLACE]) / f"{run_id}.second").write_text(plan_digest)

        first() >> second()
    return dag

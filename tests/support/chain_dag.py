"""A chain of tasks that do nothing, for measuring what Airflow itself costs."""

from __future__ import annotations

from typing import Any

from changeover.domain.plan import Plan

LENGTH = 16


def build_dag(plan: Plan, *, plan_digest: str, plan_text: str) -> Any:
    """Tasks `link_00` … in a row. The text is read by the caller already and is not needed here."""
    from airflow.sdk import DAG, task

    with DAG(dag_id=plan.dag_id, schedule=None, tags=[plan_digest[:8], str(len(plan_text))]) as dag:

        @task
        def link() -> None:
            return

        before = None
        for number in range(LENGTH):
            now = link.override(task_id=f"link_{number:02}")()
            if before is not None:
                before >> now
            before = now
    return dag

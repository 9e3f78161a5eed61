"""The first stage of a lane alone as a DAG: a lane that waits for a place under a real scheduler, without hosts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from changeover.domain.plan import Plan


def build_dag(plan: Plan, *, plan_digest: str, plan_text: str) -> Any:
    """Opens the run with everything that comes before a lane, then asks whether its turn has come."""
    from airflow.sdk import DAG, get_current_context, task

    from changeover.orchestration import run_context
    from changeover.orchestration.operators import StageOperator
    from changeover.orchestration.pinned import PinnedPlan
    from tests.support.before_lanes import before_the_lanes

    pinned = PinnedPlan(plan, plan_digest, plan_text)
    with DAG(
        dag_id=plan.dag_id, schedule=None, default_args={"retries": 3, "retry_delay": timedelta(seconds=2)}
    ) as dag:

        @task(task_id="open")
        def opened() -> None:
            before_the_lanes(*run_context.opened(pinned, get_current_context()))

        lane = plan.lanes[0]
        opened() >> StageOperator(task_id="window", pinned=pinned, stage="window", environment=lane)
    return dag

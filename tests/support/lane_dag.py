"""One real lane as a DAG: everything before it in one task, and the task that records the outcome after it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from changeover.domain.plan import Plan


def build_dag(plan: Plan, *, plan_digest: str, plan_text: str) -> Any:
    """The first lane of the plan, with the retries, trigger rules and last task that every upgrade has."""
    from airflow.sdk import DAG, get_current_context, task

    from changeover.orchestration import run_context
    from changeover.orchestration.dag_factory import RETRIES, _Builder
    from changeover.orchestration.operators import CloseOperator
    from changeover.orchestration.pinned import PinnedPlan
    from tests.support.before_lanes import up_to_the_lanes

    pinned = PinnedPlan(plan, plan_digest, plan_text)
    with DAG(
        dag_id=plan.dag_id,
        schedule=None,
        params={"mode": "implement", "environments": [plan.lanes[0].name], "reason": "test"},
        default_args={"retries": RETRIES, "retry_delay": timedelta(seconds=2)},
    ) as dag:

        @task(task_id="open")
        def opened() -> None:
            up_to_the_lanes(*run_context.opened(pinned, get_current_context()))

        settled = _Builder(dag, pinned)._lane(plan.lanes[0], opened())
        recorded = CloseOperator(task_id="record_outcome", pinned=pinned, decides=True)
        settled >> recorded.as_teardown(on_failure_fail_dagrun=True)
    return dag

"""The plan's approval alone as a DAG: what a gate does under a real scheduler, without hosts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from changeover.domain.plan import Plan


def build_dag(plan: Plan, *, plan_digest: str, plan_text: str) -> Any:
    """Opens the run in the ledger, then asks for the plan's approval."""
    from airflow.sdk import DAG, get_current_context, task

    from changeover.orchestration import run_context
    from changeover.orchestration.operators import GateApprovalOperator
    from changeover.orchestration.pinned import PinnedPlan

    pinned = PinnedPlan(plan, plan_digest, plan_text)
    with DAG(
        dag_id=plan.dag_id, schedule=None, default_args={"retries": 3, "retry_delay": timedelta(seconds=2)}
    ) as dag:

        @task(task_id="open")
        def opened() -> None:
            run_context.opened(pinned, get_current_context())

        approved = GateApprovalOperator(
            task_id="approve_plan",
            pinned=pinned,
            gate="plan",
            approval=plan.approval,
            subject="Approve?",
            body="The plan is ready.",
        )
        opened() >> approved
    return dag

"""The hypercare watch alone as a DAG: what it does under a real scheduler, on hosts that nobody can reach."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from changeover.domain.plan import Plan


def build_dag(plan: Plan, *, plan_digest: str, plan_text: str) -> Any:
    """Opens the run with its hosts and lanes that ended upgraded, then watches."""
    from airflow.sdk import DAG, get_current_context, task

    from changeover.orchestration import run_context
    from changeover.orchestration.hypercare import HypercareOperator
    from changeover.orchestration.pinned import PinnedPlan

    pinned = PinnedPlan(plan, plan_digest, plan_text)
    with DAG(
        dag_id=plan.dag_id, schedule=None, default_args={"retries": 3, "retry_delay": timedelta(seconds=2)}
    ) as dag:

        @task(task_id="open")
        def opened() -> None:
            from changeover.domain.outcome import Outcome, Verdict
            from changeover.domain.record import MarkKind
            from changeover.usecases.tools import mark
            from changeover.usecases.transition import resolve_hosts

            upgrade, tools = run_context.opened(pinned, get_current_context())
            hosts, faults = resolve_hosts(upgrade, tools.cmdb)
            assert not faults, faults
            tools.ledger.freeze_hosts(upgrade.run.key, hosts)
            for lane in upgrade.lanes:
                mark(upgrade, tools, MarkKind.IMPLEMENTING, lane.name, key=f"implementing-{lane.name}")
                tools.ledger.record_outcome(upgrade.run.key, lane.name, Verdict(Outcome.SUCCESSFUL), tools.clock())

        opened() >> HypercareOperator(task_id="hypercare", pinned=pinned)
    return dag

"""Airflow DAG: what has to happen beside the upgrades, on a clock. Logic lives in changeover.usecases."""

from datetime import timedelta

from airflow.sdk import DAG, task

with DAG(
    dag_id="changeover.housekeeping",
    dag_display_name="Housekeeping",
    schedule=timedelta(minutes=15),
    start_date=None,
    catchup=False,
    max_active_runs=1,
    tags=["changeover"],
    doc_md="Delivers CMDB writes that could not be delivered when they were made. Safe to run at any time.",
):

    @task(task_id="deliver_outbox", task_display_name="Deliver waiting CMDB writes")
    def deliver_outbox() -> str:
        """Fails when the CMDB refuses something: a person has to look at the outbox then."""
        from changeover.wiring import deliver_waiting

        return deliver_waiting()

    deliver_outbox()

"""Airflow DAGs: what has to happen beside the upgrades, on a clock. Logic lives in changeover.usecases."""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

with DAG(
    dag_id="changeover.housekeeping",
    dag_display_name="Housekeeping",
    schedule=timedelta(minutes=15),
    start_date=None,
    catchup=False,
    max_active_runs=1,
    tags=["changeover"],
    doc_md="Delivers CMDB writes that could not be delivered when they were made, and removes restore points past "
    "their time. Safe to run at any time.",
):

    @task(task_id="deliver_outbox", task_display_name="Deliver waiting CMDB writes")
    def deliver_outbox() -> str:
        """Fails when the CMDB refuses something: a person has to look at the outbox then."""
        from changeover.wiring import deliver_waiting

        return deliver_waiting()

    deliver_outbox()

    @task(task_id="expire_restore_points", task_display_name="Remove restore points past their time")
    def expire_restore_points() -> str:
        """Of runs that were closed longer ago than their plan keeps them (`restore_points_kept`)."""
        from changeover.orchestration.run_context import ConnectionVault
        from changeover.wiring import expire_restore_points as expire

        return expire(ConnectionVault())

    expire_restore_points()


with DAG(
    dag_id="changeover.sweep",
    dag_display_name="Sweep",
    schedule=timedelta(minutes=1),
    start_date=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=5),
    tags=["changeover"],
    doc_md=(
        "Holds ledger, Airflow and hosts against each other and fails when they disagree. "
        "Marks in the ledger that a moment came, and ends work on hosts whose task or run was ended in Airflow."
    ),
):

    @task(task_id="compare", task_display_name="Compare ledger, Airflow and hosts")
    def compare(**context: Any) -> str:
        """Fails with everything that disagrees: `changeover settle RUN` says what is true of a run, and what to do."""
        from changeover.orchestration.sweeper import sweep_now

        return sweep_now(context)

    compare()


with DAG(
    dag_id="changeover.notices",
    dag_display_name="Notices",
    schedule=timedelta(minutes=1),
    start_date=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=5),
    tags=["changeover"],
    doc_md="Tells participants what is due: reminders, requests, starts, ends. Each once; who was told is on record.",
):

    @task(task_id="tell", task_display_name="Tell people what is due")
    def tell() -> str:
        """Fails when a channel does not take a notice; the next pass tries again."""
        from changeover.orchestration.teller import tell_now

        return tell_now()

    tell()

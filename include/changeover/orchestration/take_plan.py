"""Whether Airflow would start a run by this very text of a plan."""

from __future__ import annotations

import time

from changeover.errors import PlanError
from changeover.orchestration.airflow_client import AirflowClient, AirflowError
from changeover.orchestration.plan_store import PlanStore


def wait_until_taken(client: AirflowClient, store: PlanStore, dag_id: str, digest: str, *, timeout: float) -> None:
    """Wait until a run that is started now would be one of this text.

    The store has an edited text first, Airflow's own DAG a second later; a run takes the version that Airflow's DAG
    stands at, so a run started in between would silently be one of the old text.

    Raises:
        AirflowError: it did not come in time.
    """
    deadline = time.monotonic() + timeout
    while _digest_of_next_run(client, store, dag_id) != digest:
        if time.monotonic() > deadline:
            faults = "; ".join(client.import_errors().values())
            raise AirflowError(
                f"Airflow did not take this text of {dag_id} within {timeout:.0f} s"
                + (f": {faults}" if faults else ""),
                where=f"sha256 {digest[:16]}",
                then="a plan has to lie in the plans' directory; see the import errors in Airflow, "
                "and the log of the dag-processor",
            )
        time.sleep(0.2)


def _digest_of_next_run(client: AirflowClient, store: PlanStore, dag_id: str) -> str | None:
    version = client.bundle_version(dag_id)
    if version is None:
        return None
    try:
        stored = store.manifest(version).plans.get(dag_id)
    except PlanError:  # Airflow stands at a version of another store, from before this one was made
        return None
    return stored.digest if stored else None

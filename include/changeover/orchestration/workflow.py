"""Airflow as what drives a run: through its public API for people's commands, from inside a task for the sweeper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from changeover.domain.lane import lane_group
from changeover.orchestration.airflow_client import AirflowClient, AirflowError

if TYPE_CHECKING:
    from changeover.domain.record import Run

LAST_TASK = "record_outcome"
WAITS_FOR_PEOPLE = "awaiting_input"


class ApiWorkflow:
    """As one person who may log in."""

    def __init__(self, client: AirflowClient) -> None:
        self._client = client

    def state(self, run: Run) -> str | None:
        try:
            return self._client.run(run.dag_id, run.dag_run_id).state
        except AirflowError as exc:
            if exc.status == 404:
                return None
            raise

    def task_state(self, run: Run, task: str) -> str | None:
        try:
            return self._client.task(self._client.run(run.dag_id, run.dag_run_id), task).state
        except AirflowError as exc:
            if exc.status == 404:
                return None
            raise

    def unhealthy(self) -> tuple[str, ...]:
        return self._client.unhealthy()

    def paused(self, run: Run) -> bool:
        return self._client.is_paused(run.dag_id)

    def again(self, run: Run, environment: str, stage: str) -> tuple[str, ...]:
        task = f"{lane_group(environment)}.{stage}" if environment else LAST_TASK
        return self._client.clear(self._client.run(run.dag_id, run.dag_run_id), [task])

    def withdraw(self, run: Run) -> tuple[str, ...]:
        """End the tasks that wait for people, as failed, so that nobody is asked any more; the answer names them."""
        dag_run = self._client.run(run.dag_id, run.dag_run_id)
        waits = [request.task_id for request in self._client.requests(dag_run) if request.state == WAITS_FOR_PEOPLE]
        for task_id in waits:
            self._client.mark_task(dag_run, task_id, "failed")
        return tuple(waits)


class TaskWorkflow:
    """As a task sees other runs; it reads, and starts nothing."""

    def __init__(self, task_instance: Any) -> None:
        self._task_instance = task_instance

    def state(self, run: Run) -> str | None:
        from airflow.sdk.exceptions import AirflowRuntimeError

        try:
            state = self._task_instance.get_dagrun_state(run.dag_id, run.dag_run_id)
        except AirflowRuntimeError as exc:
            if (exc.error.detail or {}).get("status_code") == 404:
                return None
            raise AirflowError(f"Airflow does not tell the state of a run: {exc}", where=run.key) from exc
        return str(getattr(state, "value", state))  # a generated enum, whose text is its name

    def task_state(self, run: Run, task: str) -> str | None:
        from airflow.sdk.exceptions import AirflowRuntimeError

        asked = {"dag_id": run.dag_id, "run_ids": [run.dag_run_id], "task_ids": [task]}
        try:
            states = self._task_instance.get_task_states(**asked)
        except AirflowRuntimeError as exc:
            if (exc.error.detail or {}).get("status_code") == 404:
                return None
            raise AirflowError(f"Airflow does not tell the state of a task: {exc}", where=f"{run.key} {task}") from exc
        state = (states.get(run.dag_run_id) or {}).get(task)
        return None if state is None else str(getattr(state, "value", state))

    def paused(self, run: Run) -> bool:
        from airflow.sdk.exceptions import AirflowRuntimeError

        try:
            return bool(self._task_instance.get_dag(run.dag_id).is_paused)
        except AirflowRuntimeError as exc:
            raise AirflowError(f"Airflow does not tell whether a DAG is paused: {exc}", where=run.key) from exc

    def again(self, run: Run, environment: str, stage: str) -> tuple[str, ...]:
        raise AirflowError("a task starts nothing again", where=run.key, then="use `changeover settle`")

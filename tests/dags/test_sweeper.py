"""The sweeper's task: it fails with everything that disagrees, and asks Airflow as a task may."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.api.datamodels._generated import DagRunState, TaskInstanceState
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from changeover.adapters import cmdb_sql, ledger_sql
from changeover.errors import ChangeoverError
from changeover.orchestration.sweeper import sweep_now
from changeover.orchestration.workflow import TaskWorkflow
from changeover.settings import PROJECT, load
from tests.support.records import a_run


def task_instance(state: str = "", status: int = 0, *, paused: bool = False) -> Any:
    def get_dagrun_state(dag_id: str, run_id: str) -> str:
        if status:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": status}))
        return state

    return SimpleNamespace(get_dagrun_state=get_dagrun_state, get_dag=lambda dag_id: SimpleNamespace(is_paused=paused))


def test_what_a_task_is_told_of_another_run() -> None:
    assert TaskWorkflow(task_instance(DagRunState.FAILED)).state(a_run()) == "failed"
    assert TaskWorkflow(task_instance("failed")).state(a_run()) == "failed"
    assert TaskWorkflow(task_instance(status=404)).state(a_run()) is None
    with pytest.raises(ChangeoverError, match="does not tell"):
        TaskWorkflow(task_instance(status=500)).state(a_run())


def test_what_a_task_is_told_of_another_task() -> None:
    def states(answer: Any) -> Any:
        def get_task_states(*, dag_id: str, run_ids: list[str], task_ids: list[str]) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return {run_ids[0]: {task_ids[0]: answer}} if answer else {}

        return TaskWorkflow(SimpleNamespace(get_task_states=get_task_states)).task_state(a_run(), "lane.implement")

    assert states("failed") == states(TaskInstanceState.FAILED) == "failed"
    assert states(None) is None
    with pytest.raises(ChangeoverError, match="does not tell the state of a task"):
        states(AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500})))


def test_a_disagreement_fails_the_task_and_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANGEOVER_HOME", str(tmp_path))
    monkeypatch.delenv("CHANGEOVER_LEDGER_URL", raising=False)
    url = load().ledger_url
    ledger_sql.migrate(url)
    cmdb_sql.migrate(load().cmdb_url)
    assert sweep_now({"ti": task_instance()}).startswith("0 runs")
    text = (PROJECT / "include/plans/lindgren/roundup-2.6.yaml").read_text(encoding="utf-8")
    ledger_sql.SqlLedger(url).open_run(a_run(plan_text=text))
    with pytest.raises(AirflowFailException, match="run-without-end"):
        sweep_now({"ti": task_instance("failed")})
    assert sweep_now({"ti": task_instance("running")}).endswith("0 disagree")
    with pytest.raises(AirflowFailException, match="tasks will not be scheduled"):
        sweep_now({"ti": task_instance("running", paused=True)})

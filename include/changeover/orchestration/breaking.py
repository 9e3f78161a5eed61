"""What is done to a running Airflow on purpose, to see what an upgrade makes of it."""

from __future__ import annotations

import contextlib
import os
import signal

import psutil

from changeover.orchestration.airflow_client import AirflowError, DagRun
from changeover.orchestration.serve import AirflowServer

QUICK = {
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    # Airflow writes the beat before: at its default of 5 s what is on record is up to 10 s old, and a scheduler that
    # lives takes itself for lost, and its tasks for orphans.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__WORKERS__SOCKET_CLEANUP_TIMEOUT": "2",
}
"""Airflow notices within seconds what it would notice within minutes."""


def kill(server: AirflowServer, component: str) -> int:
    """SIGKILL to a component (the keeper starts it again); the pid it had."""
    pid = server.pid(component)
    if pid is None:
        raise AirflowError(f"{component} does not run", where=str(server.settings.airflow_home))
    os.kill(pid, signal.SIGKILL)
    return pid


def task_processes(server: AirflowServer, run: DagRun) -> list[psutil.Process]:
    """The processes that supervise or execute tasks of this run right now, found by the task in their title."""
    scheduler = server.pid("scheduler")
    if scheduler is None:
        return []
    with server.client() as client:
        tasks = {task.id for task in client.tasks(run).values() if task.id}
    found = []
    for process in psutil.Process(scheduler).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # ended since, or a zombie
            if any(task in " ".join(process.cmdline()) for task in tasks):
                found.append(process)
    return found

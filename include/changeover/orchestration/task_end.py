"""Why a task process is told to end: people ended the task in Airflow, or its worker is going away and will be back."""

from __future__ import annotations

import logging
import time
from typing import Any

from changeover.domain.stopping import why_over

log = logging.getLogger(__name__)
ASKS_EVERY = 0.5
"""Seconds between two questions. Airflow sends SIGTERM twice, five seconds apart, and SIGKILL after another five."""


class TaskEnd:
    """SIGTERM says nothing of its reason, so Airflow is asked what has become of the task.

    The signal arrives while the task may be talking to its supervisor: it is only noted, and asked about later.
    """

    def __init__(self, task_instance: Any) -> None:
        self._task_instance, self._told, self._next, self._why = task_instance, False, 0.0, ""

    def tell(self) -> None:
        """The process was told to end."""
        self._told = True

    def why(self) -> str:
        """Why the work on hosts has to end with the task; "" while it may go on by itself."""
        if self._told and not self._why and time.monotonic() >= self._next:
            self._next = time.monotonic() + ASKS_EVERY
            self._why = self._asked()
        return self._why

    def _asked(self) -> str:
        ti = self._task_instance
        try:
            states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id], task_ids=[ti.task_id])
        except Exception as exc:  # noqa: BLE001 -- whatever does not answer, the work on hosts is only let go of
            log.warning("Airflow does not tell why this task is to end, so its work on hosts goes on: %s", exc)
            return ""
        state = (states.get(ti.run_id) or {}).get(ti.task_id)
        why = why_over(getattr(state, "value", state), None)
        log.warning("told to end; the task is %s: work on hosts %s", state, f"is ended: {why}" if why else "goes on")
        return why

"""Work on hosts that is to end: whose word is enough, and what a worker's loss is not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from changeover.domain.record import Mark, MarkKind

OVER = frozenset({"failed", "success", "skipped", "upstream_failed", "removed"})
"""States of a task that Airflow will not have done any more. A lost worker's task is running, or up for retry."""


def why_over(task: str | None, run: str | None) -> str:
    """Why work must not go on, from what Airflow says of its task and its run; "" while somebody may come back to it.

    A worker that is restarted or lost only lets go: its task stays running, or is tried again, and attaches. Airflow
    sets the other states on a person's word, or when it has given the task up for good.
    """
    if task == "restarting":
        return "its task was cleared in Airflow"
    if task in OVER:
        return f"its task is {task.replace('_', ' ')} in Airflow"
    return f"its run has ended in Airflow ({run})" if run in ("success", "failed") else ""


def ordered_stop(marks: Iterable[Mark], environment: str, *, since: datetime) -> str:
    """Who ordered that what began at `since` ends, and why; "" when nobody did."""
    orders = [
        mark
        for mark in marks
        if mark.kind is MarkKind.STOPPING and mark.environment == environment and mark.at >= since
    ]
    return told(orders[-1]) if orders else ""


def told(order: Mark) -> str:
    return f"by {order.data.get('by')}: {order.data.get('reason')}"


def stopped_since(marks: Iterable[Mark]) -> str:
    """Who stopped the work of an environment since it was last backed out or decided by a person; "" for nobody."""
    last = ""
    for mark in marks:
        if mark.kind is MarkKind.STOPPING:
            last = told(mark)
        elif mark.kind in (MarkKind.SETTLED, MarkKind.BACKED_OUT):
            last = ""
    return last

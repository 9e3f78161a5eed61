"""Why a run that Airflow goes on with does not get on: it is held, paused or lost, and nobody would say so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from changeover.domain.record import Mark, Run, StepRecord, StepStatus
from changeover.domain.run_view import utc
from changeover.domain.steering import holds, paused_since
from changeover.usecases.step_end import ELSEWHERE
from changeover.usecases.tools import Tools


def standing_still_of(run: Run, marks: Sequence[Mark], *, paused: bool, dead: Iterable[str]) -> tuple[str, ...]:
    """Each with what ends it. `dead`: parts of Airflow that do not work."""
    since = paused_since(marks) if paused else None
    when = f" since {utc(since)}" if since else ""
    return (
        *(f"the {part} of Airflow does not work: `changeover serve` starts it again" for part in dead),
        *((f"{run.dag_id} is paused in Airflow{when}: switch it on again there",) if paused else ()),
        *(
            f"held by {hold.by} since {utc(hold.at)}{f' in {hold.environment}' if hold.environment else ''}: "
            f"{hold.reason}; `changeover resume {run.key}` ends that"
            for hold in holds(marks)
        ),
    )


def lost_steps(tools: Tools, steps: Iterable[StepRecord]) -> tuple[tuple[str, str], ...]:
    """Steps that began and have no end in the ledger, and whose controller is gone or cannot be seen from here."""
    found = []
    for step in steps:
        directory = Path(step.directory)
        if step.status is not StepStatus.RUNNING or not step.directory or tools.executor.running(directory):
            continue
        left = tools.executor.left(directory)
        if left is not None and left.status is StepStatus.UNKNOWN:
            found.append((step.step, "; ".join(left.reasons)))
        elif left is None and not tools.executor.here(directory):
            found.append((step.step, ELSEWHERE))
    return tuple(found)

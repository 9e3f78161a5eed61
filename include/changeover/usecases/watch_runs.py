"""Once a minute, beside everything else: what the clock and Airflow say of every run that goes on, noted once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from changeover.domain.record import Mark, MarkKind, Run
from changeover.domain.steering import paused_since
from changeover.errors import ChangeoverError
from changeover.ports import Ledger, Workflow
from changeover.usecases.tools import Tools, Upgrade
from changeover.usecases.watch_clock import watch_run

LOOKED_AT = 200
GOES_ON = ("running", "queued")


def watch_runs(
    ledger: Ledger, workflow: Workflow, opened: Callable[[Run], tuple[Upgrade, Tools]], *, now: datetime
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What was noted now, and what could not be asked; one run that cannot be read hides no other."""
    noted: list[str] = []
    broken: list[str] = []
    for run in ledger.runs(limit=LOOKED_AT):
        if "" in ledger.outcomes(run.key):
            continue
        try:
            if workflow.state(run) not in GOES_ON:
                continue
            noted += [f"{run.key}: {text}" for text in _pause(run, ledger, workflow, now)]
            noted += [f"{run.key}: {text}" for text in watch_run(*opened(run))]
        except ChangeoverError as exc:
            broken.append(f"{run.key}: {exc}")
    return tuple(noted), tuple(broken)


def _pause(run: Run, ledger: Ledger, workflow: Workflow, now: datetime) -> tuple[str, ...]:
    """Airflow does not say since when: the first look that sees it counts."""
    since, paused = paused_since(ledger.marks(run.key)), workflow.paused(run)
    if paused == (since is not None):
        return ()
    kind = MarkKind.AIRFLOW_PAUSED if paused else MarkKind.AIRFLOW_UNPAUSED
    reason = "tasks will not be scheduled" if paused else "tasks are scheduled again"
    ledger.mark(Mark(run.key, kind, now, data={"reason": reason}))
    return (f"{'paused' if paused else 'no longer paused'} in Airflow: {reason}",)

"""Show where a run stands: found by its key, the beginning of it, its Airflow id, or as the newest."""

from __future__ import annotations

from changeover.domain.record import Run
from changeover.domain.run_view import RunView
from changeover.ports import Ledger
from changeover.usecases.run_view import view_run

LOOKED_AT = 1000


class NoSuchRun(Exception):
    """The run that was asked for is not in the ledger, or several fit; the message says what there is."""


def status(ledger: Ledger, wanted: str | None = None) -> RunView:
    """Raise `NoSuchRun` when there is none, or more than one."""
    run = find_run(ledger, wanted)
    return view_run(ledger, run, order=())


def find_run(ledger: Ledger, wanted: str | None = None) -> Run:
    """The newest run without `wanted`; else the one whose key or Airflow id begins with it."""
    if wanted and (exact := ledger.run(wanted)):
        return exact
    runs = ledger.runs(limit=LOOKED_AT)
    if not runs:
        raise NoSuchRun("there is no run yet; `./changeover run PLAN` or `./changeover demo` makes one")
    if not wanted:
        return runs[0]
    exact_ids = [run for run in runs if run.dag_run_id == wanted]
    fitting = exact_ids or [run for run in runs if run.key.startswith(wanted) or run.dag_run_id.startswith(wanted)]
    if not fitting:
        newest = ", ".join(run.key for run in runs[:5])
        raise NoSuchRun(f"there is no run {wanted!r}; the newest are {newest}")
    if len(fitting) > 1:
        some = ", ".join(run.key for run in fitting[:5])
        raise NoSuchRun(f"{len(fitting)} runs begin with {wanted!r}: {some}{', …' if len(fitting) > 5 else ''}")
    return fitting[0]

"""The commands `hold`, `resume` and `abort`: what people want of a run that is on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from changeover import wiring
from changeover.cli_found import found_run
from changeover.cli_session import witnessed
from changeover.errors import ChangeoverError

if TYPE_CHECKING:
    from changeover.domain.record import Run
    from changeover.settings import Settings


def steer(verb: str, wanted: str, *, by: str, reason: str, back_out: bool = False) -> int:
    """0 it was done; 1 it is not possible now; 2 the request is faulty."""
    from changeover.usecases import steer_run

    settings = wiring.load_settings()
    run = found_run(wanted, settings)
    if isinstance(run, str):
        typer.echo(run, err=True)
        return 2
    if faults := steer_run.faults_of(wiring.pinned_upgrade(settings, run).plan, by=by, reason=reason):
        for fault in faults:
            typer.echo(fault, err=True)
        return 2
    ledger, at, kept = wiring.ledger(settings), wiring.now(), witnessed(reason)
    if verb == "abort":
        done = steer_run.abort(ledger, run, by=by, reason=kept, at=at, back_out=back_out)
    else:
        done = (steer_run.hold if verb == "hold" else steer_run.resume)(ledger, run, by=by, reason=kept, at=at)
    for text in done.refused:
        typer.echo(f"not done: {text}", err=True)
    if done.refused:
        return 1
    typer.echo(f"{_DONE[verb]}: run {run.key}, by {by}: {reason}")
    for text in (*done.then, *(_withdrawn(run, settings) if verb == "abort" else ())):
        typer.echo(f"  {text}")
    return 0


def _withdrawn(run: Run, settings: Settings) -> tuple[str, ...]:
    """What becomes of the requests that wait: an answer to one would let nothing begin any more."""
    from changeover.orchestration.serve import running
    from changeover.orchestration.workflow import ApiWorkflow

    by_hand = "a request that waits is not withdrawn: reject it (`changeover reject` lists them)"
    try:
        server = running(settings)
        if server is None:
            return (f"Airflow does not run here; {by_hand}",)
        with server.client() as client:
            return tuple(f"withdrawn: the request of {task}" for task in ApiWorkflow(client).withdraw(run))
    except (ChangeoverError, OSError, ValueError) as exc:
        return (f"{exc}; {by_hand}",)


_DONE = {"hold": "held", "resume": "resumed", "abort": "aborted"}

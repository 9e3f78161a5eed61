"""The commands `hold`, `resume` and `abort`: what people want of a run that is on its way."""

from __future__ import annotations

import typer

from changeover import wiring
from changeover.cli_found import found_run


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
    ledger, at = wiring.ledger(settings), wiring.now()
    if verb == "abort":
        done = steer_run.abort(ledger, run, by=by, reason=reason, at=at, back_out=back_out)
    else:
        done = (steer_run.hold if verb == "hold" else steer_run.resume)(ledger, run, by=by, reason=reason, at=at)
    for text in done.refused:
        typer.echo(f"not done: {text}", err=True)
    if done.refused:
        return 1
    typer.echo(f"{_DONE[verb]}: run {run.key}, by {by}: {reason}")
    for text in done.then:
        typer.echo(f"  {text}")
    return 0


_DONE = {"hold": "held", "resume": "resumed", "abort": "aborted"}

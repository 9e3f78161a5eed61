"""The command `stop`: what a run has at work on hosts ends there, by name and for a reason."""

from __future__ import annotations

import typer

from changeover import wiring
from changeover.cli_found import found_run
from changeover.cli_session import witnessed


def stop(wanted: str, *, by: str, reason: str, environments: tuple[str, ...]) -> int:
    """0 all of it is confirmed to be stopped; 1 it is not, or nothing was at work; 2 the request is faulty."""
    from changeover.cli_credentials import around
    from changeover.usecases.steer_run import faults_of
    from changeover.usecases.stop_work import maybe_at_work, stop_work

    settings = wiring.load_settings()
    run = found_run(wanted, settings)
    if isinstance(run, str):
        typer.echo(run, err=True)
        return 2
    upgrade = wiring.pinned_upgrade(settings, run)
    known = [environment.name for environment in upgrade.plan.environments]
    unknown = [name for name in environments if name not in known]
    faults = (
        *faults_of(upgrade.plan, by=by, reason=reason),
        *((f"--environment: the plan has no {', '.join(unknown)}",) if unknown else ()),
    )
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        return 2
    steps = maybe_at_work(wiring.ledger(settings), run.key, environments)
    if not steps:
        where = f" in {', '.join(environments)}" if environments else ""
        typer.echo(f"not done: nothing of run {run.key} is at work on hosts{where}", err=True)
        typer.echo(f"  what has not begun is ended by `changeover abort {run.key}`", err=True)
        return 1
    settings, vault = around(run.client, run.application, settings)
    tools = wiring.tools(vault=vault, tell=lambda _: None, settings=settings)
    done = stop_work(upgrade, tools, steps, by=by, reason=witnessed(reason))
    for one in done:
        typer.echo(str(one))
    if all(one.confirmed for one in done):
        typer.echo("next: where Airflow goes on with the run, the lane's verdict decides; otherwise")
    else:
        typer.echo("next: what is true there is unknown, and the locks stay; nothing more begins by itself")
    typer.echo(f"  changeover settle {run.key}")
    return 0 if all(one.confirmed for one in done) else 1

"""The command `settle`: what is true of a run that stopped half-way, and what is done about it."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from changeover import wiring
from changeover.cli_found import found_run
from changeover.cli_session import witnessed
from changeover.errors import ChangeoverError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from changeover.domain.record import Run
    from changeover.domain.settlement import Settlement
    from changeover.orchestration.workflow import ApiWorkflow
    from changeover.settings import Settings
    from changeover.usecases.settle_run import Case, Done, Order, RunSettlement

BROKEN = 3


def settle(wanted: str, do: str | None, *, by: str, reason: str, environments: tuple[str, ...], as_json: bool) -> int:
    """0 nothing to settle, or the order was carried out; 1 something is; 2 a faulty request; 3 a tool is broken."""
    from changeover.domain.settlement import Way
    from changeover.usecases.settle_run import Order, carry_out, faults_of, look

    settings = wiring.load_settings()
    run = found_run(wanted, settings)
    if isinstance(run, str):
        typer.echo(run, err=True)
        return 2
    order = Order(Way(do or Way.CLOSE), by, reason, environments)
    with _workflow(settings) as workflow:
        case = _case(run, settings, workflow)
        faults = faults_of(case, order) if do else ()
        for fault in faults:
            typer.echo(fault, err=True)
        if faults:
            return 2
        found = look(case)
        kept = replace(order, reason=witnessed(reason))
        done = carry_out(case, found, kept) if do and not found.nothing else None
    _print(run, found, order if do else None, done, as_json=as_json)
    if found.broken:
        return BROKEN
    if done is not None:
        return 1 if done.refused else 0
    return 0 if found.nothing else 1


def _case(run: Run, settings: Settings, workflow: ApiWorkflow | None) -> Case:
    from changeover.cli_credentials import around
    from changeover.usecases.settle_run import Case

    settings, vault = around(run.client, run.application, settings)
    tools = wiring.tools(vault=vault, tell=_tell, settings=settings)
    dead = workflow.unhealthy() if workflow else ()
    return Case(wiring.pinned_upgrade(settings, run), tools, wiring.holds(), workflow, dead)


def _tell(line: str) -> None:
    """What goes wrong, and not every task that went well."""
    if " | ok | " not in line:
        typer.echo(line, err=True)


@contextlib.contextmanager
def _workflow(settings: Settings) -> Iterator[ApiWorkflow | None]:
    """Airflow, if it runs here and lets us in."""
    from changeover.orchestration.serve import running
    from changeover.orchestration.workflow import ApiWorkflow

    try:
        server = running(settings)
    except (OSError, ValueError) as exc:
        raise ChangeoverError(
            f"the record of the Airflow here cannot be read: {exc}",
            where=str(settings.airflow_home),
            then="end it and start it again with `changeover serve`",
        ) from exc
    if server is None:
        yield None
        return
    with server.client() as client:
        yield ApiWorkflow(client)


def _print(run: Run, found: RunSettlement, order: Order | None, done: Done | None, *, as_json: bool) -> None:
    if as_json:
        answer = found.as_json()
        if order is not None:
            answer["ordered"] = str(order.way)
            answer["done"] = list(done.done) if done else []
            answer["refused"] = list(done.refused) if done else []
        typer.echo(json.dumps(answer, indent=2))
        return
    typer.echo(f"run {run.key} ({run.client} {run.upgrade}, {run.mode}, asked for by {run.requested_by})")
    typer.echo(f"Airflow: {str(found.driver).removeprefix('Airflow ')}")
    for one in found.environments:
        _print_environment(one)
    for text in (*found.needs, *found.broken):
        typer.echo(text)
    for text in done.done if done else ():
        typer.echo(f"done: {text}")
    for text in done.refused if done else ():
        typer.echo(f"not done: {text}")
    if found.nothing:
        typer.echo("nothing to settle")
    elif done is None:
        for line in next_commands(found):
            typer.echo(f"next: {line}")


def _print_environment(one: Settlement) -> None:
    typer.echo(f"{one.environment}: {one.truth}" + (f" ({one.why})" if one.why else ""))
    for host in one.hosts:
        typer.echo(f"  {host.host}: {host.truth}: {host.why}" + ("; locked by the run" if host.locked else ""))
        for process in host.alive:
            typer.echo(f"    {process}")
    if not one.needs:
        return
    for need in one.needs:
        typer.echo(f"  to settle: {need}")
    for option in one.options:
        reasons = "; ".join(option.reasons)
        typer.echo(f"  {option.way}: {'possible' if option.possible else 'not possible'}: {reasons}")


def next_commands(found: RunSettlement) -> list[str]:
    """Every command that would be carried out now; without Airflow, the one that brings it back comes first."""
    from changeover.domain.settlement import Driver, Way

    open_ways = {option.way for one in found.to_settle for option in one.options if option.possible}
    if found.needs and not found.to_settle:
        open_ways |= {Way.CLOSE} | ({Way.RESUME} if found.driver is Driver.ENDED else set())
    lines = [f"changeover settle {found.run} --do {way} --by LOGIN --reason TEXT" for way in Way if way in open_ways]
    if found.driver is Driver.GOES_ON:
        return [f"end what is listed, and ask again; to end the run: changeover stop {found.run}, or mark it failed"]
    if found.driver is Driver.NO_ANSWER:
        return ["changeover serve   (a run that is on its way goes on by itself; then ask again)", *lines]
    return lines or ["wait for what is still at work, and ask again"]

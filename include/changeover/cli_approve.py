"""The commands `approve` and `reject`: what waits for people, and their answers, through Airflow's public API."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from changeover import wiring
from changeover.cli_session import os_user, witnessed

if TYPE_CHECKING:
    from changeover.orchestration.airflow_client import AirflowClient, Request
    from changeover.orchestration.serve import AirflowServer

GATES = {
    "approve_plan": "plan",
    "go_no_go": "go_no_go",
    "sign_off": "sign_off",
    "hypercare": "hypercare",
    "support_accepts": "support",
}
"""Name of the task that asks → the gate, as the plan and the ledger call it."""
LANE = "s08_s09_"
LONGEST_COMMENT = 500
"""With the note on whose session it came from."""


@dataclass(frozen=True)
class Answered:
    """What somebody says, and at which gate."""

    option: str
    run: str | None
    gate: str | None
    environment: str = ""
    comment: str = ""


@dataclass(frozen=True)
class OpenGate:
    """A request that waits, in the words of plan and ledger."""

    request: Request
    run: str
    gate: str
    environment: str

    def told(self) -> str:
        where = f" {self.environment}" if self.environment else ""
        return f"{self.run}  {self.gate.replace('_', '-')}{where}  waits for {' or '.join(self.request.asked)}"

    def is_of(self, run: str) -> bool:
        return self.run.startswith(run) or self.request.run_id.startswith(run) or self.request.dag_id == run


def open_gates(requests: Sequence[Request]) -> tuple[OpenGate, ...]:
    from changeover.domain.record import run_key

    found = []
    for request in requests:
        group, _, task = request.task_id.rpartition(".")
        if request.waits and task in GATES:
            environment = group.removeprefix(LANE) if group.startswith(LANE) else ""
            found.append(OpenGate(request, run_key(request.dag_id, request.run_id), GATES[task], environment))
    return tuple(sorted(found, key=lambda gate: (gate.run, gate.environment, gate.gate)))


def list_open(login: str) -> int:
    """Everything that waits; with a login, what waits for that person."""
    with _administrator() as client:
        gates = [gate for gate in open_gates(client.requests()) if not login or login in gate.request.asked]
    if not gates:
        typer.echo(f"nothing waits for {login or 'anybody'}")
    for gate in gates:
        _show(gate)
    return 0


def _show(gate: OpenGate) -> None:
    """The request with everything that is to be read before it is answered."""
    typer.echo(gate.told())
    typer.echo(f"    {gate.request.subject}")
    for line in _facts(gate) or tuple(plain_lines(gate.request.body)):
        typer.echo(f"    {line}")


def _facts(gate: OpenGate) -> tuple[str, ...]:
    """Airflow does not renew the text of a watch's request: what it rests on stands in the ledger."""
    from changeover.domain.hypercare import GATE, asked_rows

    if gate.gate != GATE:
        return ()
    rows = asked_rows(wiring.ledger(wiring.load_settings()).marks(gate.run, environment=""))
    return tuple(f"{name}: {text}" for name, text in rows)


def plain_lines(body: str) -> Iterator[str]:
    """A request's text as Airflow has it (Markdown), for a terminal: rows of two cells as `name: text`."""
    for line in body.splitlines():
        text = line.strip()
        if text.startswith("|"):
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", text.strip("|"))]
            text = ": ".join(filter(None, cells)) if any(cell.strip("-: ") for cell in cells) else ""
        text = text.replace("**", "").replace("`", "")
        if text:
            yield text


def answer(said: Answered, *, login: str) -> int:
    from changeover.cli_run import local_server

    server = local_server(wiring.load_settings())
    with server.client() as reader:
        gates = open_gates(reader.requests())
    chosen, why_not, code = choose(said, gates)
    if chosen is None:
        typer.echo(f"changeover: {why_not}", err=True)
        return code
    here = os_user()
    who = login or here
    if fault := refusal(chosen, who, server.people):
        typer.echo(f"changeover: {fault}", err=True)
        return 1
    _show(chosen)
    with _person(server, said, who, here) as person:
        return give(person, chosen, replace(said, comment=witnessed(said.comment, here)), who)


def _person(server: AirflowServer, said: Answered, who: str, here: str) -> AirflowClient:
    """Airflow as the person who answers. A session of somebody else's proves nothing: it has to know the password."""
    if who != here:
        return server.client(who, password=typer.prompt(f"Password of {who} in Airflow", hide_input=True))
    if sys.stdin.isatty():
        typer.confirm(f"{said.option} as {who}?", abort=True)
    return server.client(who)


def choose(said: Answered, gates: Sequence[OpenGate]) -> tuple[OpenGate | None, str, int]:
    """The one request that is meant, or why there is none, and the exit code that says so."""
    if said.run is None or said.gate is None:
        return None, "name the run and the gate, or neither to see what waits", 2
    name = said.gate.replace("-", "_")
    if name not in GATES.values():
        known = ", ".join(gate.replace("_", "-") for gate in GATES.values())
        return None, f"{said.gate!r} is not a gate at which people answer; those are {known}", 2
    longest = LONGEST_COMMENT - len(witnessed("", os_user())) - 1
    if len(said.comment) > longest:
        return None, f"a comment has at most {longest} characters; this one has {len(said.comment)}", 2
    wanted = said.environment.replace(".", "_")
    found = [gate for gate in gates if gate.is_of(said.run) and gate.gate == name and wanted in ("", gate.environment)]
    if len(found) == 1:
        return found[0], "", 0
    listed = "".join(f"\n  {gate.told()}" for gate in found or gates)
    if found:
        return None, f"several requests are meant; name the run in full, and --environment:{listed}", 2
    others = f"; open are:{listed}" if gates else ": nothing waits for anybody"
    place = f" of {said.environment}" if said.environment else ""
    return None, f"no open request {said.gate}{place} in run {said.run}{others}", 1


def refusal(gate: OpenGate, who: str, logins: Mapping[str, str]) -> str:
    """Why a person cannot answer ("" when they can), and who can."""
    asked = gate.request.asked
    may = f"{' or '.join(asked)} may, each as themselves" if asked else "nobody may"
    if who not in asked:
        return f"{who} is not asked at {gate.gate.replace('_', '-')} of {gate.run}; {may}"
    if who not in logins:
        return f"{who} has no login in this Airflow: logins are fixed when it starts, so start `changeover serve` again"
    return ""


def give(client: AirflowClient, gate: OpenGate, said: Answered, who: str) -> int:
    """0 when Airflow took the answer; what follows from it is decided in the run, from the ledger."""
    from changeover.orchestration.airflow_client import AirflowError

    try:
        client.answer(gate.request, said.option, comment=said.comment)
    except AirflowError as exc:
        if exc.status == 401:
            typer.echo(f"changeover: that is not the password of {who} in Airflow; nothing was answered", err=True)
            return 1
        if exc.status == 409:
            typer.echo("changeover: somebody answered meanwhile; `changeover approve` lists what still waits", err=True)
            return 1
        if exc.status == 403:
            asked = " or ".join(gate.request.asked)
            typer.echo(f"changeover: Airflow does not let {who} answer; {asked} may", err=True)
            return 1
        raise
    verb = "approved" if said.option == "Approve" else "rejected"
    typer.echo(f"{who} {verb} {gate.told().split('  waits')[0]}; `changeover status {gate.run}` tells what follows")
    return 0


def _administrator() -> AirflowClient:
    from changeover.cli_run import local_server

    return local_server(wiring.load_settings()).client()

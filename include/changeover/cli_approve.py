"""The commands `approve` and `reject`: what waits for people, and their answers, through Airflow's public API."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from changeover import wiring

if TYPE_CHECKING:
    from changeover.orchestration.airflow_client import AirflowClient, Request

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
        typer.echo(gate.told())
        typer.echo(f"    {gate.request.subject}")
        for name, text in _facts(gate):
            typer.echo(f"    {name}: {text}")
    return 0


def _facts(gate: OpenGate) -> tuple[tuple[str, str], ...]:
    """Airflow does not renew the text of a watch's request: what it rests on stands in the ledger."""
    from changeover.domain.hypercare import GATE, asked_rows

    if gate.gate != GATE:
        return ()
    return asked_rows(wiring.ledger(wiring.load_settings()).marks(gate.run, environment=""))


def answer(said: Answered, *, login: str) -> int:
    from changeover.cli_run import local_server

    server = local_server(wiring.load_settings())
    with server.client() as reader:
        gates = open_gates(reader.requests())
    chosen, why_not, code = choose(said, gates)
    if chosen is None:
        typer.echo(f"changeover: {why_not}", err=True)
        return code
    who = login or getpass.getuser()
    if fault := refusal(chosen, who, server.people):
        typer.echo(f"changeover: {fault}", err=True)
        return 1
    with server.client(who) as person:
        return give(person, chosen, said, who)


def choose(said: Answered, gates: Sequence[OpenGate]) -> tuple[OpenGate | None, str, int]:
    """The one request that is meant, or why there is none, and the exit code that says so."""
    if said.run is None or said.gate is None:
        return None, "name the run and the gate, or neither to see what waits", 2
    name = said.gate.replace("-", "_")
    if name not in GATES.values():
        known = ", ".join(gate.replace("_", "-") for gate in GATES.values())
        return None, f"{said.gate!r} is not a gate at which people answer; those are {known}", 2
    if len(said.comment) > LONGEST_COMMENT:
        return None, f"a comment has at most {LONGEST_COMMENT} characters; this one has {len(said.comment)}", 2
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
    may = f"{' or '.join(asked)} may answer: add --as {asked[0]} if you are that person" if asked else "nobody may"
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

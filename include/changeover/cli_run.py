"""The commands `run` and `serve`: Airflow on this machine, and a run of a plan in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from changeover import wiring
from changeover.errors import ChangeoverError
from changeover.interrupts import ended_as_by_ctrl_c

if TYPE_CHECKING:
    from pathlib import Path

    from changeover.domain.run_view import RunView
    from changeover.orchestration.airflow_client import AirflowClient, DagRun
    from changeover.orchestration.serve import AirflowServer
    from changeover.ports import Ledger
    from changeover.settings import Settings

PATIENCE = 90.0
"""Seconds until Airflow has to show the plan's DAG."""
A_MONTH = 30 * 24 * 3600.0
"""Approvals and windows take their time."""


@dataclass(frozen=True)
class Asked:
    """What the trigger form asks."""

    mode: str
    environments: tuple[str, ...] = ()
    reason: str = ""
    change_reference: str = ""
    findings: tuple[str, ...] = ()

    def conf(self) -> dict[str, Any]:
        asked: dict[str, Any] = {"mode": self.mode, "reason": self.reason, "change_reference": self.change_reference}
        named = {"environments": list(self.environments), "findings": list(self.findings)}
        return asked | {key: names for key, names in named.items() if names}


def start(path: Path, asked: Asked, *, login: str, wait: bool) -> int:
    """Check the plan and the request, start the run on exactly this text, and follow it if asked to."""
    from changeover.cli_plan import print_checked
    from changeover.usecases.check_plans import check_plans
    from changeover.usecases.open_run import request_faults

    settings = wiring.load_settings()
    report = check_plans([path], wiring.shelf(settings), now=wiring.now())
    plan = report.plans[0].plan
    if not report.ok or plan is None or len(report.plans) != 1:
        for checked in report.plans:
            print_checked(checked, err=True)
        return 1
    if faults := request_faults(plan, asked.conf()):
        for fault in faults:
            typer.echo(fault, err=True)
        return 2
    with _client(settings, login) as client:
        return start_in(client, settings, plan.dag_id, asked, digest=report.plans[0].digest, wait=wait)


def run_in_airflow(settings: Settings, dag_id: str, asked: Asked, *, digest: str, login: str) -> str:
    """Start a run and follow it to its end, on standard error; its key."""
    from changeover.domain.record import run_key

    with _client(settings, login) as client:
        _wait_for_text(client, settings, dag_id, digest)
        run = client.trigger(dag_id, asked.conf(), note=asked.reason or None)
        key = run_key(run.dag_id, run.run_id)
        typer.echo(f"started {run.dag_id} {run.run_id}\nrun {key}", err=True)
        teller = _Teller(client, wiring.ledger(settings), run, key, digest, err=True)
        ended = client.wait(run, timeout=A_MONTH, on_poll=teller.poll, interval=1.0)
        if wiring.ledger(settings).run(key) is None:
            raise ChangeoverError(
                f"the run ended {ended.state} and left nothing in the ledger. {_failure(client, run)}",
                where=f"{run.dag_id} {run.run_id}",
                then="read the log of that task in Airflow",
            )
    return key


def start_in(client: AirflowClient, settings: Settings, dag_id: str, asked: Asked, *, digest: str, wait: bool) -> int:
    """Start a run of the plan text with this digest, and follow it if asked to."""
    from changeover.domain.record import run_key

    _wait_for_text(client, settings, dag_id, digest)
    run = client.trigger(dag_id, asked.conf(), note=asked.reason or None)
    key = run_key(run.dag_id, run.run_id)
    typer.echo(f"started {run.dag_id} {run.run_id}\nrun {key}")
    return _follow(client, settings, run, key, digest=digest) if wait else 0


def _client(settings: Settings, login: str) -> AirflowClient:
    server = local_server(settings)
    if not login:
        return server.client()
    if login not in server.people:
        raise ChangeoverError(
            f"{login!r} has no login here; logins are {', '.join(sorted(server.people))}", where=server.url
        )
    return server.client(login)


def local_server(settings: Settings) -> AirflowServer:
    from changeover.orchestration.serve import running

    server = running(settings)
    if server is None:
        raise ChangeoverError(
            "no Airflow of Changeover's runs on this machine",
            where=str(settings.airflow_home),
            then="start it with `changeover serve` in another terminal",
        )
    return server


def _wait_for_text(client: AirflowClient, settings: Settings, dag_id: str, digest: str) -> None:
    """An edited plan reaches Airflow within seconds."""
    from changeover.orchestration.plan_store import PlanStore
    from changeover.orchestration.take_plan import wait_until_taken

    wait_until_taken(client, PlanStore(settings.plan_store), dag_id, digest, timeout=PATIENCE)


def _follow(client: AirflowClient, settings: Settings, run: DagRun, key: str, *, digest: str) -> int:
    from changeover.cli_status import print_view
    from changeover.usecases.run_view import view_run

    ledger = wiring.ledger(settings)
    teller = _Teller(client, ledger, run, key, digest)
    ended = client.wait(run, timeout=A_MONTH, on_poll=teller.poll, interval=1.0)
    recorded = ledger.run(key)
    if recorded is None:
        raise ChangeoverError(
            f"the run ended {ended.state} and left nothing in the ledger. {_failure(client, run)}",
            where=f"{run.dag_id} {run.run_id}",
            then="read the log of that task in Airflow",
        )
    view = view_run(ledger, recorded)
    print_view(view)
    if view.outcome is None:
        raise ChangeoverError(
            f"the run ended {ended.state} without an outcome: nobody can say what is true. {_failure(client, run)}",
            where=f"{run.dag_id} {run.run_id}",
            then="look at its hosts, and read the log of that task in Airflow",
        )
    return 0 if did_what_was_asked(view) else 1


def _failure(client: AirflowClient, run: DagRun) -> str:
    from changeover.demo import first_failure

    return f"The first task that failed: {first_failure(client, run)}"


def did_what_was_asked(view: RunView) -> bool:
    """A run in mode back-out is asked to end `backed_out`."""
    outcome = view.outcome.outcome if view.outcome else None
    if outcome is None:
        return False
    return outcome.is_success or (view.run.mode == "back-out" and str(outcome) == "backed_out")


class _Teller:
    """Tells what is new at each look: marks, gates, and questions that wait for people."""

    def __init__(
        self, client: AirflowClient, ledger: Ledger, run: DagRun, key: str, digest: str, *, err: bool = False
    ) -> None:
        self._client, self._ledger, self._run, self._key, self._digest = client, ledger, run, key, digest
        self._err = err
        self._told: set[str] = set()
        self._asked: set[str] = set()
        self._warned = False

    def poll(self, run: DagRun) -> None:
        from changeover.usecases.run_view import view_run
        from changeover.usecases.write_report import events

        recorded = self._ledger.run(self._key)
        if recorded is None:
            return
        if recorded.plan_digest != self._digest and not self._warned:
            self._warned = True
            typer.echo("this run was opened on another text of the plan than was checked here", err=True)
        happened = sorted(events(view_run(self._ledger, recorded)), key=lambda event: event.until or event.at)
        for event in happened:
            place = " ".join(part for part in (event.environment, event.host) if part)
            line = f"{event.until or event.at:%H:%M:%S}  {place:<24}  {event.text}"
            if line not in self._told:
                self._told.add(line)
                typer.echo(line, err=self._err)
        self._tell_questions(run)

    def _tell_questions(self, run: DagRun) -> None:
        for request in self._client.requests(run):
            if request.task_id not in self._asked:
                self._asked.add(request.task_id)
                typer.echo(f"waiting for {' or '.join(request.asked)}: {request.subject}", err=self._err)


def serve(*, port: int, sites: tuple[str, ...]) -> int:
    """Until Ctrl-C, or until Airflow ends by itself."""
    from changeover.orchestration import serve as airflow
    from changeover.orchestration.introduce_site import logins

    settings = _serving(sites)
    if server := airflow.running(settings):
        raise ChangeoverError("Airflow runs here already", where=server.url, then="end that one first, or use it")
    readings = wiring.shelf(settings).plans([settings.plans])
    people = logins(reading.document for reading in readings if reading.document)
    with ended_as_by_ctrl_c():
        return _serve(settings, airflow.start(settings, people=people, port=port), sites)


def _serve(settings: Settings, server: AirflowServer, sites: tuple[str, ...]) -> int:
    from changeover.orchestration import serve as airflow

    try:
        airflow.wait_ready(server)
        for site in sites:
            _introduce(settings, server, site)
        typer.echo(f"Airflow: {server.url}   logins and passwords: {server.passwords_path}")
        typer.echo("Ctrl-C ends it; a run that is on its way goes on at the next start")
        while server.alive():
            time.sleep(0.5)
    except KeyboardInterrupt:
        typer.echo("ending Airflow", err=True)
        return 0
    finally:
        server.stop()
    raise ChangeoverError(
        "Airflow ended by itself", where=str(settings.airflow_home / "logs"), then="read the newest log there"
    )


def _serving(sites: tuple[str, ...]) -> Settings:
    """The lab's upgrades are staged from the releases that the lab fetched."""
    if not sites:
        return wiring.load_settings()
    from changeover.demo import demo_settings

    return demo_settings()


def _introduce(settings: Settings, server: AirflowServer, site: str) -> None:
    from changeover import lab
    from changeover.orchestration.introduce_site import import_estate, store_connections

    typer.echo(f"starting the lab's site {site}", err=True)
    state = lab.up(site)
    import_estate(settings, state.estate_path)
    with server.client() as client:
        store_connections(client, state.secrets_path)
    typer.echo(f"{site}: {', '.join(host.name for host in state.hosts)} are in the CMDB")

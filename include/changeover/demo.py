"""The demonstration: a real upgrade in the lab under Airflow, from nothing to the outcome, and all ended again."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from changeover import lab, wiring
from changeover.demo_view import DemoView
from changeover.errors import ChangeoverError
from changeover.interrupts import ended_as_by_ctrl_c
from changeover.orchestration import introduce_site, serve
from changeover.orchestration.airflow_client import AirflowClient, AirflowError, DagRun, Request, Task
from changeover.orchestration.processes import PidFile
from changeover.settings import Settings

if TYPE_CHECKING:
    from changeover.domain.plan import Plan
    from changeover.domain.run_view import RunView

LONGEST_RUN = 1800.0
PREFERRED_PORT = 8080


@dataclasses.dataclass(frozen=True)
class Scene:
    """Which site of the lab is upgraded, and by which plan below the plans' directory."""

    site: str
    plan: str
    told: str
    """What the lab holds, for the line that says it is ready."""


@dataclasses.dataclass(frozen=True)
class WaivedForShow:
    """What the analysis finds of a fault, and would stop the run for: one is to see what the gates behind it do."""

    key: str
    subject: str
    environment: str | None = None


WAIVED = {
    "integration": WaivedForShow("impact-endpoint-moved", "prod-app?/order-feed", "production"),
    "module": WaivedForShow("customisation-unported", "customer_nordwind"),
}
WAIVED_BECAUSE = "the demonstration shows what the gates do when this was waived"

TRYTON = Scene("tryton", "nordwind/tryton-8.0.yaml", "four SSH hosts, Tryton 7.0 with its PostgreSQL and business data")


def demo(*, fault: str | None = None, keep: bool | None = None, scene: Scene = TRYTON) -> int:
    """Play the upgrade; 0 only when the ledger's outcome is a success.

    `keep`: leave the user interface up until Ctrl-C; left out, that is done on a terminal.
    """
    settings = demo_settings()
    stays = sys.stdout.isatty() and sys.stdin.isatty() if keep is None else keep
    with _alone(settings), ended_as_by_ctrl_c():
        play = Demonstration(settings, DemoView(), scene, fault)
        try:
            code = play.run()
            if stays:
                play.stay()
        finally:
            play.end()
    return code


def demo_settings() -> Settings:
    """The lab keeps the releases it fetched; the upgrade stages them from there."""
    named = os.environ.get("CHANGEOVER_LAB_ARTEFACTS")
    return dataclasses.replace(
        wiring.load_settings(), artefacts=Path(named) if named else lab.default_root() / "artefacts"
    )


class Demonstration:
    """One performance; `end` may be called at any point of it."""

    def __init__(self, settings: Settings, view: DemoView, scene: Scene, fault: str | None) -> None:
        self.settings, self.view, self.scene, self.fault = settings, view, scene, fault
        self.server: serve.AirflowServer | None = None
        self._lab: Future[lab.LabState] | None = None
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab")

    def run(self) -> int:
        """From nothing to the outcome."""
        plan, digest = self._plan()
        self.view.opening(plan.title, self.fault)
        self._clear_leftovers()
        self._waive(plan)
        server, state = self._set_up(plan)
        with server.client() as airflow:
            self._introduce(airflow, state, plan, digest)
            with server.client(plan.requested_by) as asker:
                run = asker.trigger(plan.dag_id, {"mode": "implement", "reason": "the demonstration"})
            self.view.step(f"{plan.requested_by} started {run.dag_id} through the public API: {server.run_url(run)}")
            view = self._follow(server, airflow, run, plan)
            tasks = airflow.tasks(run)
        self._conclude(view, tasks)
        return 0 if view.outcome and view.outcome.outcome.is_success else 1

    def stay(self) -> None:
        """Until Ctrl-C, so that the run can be looked at."""
        if self.server is None:
            return
        self.view.invitation(self.server)
        with contextlib.suppress(KeyboardInterrupt):
            while self.server.alive():
                time.sleep(0.5)

    def end(self) -> None:
        """End everything that was started; the ledger, the reports and Airflow's history stay."""
        before = [(signum, signal.signal(signum, signal.SIG_IGN)) for signum in (signal.SIGINT, signal.SIGTERM)]
        try:
            self.view.now("ending what was started")
            serve.stop(self.settings)
            stop_executions(self.settings)
            self._threads.shutdown(wait=True, cancel_futures=True)
            if self._lab is not None:
                lab.down(self.scene.site)
            self.view.farewell()
        finally:
            for signum, handler in before:
                signal.signal(signum, handler)

    def _plan(self) -> tuple[Plan, str]:
        from changeover.adapters.plan_files import parse_plan, plan_digest

        path = self.settings.plans / self.scene.plan
        text = path.read_bytes()
        return parse_plan(text, name=str(path)), plan_digest(text)

    def _waive(self, plan: Plan) -> None:
        """Give the waiver without which the analysis would stop this fault, for this run alone, and say so."""
        finding = WAIVED.get(self.fault or "")
        if finding is None:
            return
        from changeover.adapters.check_files import load_catalogue
        from changeover.adapters.waiver_files import add_waiver
        from changeover.domain.waiver import Waiver

        today = wiring.now().date()
        waiver = Waiver(
            id=f"DEMO-{self.fault}",
            key=finding.key,
            subject=finding.subject,
            environment=finding.environment,
            upgrade=plan.upgrade,
            reason=WAIVED_BECAUSE,
            by=next(who for who in reversed(plan.approved_by.by) if who != plan.requested_by),
            given_on=today,
            expires_on=today + timedelta(days=1),
        )
        self.settings = dataclasses.replace(self.settings, waivers=self.settings.home / "demo" / "waivers")
        standing = wiring.load_settings().waivers
        catalogue = load_catalogue(self.settings.checks)
        add_waiver(plan.client, waiver, standing=standing, target=self.settings.waivers, catalogue=catalogue)
        self.view.waived(waiver)

    def _clear_leftovers(self) -> None:
        if left := serve.stop(self.settings):
            self.view.step(f"ended what an earlier start left running: {', '.join(left)}")
        if stopped := stop_executions(self.settings):
            self.view.step(f"stopped {stopped} executions of Ansible that an earlier start left running")
        if forget_unfinished(self.settings):
            self.view.step("an earlier run was cut short; Airflow starts with an empty history")

    def _set_up(self, plan: Plan) -> tuple[serve.AirflowServer, lab.LabState]:
        """Lab and Airflow at the same time: each waits a lot."""
        self.view.now("starting the lab and Airflow")
        self._lab = making = self._threads.submit(lab.reset, self.scene.site, fault=self.fault)
        readings = wiring.shelf(self.settings).plans([self.settings.plans])
        people = introduce_site.logins([plan, *(reading.document for reading in readings if reading.document)])
        port = PREFERRED_PORT if serve.is_free(PREFERRED_PORT) else 0
        self.server = server = serve.start(self.settings, people=people, port=port)

        def waiting(airflow: str) -> None:
            if making.done() and (failure := making.exception()):
                raise failure
            parts = ("" if making.done() else "the lab (hosts, the old release, its data)", airflow)
            self.view.now("waiting for " + " and ".join(part for part in parts if part))

        serve.wait_ready(server, timeout=180.0, on_progress=lambda what: waiting(f"Airflow ({what})"))
        self.view.step(f"Airflow is ready at {server.url}")
        while not making.done():
            waiting("")
            time.sleep(0.2)
        state = making.result()
        self.view.step(f"the lab is ready: {self.scene.told}")
        return server, state

    def _introduce(self, airflow: AirflowClient, state: lab.LabState, plan: Plan, digest: str) -> None:
        from changeover.orchestration.plan_store import PlanStore
        from changeover.orchestration.take_plan import wait_until_taken

        with contextlib.suppress(ChangeoverError):  # what the run before left undelivered must not follow the reset
            wiring.deliver_waiting()
        introduce_site.import_estate(self.settings, state.estate_path, reset=True)
        introduce_site.store_connections(airflow, state.secrets_path)
        wait_until_taken(airflow, PlanStore(self.settings.plan_store), plan.dag_id, digest, timeout=60)
        self.view.step("the estate is in the CMDB, its keys are in Airflow's connections, the plan is a DAG")

    def _follow(self, server: serve.AirflowServer, airflow: AirflowClient, run: DagRun, plan: Plan) -> RunView:
        from changeover.domain.record import run_key
        from changeover.usecases.run_view import view_run

        ledger, key = wiring.ledger(self.settings), run_key(run.dag_id, run.run_id)

        def look(now: DagRun) -> None:
            if not server.alive():
                raise AirflowError(
                    "Airflow ended by itself",
                    where=str(self.settings.airflow_home / "logs"),
                    then="read keeper.log there, and run the demonstration again",
                )
            tasks = airflow.tasks(now)
            self.view.running(tasks)
            if recorded := ledger.run(key):
                self.view.happened(view_run(ledger, recorded))
            if any(task.state == "awaiting_input" for task in tasks.values()):
                for request in airflow.requests(now):
                    self._answer(server, request, plan)

        airflow.wait(run, timeout=LONGEST_RUN, on_poll=look, interval=1.0)
        recorded = ledger.run(key)
        view = view_run(ledger, recorded) if recorded else None
        if view is None or view.outcome is None:
            raise ChangeoverError(
                f"The run ended and left no outcome. The first task that failed: {first_failure(airflow, run)}",
                where=key,
                then="a person must look at the hosts: ./changeover lab status; ./changeover serve shows the run",
            )
        self.view.happened(view)
        return view

    def _answer(self, server: serve.AirflowServer, request: Request, plan: Plan) -> None:
        """Answer as the first person the plan names for it, and say so."""
        names = {person.id: person.name for person in plan.participants}
        who = request.asked[0]
        option = "Approve" if "Approve" in request.options else request.options[0]
        with server.client(who) as person:
            person.answer(request, option)
        self.view.answered(request.subject, option, f"{names.get(who, who)} ({who})")

    def _conclude(self, view: RunView, tasks: Mapping[str, Task]) -> None:
        ledger, cmdb = wiring.ledger(self.settings), wiring.cmdb(self.settings)
        report = wiring.report(ledger, cmdb, view.run.key)
        self.view.conclusion(report, tasks, self.settings.reports / f"{view.run.key}.html", fault=self.fault)


def first_failure(airflow: AirflowClient, run: DagRun) -> str:
    """Name of the task that failed first, and the end of what it wrote."""
    failed = [task for task in airflow.tasks(run).values() if task.state == "failed" and task.ended_at]
    if not failed:
        return "none"
    task = min(failed, key=lambda task: task.ended_at.timestamp() if task.ended_at else 0.0)
    lines = [line for line in airflow.log(run, task.task_id, try_number=task.try_number).splitlines() if line.strip()]
    reasons = [line for line in lines if not line.startswith("::")]
    return f"{task.task_id}: {' / '.join(reasons[-3:])}"


def stop_executions(settings: Settings) -> int:
    """End the detached executions of Ansible below this home, here and on their hosts; how many there were."""
    from changeover.adapters.ansible_runs import ask_to_stop
    from changeover.adapters.execution_directory import ExecutionDirectory, ExecutionState, Order
    from changeover.adapters.local_processes import end_marked_processes

    found = [ExecutionDirectory(path.parent) for path in settings.home.glob("runs/*/executions/*/spec.json")]
    running = [directory for directory in found if directory.state() is ExecutionState.RUNNING]
    for directory in running:
        ask_to_stop(directory, "the demonstration is ended")
    deadline = time.monotonic() + 20
    while any(directory.state() is ExecutionState.RUNNING for directory in running) and time.monotonic() < deadline:
        time.sleep(0.2)
    for directory in running:
        end_marked_processes(Order.from_json(directory.spec.read_text()).token)
    return len(running)


def forget_unfinished(settings: Settings) -> bool:
    """Remove Airflow's database if a run in it never ended: it would go on, on hosts that were reset meanwhile."""
    database = settings.airflow_home / "airflow.db"
    if not database.exists():
        return False
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            query = (
                "SELECT count(*) FROM dag_run WHERE state IN ('running', 'queued') AND dag_id NOT LIKE 'changeover.%'"
            )
            unfinished = int(connection.execute(query).fetchone()[0])
    except sqlite3.Error:
        unfinished = 1  # nothing that can be used
    if unfinished:
        for path in settings.airflow_home.glob("airflow.db*"):
            path.unlink()
    return bool(unfinished)


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Refuse a second demonstration at the same time: it would end the first one's Airflow."""
    file = PidFile(settings.airflow_home, "demo")
    if other := file.process():
        raise ChangeoverError(
            f"A demonstration is already running here (process {other.pid})",
            where=str(settings.home),
            then="wait for it, or end it with Ctrl-C in its terminal",
        )
    file.write(os.getpid())
    try:
        yield
    finally:
        file.remove()

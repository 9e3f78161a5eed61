"""Cells for the faults of Airflow itself: the plan's whole DAG under a real scheduler, whose parts are killed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from changeover import wiring
from changeover.domain.gameday import Cell, Phase
from changeover.domain.record import run_key
from changeover.errors import ChangeoverError
from changeover.gameday.cell import SETTLED_BY, Tell, Upgrading, played
from changeover.gameday.faults import Fault
from changeover.gameday.ground import ENVIRONMENT, Ground, prepared, read_plan
from changeover.orchestration import introduce_site, serve
from changeover.orchestration.airflow_client import AirflowClient, AirflowError, DagRun
from changeover.orchestration.breaking import QUICK
from changeover.orchestration.serve import AirflowServer
from changeover.orchestration.workflow import ApiWorkflow
from changeover.usecases.tools import Tools

LONGEST = 1200.0


def play(fault: Fault, phase: Phase, *, root: Path, home: Path, plan: Path, tell: Tell) -> Cell:
    """One cell: its own Airflow, the whole DAG for the one environment, everybody who is asked says yes."""
    from changeover.adapters.environment_vault import EnvironmentVault

    begun, text = time.monotonic(), read_plan(plan)
    with prepared(root, home, text, breaks=phase is Phase.BACK_OUT, disk=fault.disk, clock=fault.clock) as ground:
        folder = home / "plans" / text.plan.client
        folder.mkdir(parents=True)
        shutil.copy(text.path, folder)
        ground.settings = replace(ground.settings, plans=home / "plans")
        with _airflow(ground) as server, server.client() as client:
            run = _started(ground, client, server)
            ground.airflow_run = run
            key = run_key(run.dag_id, run.run_id)
            tell(f"{run.run_id}: waiting for its lane")
            _until_opened(ground, key)
            recorded = wiring.ledger(ground.settings).run(key)
            if recorded is None:
                raise ChangeoverError("the run is not in the ledger", where=key)
            upgrade = wiring.upgrade_of(ground.settings, recorded, text.plan)
            vault = EnvironmentVault(os.environ, (ground.state.secrets_path,))

            def make() -> Tools:
                return wiring.tools(vault=vault, tell=lambda line: None, settings=ground.settings)

            workflow = _Settling(ApiWorkflow(client), lambda: _follow(server, run))
            playing = Upgrading(ground, upgrade, make, workflow, lambda: _follow(server, run), tell, SETTLED_BY)
            cell = played(playing, fault, phase)
    return replace(cell, seconds=time.monotonic() - begun)


class _Settling:
    """Airflow as settle knows it; what is ordered is followed to its end."""

    def __init__(self, workflow: ApiWorkflow, follow: Callable[[], None]) -> None:
        self._workflow, self._follow = workflow, follow
        self.state, self.paused = workflow.state, workflow.paused

    def again(self, run: object, environment: str, stage: str) -> tuple[str, ...]:
        tasks = self._workflow.again(run, environment, stage)  # type: ignore[arg-type]  # handed through
        self._follow()
        return tasks


@contextmanager
def _airflow(ground: Ground) -> Iterator[AirflowServer]:
    people = introduce_site.logins([ground.plan.plan])
    server = serve.start(ground.settings, people=people, extra_environment=QUICK, parallelism=4)
    ground.airflow = server
    try:
        serve.wait_ready(server, timeout=240.0)
        yield server
    finally:
        server.stop()


def _started(ground: Ground, client: AirflowClient, server: AirflowServer) -> DagRun:
    introduce_site.import_estate(ground.settings, ground.estate_path, reset=True)
    introduce_site.store_connections(client, ground.state.secrets_path)
    client.wait_for_dag(ground.plan.plan.dag_id, timeout=120.0)
    with server.client(ground.plan.plan.requested_by) as asker:
        return asker.trigger(
            ground.plan.plan.dag_id, {"mode": "implement", "environments": [ENVIRONMENT], "reason": "game day"}
        )


def _until_opened(ground: Ground, key: str) -> None:
    until = time.monotonic() + 120
    while wiring.ledger(ground.settings).run(key) is None:
        if time.monotonic() > until:
            raise AirflowError("the run was never opened", where=key)
        time.sleep(0.5)


def _follow(server: AirflowServer, run: DagRun) -> None:
    """To the end of the run, answering as the first person who is asked; Airflow may be away in between."""
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        try:
            with server.client() as client:
                now = client.run(run.dag_id, run.run_id)
                if now.ended:
                    return
                for request in client.requests(now):
                    with server.client(request.asked[0]) as person:
                        person.answer(request, "Approve")
        except AirflowError:
            if not server.alive():
                raise
        time.sleep(1.0)
    raise AirflowError(f"{run.run_id} has not ended after {LONGEST:.0f} s", where=run.dag_id)

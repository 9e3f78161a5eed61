"""On a real Airflow and real hosts: a killed runner settled, a rollout in batches, a back-out that would lose rows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from changeover import lab, wiring
from changeover.domain.outcome import Outcome
from changeover.domain.record import MarkKind, run_key
from changeover.lab import LabState
from changeover.orchestration import introduce_site
from changeover.orchestration.airflow_client import DagRun
from changeover.settings import PROJECT
from tests.support.airflow import TestAirflow, settings_at
from tests.support.site_airflow import introduced, own_lab

pytestmark = [pytest.mark.e2e, pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1800)]
DAG = "lindgren.roundup-2.6"
LONGEST = 600.0
PAUSE = "    kind: training\n    variables:\n      roundup_implement_pause: 12\n"
BATCHES = "    kind: production\n    batches: {sizes: [1], soak: 2s}\n"


@dataclass
class Place:
    started: TestAirflow
    state: LabState
    root: Path

    def reset(self) -> None:
        self.state = lab.reset("roundup", root=self.root)
        introduce_site.import_estate(self.started.settings, self.state.estate_path, reset=True)

    def begin(self, mode: str, environment: str) -> DagRun:
        with self.started.client() as client:
            client.wait_for_dag(DAG)
            return client.trigger(DAG, {"mode": mode, "environments": [environment], "reason": "test"})

    def end(self, run: DagRun, *, kill: bool = False) -> str:
        """Everybody who is asked says yes, one after the other; the state in which Airflow's run ended."""
        killed: list[int] = []
        answered: set[tuple[str, str]] = set()

        def look(_now: DagRun) -> None:
            for request in client.requests(run):
                if request.state != "awaiting_input":
                    continue
                who = next((name for name in request.asked if (request.task_id, name) not in answered), "")
                if who:
                    time.sleep(3)  # an answer in the second in which Airflow parks the task can be lost
                    with self.started.client(who) as person:
                        person.answer(request, "Approve")
                    answered.add((request.task_id, who))
            if kill and not killed and (pid := self._runner(run)):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

        with self.started.client() as client:
            state = client.wait(run, timeout=LONGEST, on_poll=look, interval=1.0).state
        assert not kill or killed, "the runner was never seen at work"
        return str(state)

    def _runner(self, run: DagRun) -> int:
        """The process that runs Ansible, two seconds into the migration of training."""
        folder = self.started.settings.executions_directory(run_key(DAG, run.run_id)) / "training.implement.1"
        if not (folder / "started.json").exists():
            return 0
        time.sleep(4)
        return int(json.loads((folder / "started.json").read_text(encoding="utf-8"))["pid"])

    def settle(self, run: DagRun, *order: str) -> tuple[int, dict[str, Any]]:
        """The command line itself, as a person calls it."""
        settings = self.started.settings
        environment = {
            **os.environ,
            "PYTHONPATH": str(PROJECT / "include"),
            "CHANGEOVER_HOME": str(settings.home),
            "CHANGEOVER_PLANS": str(settings.plans),
            "CHANGEOVER_ARTEFACTS": str(settings.artefacts),
            "CHANGEOVER_CONNECTIONS": str(self.state.secrets_path),
        }
        command = [sys.executable, "-m", "changeover.cli", "settle", run_key(DAG, run.run_id), "--json", *order]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, json.loads(done.stdout)

    def outcomes(self, run: DagRun) -> dict[str, Outcome]:
        found = wiring.ledger(self.started.settings).outcomes(run_key(DAG, run.run_id))
        return {name: verdict.outcome for name, verdict in found.items()}

    def issues(self, host: str) -> list[str]:
        return self.admin(host, "list", "issue", "id").split()

    def admin(self, host: str, *words: str) -> str:
        app = self.state.host(host).app
        done = subprocess.run(
            [app / "current/bin/python", app / "current/bin/roundup-admin", "-i", app / "tracker", *words],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("safe")
    plans = home / "plans"
    shutil.copytree(settings_at(home).plans / "lindgren", plans / "lindgren")
    file = plans / "lindgren/roundup-2.6.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace("    kind: training\n", PAUSE).replace("    kind: production\n", BATCHES), encoding="utf-8"
    )
    with own_lab("roundup") as root:
        state = lab.up("roundup", root=root, port=0)
        settings = settings_at(home / "home", plans=plans, artefacts=state.artefacts_path)
        with introduced(settings, state) as started:
            yield Place(started, state, root)


def test_a_runner_killed_in_the_migration_is_asked_about_and_backed_out_on_a_persons_word(place: Place) -> None:
    """C11: unknown, the lock kept, nothing by itself; `settle` says what is true, its back-out ends proven."""
    run = place.begin("implement", "training")
    assert place.end(run, kill=True) == "failed"
    assert place.outcomes(run)["training"] is Outcome.UNKNOWN
    ledger, key = wiring.ledger(place.started.settings), run_key(DAG, run.run_id)
    assert not [s for s in ledger.steps(key, environment="training") if s.step in ("back_out", "stand_down")]

    until = time.monotonic() + 60
    while True:  # the migration on the host may outlive its runner for a moment; beside it nothing is possible
        code, found = place.settle(run)
        training = next(e for e in found["environments"] if e["environment"] == "training")
        ways = {option["do"]: option["possible"] for option in training["options"]}
        if ways["back-out"] or time.monotonic() > until:
            break
        time.sleep(2)
    assert code == 1
    assert training["truth"] == "in between"
    assert training["hosts"][0]["locked_by_run"] is True
    assert ways == {"resume": False, "back-out": True, "close": True}, training

    code, came = place.settle(run, "--do", "back-out", "--by", "petra.lang", "--reason", "the runner was killed")
    assert (code, came["refused"]) == (0, [])
    assert place.end(run) == "failed", "an upgrade that was backed out is no success"
    assert place.outcomes(run)["training"] is Outcome.BACKED_OUT
    (ordered,) = [m for m in ledger.marks(key, kind=MarkKind.SETTLED) if m.environment == "training"]
    assert (ordered.data["by"], ordered.data["action"]) == ("petra.lang", "back-out")
    assert place.settle(run)[0] == 0, "nothing is left to settle"


@pytest.fixture(scope="module")
def rolled_out(place: Place) -> DagRun:
    """Production upgraded in batches; users are on it."""
    place.reset()
    run = place.begin("implement", "production")
    assert place.end(run) == "success", place.started.logs()
    return run


def test_a_rollout_changes_one_host_after_the_other_and_proves_each(place: Place, rolled_out: DagRun) -> None:
    ledger, key = wiring.ledger(place.started.settings), run_key(DAG, rolled_out.run_id)
    assert place.outcomes(rolled_out)["production"] is Outcome.SUCCESSFUL
    steps = [s for s in ledger.steps(key, environment="production") if s.step.startswith("implement_b")]
    assert [(s.step, dict(s.hosts)) for s in steps] == [
        ("implement_b1", {"prod1": "ok"}),
        ("implement_b2", {"prod2": "ok"}),
    ]
    marks = ledger.marks(key, environment="production")
    opened = [m for m in marks if m.kind is MarkKind.TRAFFIC_OPENED]
    assert [m.host for m in opened] == ["prod1", "prod2"]
    assert opened[0].at < next(s.started_at for s in steps if s.step == "implement_b2")
    names = {m.host: m.data["names"] for m in marks if m.kind is MarkKind.TAKEN and m.data["names"]}
    assert set(names) == {"prod1", "prod2"}
    assert "roundup" in names["prod1"]


def test_rows_that_a_back_out_would_lose_are_shown_and_put_aside_first(place: Place, rolled_out: DagRun) -> None:
    """C18: two people say yes; each host goes back to its own restore point; the row is readable in the export."""
    assert rolled_out.dag_id == DAG
    before = place.issues("prod1")
    place.admin("prod1", "create", "issue", "title=entered on the new release")
    run = place.begin("back-out", "production")
    place.end(run)
    settings, key = place.started.settings, run_key(DAG, run.run_id)
    ledger = wiring.ledger(settings)
    assert place.outcomes(run)["production"] is Outcome.BACKED_OUT, ledger.outcomes(key)
    assert place.issues("prod1") == before
    yes = {m.data["by"] for m in ledger.marks(key, kind=MarkKind.APPROVED) if m.data.get("gate") == "plan"}
    assert len(yes) == 2
    told = ledger.marks(key, environment="production", kind=MarkKind.DATA_AT_STAKE)
    assert "1 row in `issues` entered since" in str(told[0].data["told"]), "those who were asked saw it"
    kept = settings.evidence_directory(key) / "production/rows-since-restore-point.json"
    (row,) = json.loads(kept.read_text(encoding="utf-8"))["prod1"]["issues"]["entered"]
    assert row["title"] == "entered on the new release"
    assert any("put aside" in reason for reason in ledger.outcomes(key)["production"].reasons)
    for host in ("prod1", "prod2"):
        assert not list((place.state.host(host).app.parent).rglob("lock.json")), "locks are given back"

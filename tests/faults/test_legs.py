"""Under a real scheduler, on real SSH hosts: an analysis, a remedy of mode fix, a way of two legs there and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from changeover import cli, lab, wiring
from changeover.domain.outcome import Outcome
from changeover.domain.record import MarkKind, Run, StepStatus, run_key
from changeover.lab.account import Account
from changeover.lab.artefacts import fetch
from changeover.lab.environment import find_python
from changeover.orchestration import introduce_site
from changeover.orchestration.airflow_client import DagRun
from changeover.settings import PROJECT
from tests.support.airflow import TestAirflow, settings_at
from tests.support.site_airflow import introduced, own_lab

pytestmark = [pytest.mark.e2e, pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1500)]
DAG, PLAN = "lindgren.roundup-2.6", "lindgren/roundup-2.6.yaml"
OLD, STOP, NEW = "2.0.0", "2.3.0", "2.6.0"
LONGEST = 1200.0
A_STOP = f"""
mandatory_stops:
  - release: "{STOP}"
    reason: This test's own; the vendor lets releases be passed
    source: tests/faults/test_legs.py
"""


TEXT_IN_XHTML = r"s/^html_version = .*/html_version = xhtml/"
A_REMEDY = r"""
    fix: {kind: command, run: "sed -i 's/^html_version = xhtml$/html_version = html4/' tracker/config.ini"}"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with own_lab("roundup") as root:
        yield root


@pytest.fixture(scope="module")
def running(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAirflow]:
    """The product's own plan and records, but that 2.6.0 demands a stop at 2.3.0, and one of the steps has a remedy."""
    home = tmp_path_factory.mktemp("legs")
    shutil.copytree(PROJECT / "include/plans/lindgren", home / "plans/lindgren")
    shutil.copytree(PROJECT / "include/releases/roundup", home / "releases/roundup")
    with (home / "releases/roundup/2.6.0.yaml").open("a", encoding="utf-8") as record:
        record.write(A_STOP)
    step = home / "releases/roundup/2.4.0.yaml"
    text = step.read_text(encoding="utf-8")
    assert text.count("applies_if: html_version is xhtml") == 1
    marker = "applies_if: html_version is xhtml"
    step.write_text(text.replace(marker, f"{marker}{A_REMEDY}"), encoding="utf-8")
    state = lab.up("roundup", root=place, port=0)
    account = Account.current(place / "home")
    fetch(account, state.artefacts_path, find_python(account), "roundup", STOP, [f"roundup=={STOP}", "setuptools"])
    settings = settings_at(
        home / "home", plans=home / "plans", releases=home / "releases", artefacts=state.artefacts_path
    )
    with introduced(settings, state) as started:
        yield started


@pytest.fixture
def command(running: TestAirflow, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`command("analyse", …)` as an operator types it: exit code, standard output and what stood beside it."""
    settings = running.settings
    for name in ("home", "plans", "releases", "artefacts"):
        monkeypatch.setenv(f"CHANGEOVER_{name.upper()}", str(getattr(settings, name)))

    def call(*words: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(cli.app, words)
        return done.exit_code, done.stdout, done.stderr

    return call


def test_an_analysis_through_airflow_tells_both_legs_and_touches_nothing(running: TestAirflow, command: Any) -> None:
    """`analyse PLAN` is a run in mode analyse, told from the ledger: one play, no lane, a report in three forms."""
    code, out, err = command("analyse", str(running.settings.plans / PLAN), "--format", "json")
    assert code == 0, (out, err)
    told = json.loads(out)
    run = wiring.ledger(running.settings).run(told["run"])
    assert run is not None
    assert (run.mode, run.dag_run_id.startswith("local__")) == ("analyse", False)
    assert [finding["key"] for finding in told["findings"] if finding["severity"] == "inhibitor"] == []
    (legs,) = (finding for finding in told["findings"] if finding["key"] == "release-legs")
    assert "1. 2.0.0 -> 2.3.0 (roundup/2.3.0); 2. 2.3.0 -> 2.6.0 (roundup/2.6.0)" in legs["summary"]
    plays = list(running.settings.executions_directory(run.key).iterdir())
    assert [play.name for play in plays] == ["estate.discover.1"]
    steps = wiring.ledger(running.settings).steps(run.key)
    assert {step.step for step in steps} == {"discover"}
    with running.client() as client:
        ended = client.run(DAG, run.dag_run_id)
        states = {name: task.state for name, task in client.tasks(ended).items()}
    assert ended.state == "success"
    assert states["s04_client_analysis.analyse_client"] == "success"
    assert {state for name, state in states.items() if name.startswith("s08_s09_")} == {"skipped"}


def test_a_missing_artefact_of_a_stop_is_found_by_the_analysis(running: TestAirflow, command: Any) -> None:
    """Of the release on the way as of the wanted one, and by the same command: exit code 1."""
    wheel = next((running.settings.artefacts / "roundup" / STOP).glob("roundup-*.whl"))
    away = wheel.with_suffix(".away")
    wheel.rename(away)
    try:
        code, out, err = command("analyse", str(running.settings.plans / PLAN), "--format", "json")
    finally:
        away.rename(wheel)
    assert code == 1, (out, err)
    found = {finding["key"]: finding["subject"] for finding in json.loads(out)["findings"]}
    assert found["artefact-digest"] == f"{wheel.name} at {STOP}"


def test_mode_fix_cures_a_finding_where_it_is_and_nothing_else(running: TestAirflow, command: Any, place: Path) -> None:
    """Found by the analysis, approved, carried out on the one host that has it, and the analysis is clean again."""
    state, plan = lab.reset("roundup", root=place), str(running.settings.plans / PLAN)
    files = {host.name: host.app / "tracker/config.ini" for host in state.hosts}
    Account.current(place / "home").run(["sed", "-i", TEXT_IN_XHTML, files["training"]])
    assert "\nhtml_version = xhtml\n" in files["training"].read_text(encoding="utf-8")
    before = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    code, out, err = command("analyse", plan, "--format", "json")
    assert code == 1, (out, err)
    assert [(f["key"], f["subject"]) for f in json.loads(out)["findings"] if f["inhibits"]] == [
        ("vendor-step-choice", "training/xhtml")
    ]

    ended, run = go(running, mode="fix", findings=["vendor-step-choice"])
    assert ended.state == "success", running.logs()
    ledger = wiring.ledger(running.settings)
    assert outcomes(running, run) == {"": Outcome.SUCCESSFUL}
    assert ledger.outcomes(run.key)[""].reasons == ("vendor-step-choice (training/xhtml): cured",)
    (asked,) = ledger.marks(run.key, kind=MarkKind.APPROVED)
    assert asked.data["by"] == "erik.lindgren"
    after = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    assert after == before | {"training": before["training"].replace("= xhtml\n", "= html4\n")}
    changed = [step.environment for step in ledger.steps(run.key) if step.step.startswith("fix_")]
    assert changed == ["training"]
    for host in state.hosts:
        assert not (host.state / "lock.json").exists()
        assert (host.state / "marker.json").exists() is (host.name == "training")
    with running.client() as client:
        states = {name: task.state for name, task in client.tasks(ended).items()}
    assert {state for name, state in states.items() if name.startswith(("s05_", "s08_s09_"))} == {"skipped"}
    change = wiring.cmdb(running.settings).change(run.key)
    assert change is not None
    assert (change.title.startswith("Remedies before "), str(change.close_code)) == (True, "successful")
    code, out, err = command("analyse", plan, "--format", "json")
    assert code == 0, (out, err)


def test_every_lane_goes_through_both_legs(running: TestAirflow, place: Path) -> None:
    """V15: at the stop a restore point and a whole acceptance, then the next leg; no task more than a way of one."""
    _reset(running, place)
    ended, run = go(running)
    assert ended.state == "success", running.logs()
    assert outcomes(running, run) == dict.fromkeys(("training", "production", ""), Outcome.SUCCESSFUL)
    ledger = wiring.ledger(running.settings)
    for environment, times in (("baseline", 2), ("training", 1), ("production", 1)):
        steps = ledger.steps(run.key, environment=environment)
        done = [step.step for step in steps if step.status is StepStatus.SUCCESSFUL]
        leg = ["implement", "acceptance_leg1", "acceptance_leg1_verify", "restore_point_leg2", "implement_leg2"]
        assert [step for step in done if step in leg] == leg * times
        gates = [gate for _, gate in ledger.gates(run.key, environment=environment) if gate.gate == "acceptance_leg1"]
        assert len(gates) == times
        assert {r.message for gate in gates for r in gate.results if r.key == "version-running"} == {STOP}
    assert wiring.cmdb(running.settings).versions("lindgren", "roundup", "production") == {"prod1": NEW, "prod2": NEW}
    labels = [mark.data["label"] for mark in ledger.marks(run.key, kind=MarkKind.LEG_RESTORE_POINT)]
    assert [label.removeprefix(run.key) for label in labels] == [
        "-baseline-leg2",
        "-baseline-leg2-2",
        "-training-leg2",
        "-production-leg2",
    ]
    sheet = ledger.marks(run.key, kind=MarkKind.RUN_SHEET)[-1].data["text"]
    assert sheet.count("| training |") == 1


def test_a_stop_that_is_not_accepted_goes_back_to_where_the_lane_came_from(running: TestAirflow, place: Path) -> None:
    """The stop refuses the client's integration: no second leg, the first leg's restore point, 2.0.0 again, proven."""
    _reset(running, place, fault="integration")
    ended, run = go(running)
    assert ended.state == "failed"
    assert outcomes(running, run) == {
        "training": Outcome.SUCCESSFUL,
        "production": Outcome.BACKED_OUT,
        "": Outcome.BACKED_OUT,
    }
    ledger = wiring.ledger(running.settings)
    gates = {gate.gate: gate for _, gate in ledger.gates(run.key, environment="production")}
    assert {name: gate.passed for name, gate in gates.items()} == {
        "start": True,
        "readiness": True,
        "acceptance_leg1": False,
        "back_out_acceptance": True,
    }
    assert all("Required Header Missing" in reason for reason in gates["acceptance_leg1"].reasons())
    assert not any(step.step.endswith("_leg2") for step in ledger.steps(run.key, environment="production"))
    (begun,) = ledger.marks(run.key, environment="production", kind=MarkKind.BACKING_OUT)
    assert begun.data["label"] == f"{run.key}-production"
    assert wiring.cmdb(running.settings).versions("lindgren", "roundup", "production") == {"prod1": OLD, "prod2": OLD}


def _reset(running: TestAirflow, place: Path, fault: str | None = None) -> None:
    state = lab.reset("roundup", root=place, fault=fault)
    introduce_site.import_estate(running.settings, state.estate_path, reset=True)


def go(running: TestAirflow, **asked: Any) -> tuple[DagRun, Run]:
    """Start the upgrade (or what is asked for), answer as the first person asked each time, and wait for the end."""
    with running.client() as client:
        client.wait_for_dag(DAG)
        run = client.trigger(DAG, {"mode": "implement", "reason": "test"} | asked)

        def answer(_now: DagRun) -> None:
            for request in client.requests(run):
                with running.client(request.asked[0]) as person:
                    person.answer(request, "Approve")

        ended = client.wait(run, timeout=LONGEST, on_poll=answer, interval=1.0)
    recorded = wiring.ledger(running.settings).run(run_key(DAG, run.run_id))
    assert recorded is not None
    return ended, recorded


def outcomes(running: TestAirflow, run: Run) -> dict[str, Any]:
    return {name: verdict.outcome for name, verdict in wiring.ledger(running.settings).outcomes(run.key).items()}
